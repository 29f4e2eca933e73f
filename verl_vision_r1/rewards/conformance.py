"""Conformance: compares the scores of the presets with recorded scores of the published code or of a paper oracle.

A file has the form `{"source": ..., "cases": [{"id", "completion", "target", "params", "expected"}]}`. The preset of a
case follows from its expected scores and its parameters.
"""

import functools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from verl_vision_r1.documents import parse_json, read_text
from verl_vision_r1.frames import Size
from verl_vision_r1.rewards.answers.json_search import as_float
from verl_vision_r1.rewards.api import score
from verl_vision_r1.rewards.presets import Preset, load_curriculum, load_preset, preset_from_config, read_preset
from verl_vision_r1.rewards.refinement import OFF, Stage
from verl_vision_r1.rewards.scoring import Scores
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import Target

TOLERANCE: Final = 1e-5
MATCHES, DIFFERS, RAISED, NO_NUMBER, TIE, AMBIGUOUS = (
    "match",
    "differ",
    "published code raised",
    "published code gave no number",
    "tie",
    "ambiguous",
)
APART: Final = (RAISED, NO_NUMBER, TIE, AMBIGUOUS)
"""Verdicts of cases without a unique correct score; they are counted separately."""

Case = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """The result of one case.

    Attributes:
        id: The name of the case.
        verdict: `match`, `differ`, or why the case is counted separately.
        given: Our scores.
        expected: The recorded scores.
        equal: Whether all scores equal the recorded ones within `TOLERANCE`, whatever the verdict.
    """

    id: str
    verdict: str
    given: dict[str, float]
    expected: dict[str, Any]
    equal: bool


@dataclass(frozen=True)
class Report:
    """The results of a file."""

    path: Path
    results: tuple[Result, ...]

    @property
    def counts(self) -> Counter[str]:
        """Number of cases by verdict."""
        return Counter(result.verdict for result in self.results)

    @property
    def conforms(self) -> bool:
        """Whether no case differs."""
        return not self.counts[DIFFERS]


def check_file(path: Path) -> Report:
    """Score all cases of a file.

    Raises:
        ValueError: The file has another form, or the preset of a case is unknown; the message says where.
        FileNotFoundError: The file does not exist.
    """
    document = parse_json(read_text(path), str(path))
    cases = document.get("cases") if isinstance(document, dict) else None
    if not isinstance(cases, list) or not cases:
        raise ValueError(f"{path}: expected a JSON object with a list of cases, got {shown(document)}")
    return Report(path, tuple(check_case(case, f"{path}: cases[{index}]") for index, case in enumerate(cases)))


def check_case(case: Case, where: str = "case") -> Result:
    """Score one recorded case and compare.

    Raises:
        ValueError: A key is missing or of another type, the preset of the case is unknown, or its target, parameters
            or scores are not those of the preset.
    """
    wrong = [name for name, kind in KEYS.items() if not isinstance(case, dict) or not isinstance(case.get(name), kind)]
    if wrong:
        kinds = ", ".join(f"{name} ({KINDS_IN_WORDS[kind]})" for name, kind in KEYS.items())
        raise ValueError(f"{where}: expected the keys {kinds}, got {shown(case)}: wrong or missing {', '.join(wrong)}")
    scorer = next((scorer for fits, scorer in KINDS if fits(case)), None)
    if scorer is None:
        raise ValueError(
            f"{where}: expected scores of a known preset, got {shown(sorted(case['expected']))}"
            f" with the parameters {shown(sorted(case['params']))}"
        )
    try:
        with np.errstate(all="ignore"):  # Recorded ground truth may be invalid.
            given = {name: float(value) for name, value in scorer(case).items()}
        numbers = _numbers({**case["expected"], **case["expected"].get("partial", {})})
        equal = all(name in given and abs(given[name] - value) <= TOLERANCE for name, value in numbers.items())
        return Result(case["id"], _verdict(case, equal), given, case["expected"], equal)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        problem = shown(f"{type(error).__name__}: {error}", 300)
        raise ValueError(
            f"{where}: expected the target, parameters and scores of a recorded case, got {shown(case)}: {problem}"
        ) from error


KEYS: Final[dict[str, type]] = {"id": str, "completion": str, "target": dict, "params": dict, "expected": dict}
"""The keys of a case."""
KINDS_IN_WORDS: Final[dict[type, str]] = {str: "text", dict: "object"}


def _verdict(case: Case, equal: bool) -> str:
    expected = case["expected"]
    if "raises" in expected:
        return RAISED
    if any(isinstance(value, str) or not math.isfinite(as_float(value)) for value in expected.values()):
        return NO_NUMBER if equal else DIFFERS
    if case.get("tie"):
        return TIE
    if case.get("ambiguous"):
        return AMBIGUOUS
    return MATCHES if equal else DIFFERS


def _numbers(expected: dict[str, Any]) -> dict[str, float]:
    numbers = {name: as_float(value) for name, value in expected.items() if isinstance(value, int | float)}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def _target(case: Case, **fields: Any) -> Target:
    given = case["target"]
    boxes = given.get("boxes", [])
    side = max([1000.0, *(abs(coordinate) for box in boxes for coordinate in box)])
    labels = given.get("labels", ["object"] * len(boxes))
    size = given.get("width", side), given.get("height", side)
    return Target.unchecked(boxes, labels, *size, count=given.get("num_instances"), **fields)


def _parts(scores: Scores) -> dict[str, float]:
    return {**scores.parts, "total": scores.total}


def _input_frame(case: Case) -> Size:
    return case["target"]["input_width"], case["target"]["input_height"]


