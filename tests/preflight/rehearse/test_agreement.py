"""The estimate against the rehearsals of the recipes, which docs/rehearsals.json keeps."""

import json
from pathlib import Path

import pytest

from verl_vision_r1.preflight.estimate import training
from verl_vision_r1.preflight.estimate.plan import Assumptions, make_plan

pytestmark = pytest.mark.verl

REHEARSED = json.loads((Path(__file__).parents[3] / "docs" / "rehearsals.json").read_text(encoding="utf-8"))
KINDS = (
    ("weights", "parameters", 0.02),
    ("gradients", "gradients", 0.02),
    ("optimizer", "moments", 0.02),
    ("activations", "activations", 0.1),
)


DIFFERENT = {tuple(result["training"].values()): name for name, result in REHEARSED.items() if result["training"]}
"""One recipe of each that have the same peak."""


@pytest.mark.parametrize("recipe", sorted(DIFFERENT.values()))
def test_the_estimate_is_that_of_the_rehearsal(recipe: str) -> None:
    plan = make_plan([f"+recipe={recipe}"], Assumptions())
    figures = {figure.name: figure.value for figure in training.figures(plan)}
    found = REHEARSED[recipe]["training"]
    for figure, kind, tolerance in KINDS:
        if not _is_partial(kind, found, figures[figure]):
            assert figures[figure] == pytest.approx(found[kind], rel=tolerance), figure
    if _is_partial("activations", found, figures["activations"]):
        assert figures["peak: optimizer step"] == pytest.approx(sum(found.values()) + training.RESERVE, rel=0.02)


def _is_partial(kind: str, found: dict[str, float], estimated: float) -> bool:
    """At the highest peak, the backward pass may not have made all gradients yet, or may be over."""
    partial = kind == "gradients" and found[kind] < estimated / 2
    over = kind == "activations" and found[kind] < estimated / 100
    return partial or over
