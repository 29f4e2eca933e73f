"""Measured figures in the prose are those of the files that commands write."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, median

import pytest
from generators import demo, demo_scale

pytestmark = pytest.mark.verl

ROOT = Path(__file__).parents[2]
NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
WORDS = {1: "one seed", 2: "two seeds", 3: "three seeds", 4: "four seeds", 5: "five seeds"}


def prose(page: str) -> str:
    """A page on one line."""
    return " ".join((ROOT / page).read_text(encoding="utf-8").split())


def demo_runs() -> tuple[str, ...]:
    """Times the start, AP after, AP before, and the number of seeds."""
    before, runs = demo.start(), demo.results()
    after = fmean(run.ap for run in runs.values())
    return f"{after / before.ap:.1f}", f"{after:.1f}", f"{before.ap:.1f}", WORDS[len(runs)]


def seconds_per_step(name: str) -> float:
    rounds = json.loads((ROOT / "docs" / "benchmark_trainers.json").read_text(encoding="utf-8"))["rounds"]
    return median(made[name]["step"] for made in rounds)


CLAIMS: list[tuple[str, str, Callable[[], tuple[str, ...]]]] = [
    (
        "README.md",
        rf"AP on held-out scenes was {NUMBER} times the start, {NUMBER} from {NUMBER}, mean of (\w+ seeds?)",
        demo_runs,
    ),
]
"""Page, pattern of the sentence with a group for each figure, and the figures."""


@pytest.mark.parametrize(("page", "pattern", "figures"), CLAIMS, ids=[page for page, _, _ in CLAIMS])
def test_a_figure_is_that_of_its_file(page: str, pattern: str, figures: Callable[[], tuple[str, ...]]) -> None:
    found = re.search(pattern, prose(page))
    assert found, f"{page}: expected a sentence like {pattern!r}"
    assert found.groups() == figures(), f"{page}: the figures are not those of docs/*.json*"


def test_the_training_of_the_demo_takes_the_minutes_of_the_readme() -> None:
    """Forty steps of the benchmark, with the same samples, group size and batch."""
    minutes = 40 * seconds_per_step("verl-vision-r1") / 60
    assert f"{minutes:.0f}" == "3"
    assert "After 40 steps, three minutes on two CPU cores," in prose("README.md")


def test_a_sign_needs_an_interval_that_excludes_zero() -> None:
    assert demo_scale.compared(1.0, *demo_scale.interval([5.0])) == "no difference shown"
    assert demo_scale.compared(1.0, *demo_scale.interval([5.0, 5.1, 5.2])) == "same"
    assert demo_scale.compared(-1.0, *demo_scale.interval([5.0, 5.1, 5.2])) == "other"
