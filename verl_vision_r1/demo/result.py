"""Result of the demo: F1 and AP on held-out images before and after, a picture of some images, reward curves."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console

from verl_vision_r1.demo.plan import Demo

if TYPE_CHECKING:
    from verl_vision_r1.evaluation.evaluate import Evaluation

PROTOCOL: Final = "plain"
SCENES: Final = 6
"""Number of images in the picture."""
CRITERIA: Final = ("format", "recall", "precision", "total")


def show_result(demo: Demo, console: Console) -> dict[str, Any]:
    """Evaluate the greedy predictions on the validation samples before the first step and after the last.

    Returns:
        `before` and `after`: AP, F1_50 and F1 in [0, 1]; `pictures`: paths of the pictures.
    """
    from verl_vision_r1.evaluation.compare import compare
    from verl_vision_r1.evaluation.presentation.tables import changes, plain, show

    before, after = (evaluated(demo, step) for step in (0, demo.steps))
    show(list(changes(compare(before, after))), console)
    numbers = {name: (_overall(before, name), _overall(after, name)) for name in ("AP", "F1_50", "F1")}
    for name, (first, last) in numbers.items():
        times = f", {last / first:.2f} times the initial value" if first else ""
        console.print(plain(f"{name}: {100 * first:.1f} before, {100 * last:.1f} after{times}"))
    return {
        "before": {name: first for name, (first, _) in numbers.items()},
        "after": {name: last for name, (_, last) in numbers.items()},
        "pictures": [str(_draw_scenes(demo, before, after)), str(_draw_curves(demo))],
    }


def evaluated(demo: Demo, step: int) -> "Evaluation":
    """Evaluate the greedy predictions of a step."""
    from verl_vision_r1.evaluation.evaluate import evaluate
    from verl_vision_r1.evaluation.measure import Effort

    predictions = demo.validations / f"{step}.jsonl"
    return evaluate(predictions, demo.rows / "val.parquet", PROTOCOL, effort=Effort(permutations=0))


def _overall(evaluation: "Evaluation", name: str) -> float:
    """A measure of detection, averaged over the data sets."""
    means = evaluation.means.get("detection")
    return (means or evaluation.sets[0].values)[name]


def _draw_scenes(demo: Demo, before: "Evaluation", after: "Evaluation") -> Path:
    """Draw the first images of the largest data set."""
    from verl_vision_r1.evaluation.presentation.gallery import draw_before_after

    sets = [max(run.sets, key=lambda measured: len(measured.images)) for run in (before, after)]
    tables = [measured.tables for measured in sets if measured.tables is not None]
    runs = [(name, table.detections, table.by_image) for name, table in zip(("before", "after"), tables, strict=True)]
    truth, path = tables[0].truth, demo.folder / "before_after.jpg"
    draw_before_after(truth, runs, range(min(SCENES, len(truth.images))), path)
    return path


def _draw_curves(demo: Demo) -> Path:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for name, points in read_curves(demo.metrics).items():
        axes.plot(*zip(*points, strict=True), marker=".", label=name)
    axes.set(xlabel="step", ylabel="mean of the rollouts", title="Reward components during training")
    axes.legend(frameon=False)
    path = demo.folder / "curves.png"
    figure.savefig(path, dpi=110)
    return path


def read_curves(metrics: Path) -> dict[str, list[tuple[int, float]]]:
    """Read the mean of each reward component in each training step.

    Args:
        metrics: The file of verl's `file` logger.

    Returns:
        (step, mean over the data sources) by component, for the logged components.
    """
    curves: dict[str, list[tuple[int, float]]] = {}
    for line in metrics.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        for name in CRITERIA:
            values = [
                float(value)
                for key, value in entry["data"].items()
                if key.startswith("critic/vision_r1/") and key.endswith(f"/{name}/mean")
            ]
            if values:
                curves.setdefault(name, []).append((int(entry["step"]), sum(values) / len(values)))
    return curves
