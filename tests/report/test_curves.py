"""Reward curves: means by step, data source and criterion, and the stages of the curriculum."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import pytest
from run_on_disk import Run, boxes_text

from verl_vision_r1.evaluation.predictions.predictions_file import read_predictions
from verl_vision_r1.report.curves import figures, means_of, read_means
from verl_vision_r1.report.rollout_files import find_rollout_files
from verl_vision_r1.targets import Target
from verl_vision_r1.training.groups import KINDS

TARGET = Target([[0, 0, 100, 100]], ["cat"], width=400, height=300)


def figures_of(run: Run, criteria: Sequence[str] = ("format", "recall", "precision")) -> tuple[Any, Any, Any]:
    """The means, the figure of all completions, and those by data source."""
    means = read_means(
        find_rollout_files(run.write()), lambda file: means_of(read_predictions(file)), lambda items, **_: items
    )
    found = figures(means, criteria)
    return means, found["overall"], found["by_source"]


def trace(figure: dict[str, Any], name: str) -> dict[int, float]:
    (found,) = [trace for trace in figure["data"] if trace["name"] == name]
    return dict(zip(found["x"], found["y"], strict=True))


def test_a_point_is_the_mean_over_the_completions_of_a_step(run: Run) -> None:
    completions = {
        step: [boxes_text(((0, 0, 100, width), "cat")) for width in (90, 60 + step, 30)] for step in (1, 2, 3, 4)
    }
    for step, texts in completions.items():
        run.add(texts[:2], TARGET, image="", step=step, source="a")
        run.add(texts[2:], TARGET, image="", step=step, source="b")
    run.add(completions[1], TARGET, image="", kind="validation", step=4, source="a")
    means, overall, drawn = figures_of(run)
    assert set(drawn) == {"a", "b"}
    for figure, lines in ((overall, slice(0, 3)), (drawn["a"], slice(0, 2)), (drawn["b"], slice(2, 3))):
        recorded = {step: [line["total"] for line in run.lines["training", step]][lines] for step in completions}
        assert trace(figure, "total") == pytest.approx({step: fmean(values) for step, values in recorded.items()})
    assert trace(drawn["a"], "total, validation").keys() == {4}
    assert not [found for found in drawn["b"]["data"] if "validation" in found["name"]]
    # Raw values decrease with the IoU; refined ones differ under stricter thresholds.
    assert trace(overall, "precision_raw") != trace(overall, "precision")
    assert "format_raw" not in {found["name"] for found in overall["data"]}
    assert (means["training"][1].completions, means["training"][1].tasks) == (3, {"detection"})


def test_acc_and_the_kinds_of_groups_are_drawn(run: Run) -> None:
    exact = boxes_text(((0, 0, 100, 100), "cat"))
    run.add([exact, exact], TARGET, image="", step=1)
    run.add([exact, "cat"], TARGET, image="", step=1, image_id="1")
    run.add(["[]", "[]"], TARGET, image="", kind="validation", step=1)
    _, overall, _ = figures_of(run)
    assert trace(overall, "acc") == {1: 0.75}
    assert trace(overall, "acc, validation") == {1: 0}
    assert trace(overall, "groups/all_right") == {1: 0.5}
    assert trace(overall, "groups/same_score") == {1: 0.5}
    hidden = {found["name"] for found in overall["data"] if found.get("visible") == "legendonly"}
    assert hidden == {f"groups/{kind}" for kind in KINDS}


def test_the_start_of_a_stage_is_marked(run: Run) -> None:
    for step in (1, 2, 3, 4):
        run.add(["[]"], TARGET, image="", step=step)
    _, overall, _ = figures_of(run)
    (line,) = overall["layout"]["shapes"]
    assert (line["x0"], line["x1"]) == (2.5, 2.5)
    (annotation,) = overall["layout"]["annotations"]
    assert annotation["text"] == "stage 1: xi0 0.75, xi1 0.75, xi2 0.9"


def test_markup_in_a_name_is_escaped_for_plotly(run: Run) -> None:
    run.add(["[]"], TARGET, image="")
    for line in run.lines["training", 1]:
        line |= {"<b>x": 1.0, "<b>x_raw": 0.5}
    _, overall, _ = figures_of(run, ["<b>x"])
    names = {found["name"] for found in overall["data"] if not found["name"].startswith("groups/")}
    assert names == {"total", "acc", "&lt;b&gt;x", "&lt;b&gt;x_raw"}


def test_a_source_of_any_name_has_its_own_figure(run: Run) -> None:
    for source in ("all", "overall", "by_source", "__proto__", ""):
        run.add([boxes_text(((0, 0, 100, 90), "cat"))], TARGET, image="", source=source)
    run.add(["[]"], TARGET, image="", source="b")
    means, overall, drawn = figures_of(run)
    assert set(drawn) == {"all", "overall", "by_source", "__proto__", "", "b"}
    assert trace(drawn["all"], "total") == {1: 3.0}
    assert trace(overall, "total") == pytest.approx({1: (5 * 3.0 + 1.0) / 6})
    assert means["training"][1].completions == 6
