"""The generated part of docs/background/demo_scale.md: results of papers beside docs/ablations.jsonl, row by row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from generators.ablations import RESULTS
from generators.markdown import between_marks, table
from verl_vision_r1.demo.ablation_table import half_width
from verl_vision_r1.demo.refusal import OTHERS

START: Final = "start"
"""Stands for the initial model of a variant, as a baseline."""


@dataclass(frozen=True)
class Claim:
    """A comparison of a paper, and the one that is nearest to it at the scale of the demo.

    Attributes:
        change: What is compared.
        source: The paper and its table.
        paper: The measure before and after, as printed.
        unit: What the paper measures.
        variants: The two variants here: before, or `START`, and after.
        measure: Data set and measure here.
    """

    change: str
    source: str
    paper: tuple[float, float]
    unit: str
    variants: tuple[str, str]
    measure: tuple[str, str] = ("shapes_categories", "AP")


CLAIMS: Final = (
    Claim(
        "GRPO with the Vision-R1 rewards, against the initial model",
        "Vision-R1, Table 1, Qwen2.5-VL-7B",
        (17.7, 26.6),
        "AP on COCO",
        (START, "vision_r1"),
    ),
    Claim(
        "GRPO with the Vision-R1 rewards, against supervised fine-tuning on the same prompts",
        "Vision-R1, Table 1, Qwen2.5-VL-7B",
        (23.6, 26.6),
        "AP on COCO",
        ("supervised", "vision_r1"),
    ),
    Claim(
        "matching by boxes and labels, against boxes first",
        "Vision-R1, Table 3, Griffon-G-7B",
        (42.1, 41.9),
        "AP on COCO",
        ("vision_r1", "with_label"),
    ),
    Claim(
        "thresholds that tighten after half of the run, against beginner thresholds throughout",
        "Vision-R1, Table 5, Griffon-G-7B",
        (39.9, 42.1),
        "AP on COCO",
        ("beginner_only", "halfway"),
    ),
    Claim(
        "the same, another model",
        "Vision-R1, Table 10, Qwen2.5-VL-7B",
        (26.6, 23.3),
        "AP on COCO",
        ("beginner_only", "halfway"),
    ),
    Claim(
        "thresholds that tighten after a third, against after half",
        "Vision-R1, Table 5, Griffon-G-7B",
        (42.1, 41.5),
        "AP on COCO",
        ("halfway", "third"),
    ),
    Claim(
        "a length penalty on the reward AP of a single sample, against none",
        "VLM-R1, blog of 2025-03-20",
        (11.4, 18.8),
        "AP on a subset of COCO",
        ("vlm_r1_od_ap", "vlm_r1_od_length"),
    ),
    Claim(
        "training with negative samples, against none: empty predictions for negatives",
        "GroundingME (arXiv 2512.17495), supervised",
        (0.0, 27.9),
        "percent of negatives",
        ("refusal_none", "refusal"),
        (OTHERS, "negatives_refused"),
    ),
)


def page(written: str) -> str:
    """The page with the table of all comparisons."""
    return between_marks(written, "\n\n".join(parts()), "background/demo_scale.md")


def parts() -> Iterator[str]:
    """The table, and the number of runs behind it."""
    heading = ("comparison", "paper", "change there", "change here, 95 % CI", "seeds", "steps", "sign")
    yield table(heading, [_row(claim) for claim in CLAIMS])


def _row(claim: Claim) -> tuple[str, ...]:
    before, after = claim.paper
    there = f"{after - before:+.1f} {claim.unit} ({before:g} to {after:g})"
    steps, changes = _changes(claim)
    if not changes:
        return (claim.change, claim.source, there, "not run", "", "", "")
    low, high = interval(changes)
    here = f"{np.mean(changes):+.1f}" + ("" if len(changes) == 1 else f" ({low:+.1f} to {high:+.1f})")
    sign = compared(after - before, low, high)
    return (claim.change, claim.source, there, here, str(len(changes)), str(steps), sign)


def _changes(claim: Claim) -> tuple[int, list[float]]:
    """The steps of the runs of which both variants have the most seeds, then the longest, and the changes by seed."""
    found = [(steps, _changes_after(steps, claim)) for steps in {run.steps for run in RESULTS.runs() if run.steps}]
    return max(found, key=lambda one: (len(one[1]), one[0]))


def _changes_after(steps: int, claim: Claim) -> list[float]:
    """The difference for each seed that both variants have, in percent."""
    where, measure = claim.measure
    after = RESULTS.of(claim.variants[1], steps)
    start = RESULTS.start("vision_r1")
    before = dict.fromkeys(after, start) if claim.variants[0] == START else RESULTS.of(claim.variants[0], steps)
    pairs = [(before[seed], after[seed]) for seed in after if before.get(seed)]
    return [
        100 * (second.measures[where][measure] - first.measures[where][measure])
        for first, second in pairs
        if first and where in first.measures and where in second.measures
    ]


def interval(changes: Sequence[float]) -> tuple[float, float]:
    """Student's 95 % confidence interval of paired differences; unbounded for a single one.

    Example:
        >>> [round(end, 1) for end in interval([1.0, 2.0, 3.0])]
        [-0.5, 4.5]
    """
    if len(changes) == 1:
        return -np.inf, np.inf
    mean, half = float(np.mean(changes)), half_width(changes)
    return mean - half, mean + half


def compared(there: float, low: float, high: float) -> str:
    """Whether the sign here is that of the paper.

    Example:
        >>> compared(8.9, 1.0, 3.0), compared(8.9, -3.0, -1.0), compared(8.9, -1.0, 1.0)
        ('same', 'other', 'no difference shown')
    """
    if low <= 0.0 <= high:
        return "no difference shown"
    return "same" if (low > 0) == (there > 0) else "other"