def _vision_r1(case: Case) -> dict[str, float]:
    first, last = load_curriculum("halfway").stages
    stages = {"off": OFF, "beginner": first, "advanced": last}
    stage = stages[case["params"]["stage"]]
    return _parts(
        score(case["completion"], _target(case), _preset("vision_r1"), frame=_input_frame(case), stage=stage)
    )


def _release_2025(case: Case) -> dict[str, float]:
    preset, stage = _preset("vision_r1_release_2025"), _stage_2025(case["params"]["step"])
    return _parts(score(case["completion"], _target(case), preset, frame=_input_frame(case), stage=stage))


def _stage_2025(step: int | None) -> Stage:
    """TRL counts completed updates, verl the current one."""
    return OFF if step is None else load_curriculum("release_2025").stage(step + 1, total_steps=1)


def _release_2026(case: Case) -> dict[str, float]:
    scores = score(case["completion"], _target(case), _preset("vision_r1_release_2026"))
    return {**scores.parts, "overall": scores.total}


def _visual_rft(case: Case) -> dict[str, float]:
    task, given = case["params"]["task"], case["target"]
    target = _target(case, task=task)
    if "label" in given:
        target = Target.unchecked([], (given["label"],), 1000, 1000, task=task)
    return _parts(score(case["completion"], target, _visual_rft_with(float(case["params"].get("tau", 0.5)))))


def _visual_rft_release(task: str) -> Callable[[Case], dict[str, float]]:
    def scorer(case: Case) -> dict[str, float]:
        target = _target(case, task=task, solution=case["target"].get("solution"))
        scores = score(case["completion"], target, _with_math_verify(case["params"]["math_verify"]))
        return {"accuracy": scores.parts.get("iou", 0.0), **scores.parts} if task == "grounding" else scores.parts

    return scorer


def _vlm_r1(case: Case) -> dict[str, float]:
    target = _target(case, solution=case["target"].get("solution"))
    names = ("vlm_r1_od_ap", "vlm_r1_od_length", "vlm_r1_weighted")
    ap, length, weighted = (score(case["completion"], target, _preset(name)) for name in names)
    return {
        "od_ap": ap.total,
        "od_ap50": ap.parts["ap50"],
        "odLength": length.total,
        "weighted_sum": weighted.total,
    }


def _expects(*names: str) -> Callable[[Case], bool]:
    """Whether a case expects all of these scores, or the published code raised on one of them."""

    def fits(case: Case) -> bool:
        expected = case["expected"]
        return set(names) <= {*expected, *expected.get("partial", {}), *expected.get("raised_by", ())}

    return fits


def _has(*parameters: str) -> Callable[[Case], bool]:
    return lambda case: set(parameters) <= set(case["params"])


KINDS: Final[tuple[tuple[Callable[[Case], bool], Callable[[Case], dict[str, float]]], ...]] = (
    (_has("stage"), _vision_r1),
    (_has("step"), _release_2025),
    (_has("task"), _visual_rft),
    (lambda case: _has("math_verify")(case) and "label" in case["target"], _visual_rft_release("classification")),
    (lambda case: _has("math_verify")(case) and _expects("confidence")(case), _visual_rft_release("detection")),
    (_has("math_verify"), _visual_rft_release("grounding")),
    (_expects("od_ap"), _vlm_r1),
    (lambda case: _expects("overall")(case) or "cause" in case["expected"], _release_2026),
)
"""Condition on a case, and its scorer; the first whose condition holds is used."""


@functools.cache
def _preset(name: str) -> Preset:
    return load_preset(name)


@functools.cache
def _with_math_verify(use: bool) -> Preset:
    config = deepcopy(read_preset("visual_rft_release"))
    for task in config["tasks"].values():
        for criterion in task["criteria"].values():
            if "math_verify" in criterion:
                criterion["math_verify"] = use
    return preset_from_config(config)


@functools.cache
def _visual_rft_with(iou_above: float) -> Preset:
    config = deepcopy(read_preset("visual_rft"))
    config["tasks"]["detection"]["matcher"]["iou_above"] = iou_above
    return preset_from_config(config)


def summary(reports: Iterable[Report]) -> dict[str, Any]:
    """The reports as plain values, for JSON."""
    return {
        str(report.path): {
            "cases": len(report.results),
            **{verdict: report.counts[verdict] for verdict in (MATCHES, DIFFERS, *APART)},
            "differing": [result.id for result in report.results if result.verdict == DIFFERS],
        }
        for report in reports
    }


def lines(report: Report) -> Iterator[str]:
    """The counts of a file, every case that differs, and the names of the cases that are counted separately."""
    apart = ", ".join(f"{report.counts[verdict]} {verdict}" for verdict in APART if report.counts[verdict])
    matching, differing = report.counts[MATCHES], report.counts[DIFFERS]
    count = f"{len(report.results)} cases, {matching} match, {differing} differ"
    yield f"{report.path.name}: {count}; counted separately: {apart or 'none'}"
    for result in report.results:
        if result.verdict == DIFFERS or (result.verdict in APART and not result.equal):
            yield f"  {result.verdict}: {result.id}: {_brief(result.given)}; recorded: {_brief(result.expected)}"
    for verdict in APART:
        names = [result.id for result in report.results if result.verdict == verdict and result.equal]
        if names:
            yield f"  {verdict}, all recorded scores match: {', '.join(names)}"


def _brief(scores: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {as_float(value):.6g}" if isinstance(value, int | float) else f"{name} {shown(value, 60)}"
        for name, value in scores.items()
    )
