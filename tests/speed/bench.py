"""How long scoring takes, beside what cannot be done without and beside what others do, in one run and one thread.

    python tests/speed/bench.py  # or: make bench; writes docs/benchmark.json and a table of docs/development/speed.md

For each number of boxes the contestants take turns, round after round; figures and ratios are medians over the rounds.
"""

import contextlib
import functools
import io
import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from verl_vision_r1 import Target, load_curriculum, load_preset
from verl_vision_r1.rewards.answers import write_json_boxes
from verl_vision_r1.rewards.answers.points import write_points
from verl_vision_r1.rewards.refinement import OFF, Stage
from verl_vision_r1.rewards.scoring import score_completion

DOCS = Path(__file__).resolve().parents[2] / "docs"
RESULTS, PAGE = DOCS / "benchmark.json", DOCS / "development" / "speed.md"
HEADING = "## Measured"
SIZES = (5, 20, 80, 300)
LABELS = ("cat", "dog", "person", "bicycle", "traffic light")
WIDTH, HEIGHT = 1280, 960
ADVANCED = load_curriculum("halfway").stages[-1]
PRESETS = {name: load_preset(name).tasks["detection"] for name in ("vision_r1", "robust")}
POINTING = load_preset("robust").tasks["pointing"]
VERTICES = 40
"""Vertices of an outline."""


def scene(predicted: int, true: int, seed: int = 0) -> tuple[str, Target]:
    """An answer that has most of its boxes near an object, with the right label, and its target."""
    generator = np.random.default_rng(seed)
    corner, size = generator.uniform(0, 800, size=(true, 2)), generator.uniform(20, 150, size=(true, 2))
    boxes = np.hstack([corner, corner + size])
    labels = generator.choice(LABELS, size=true)
    nearest = generator.integers(0, true, size=predicted) if predicted > true else generator.permutation(true)
    moved = boxes[nearest] + generator.normal(0, 4, size=(len(nearest), 4))
    answer = write_json_boxes(np.clip(moved, 0, 959), tuple(labels[nearest].tolist()))
    return answer, Target(boxes, tuple(labels.tolist()), WIDTH, HEIGHT, LABELS)


def ours(preset: str, answer: str, target: Target, stage: Stage) -> Callable[[], Any]:
    """Everything: parse, match, all criteria refined and raw, flags."""
    rules = PRESETS[preset]
    return lambda: score_completion(answer, target, rules, (WIDTH, HEIGHT), stage)


def floor(answer: str, target: Target) -> Callable[[], Any]:
    """The least that any such reward does: decode the list, overlap every pair, assign."""
    text = answer.removeprefix("```json\n").removesuffix("\n```")

    def run() -> Any:
        predicted = np.array([item["bbox_2d"] for item in json.loads(text)], dtype=np.float64)
        first, second = predicted[:, None], target.boxes[None]
        sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
        intersection = np.maximum(sides, 0).prod(axis=2)
        areas = [(boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]) for boxes in (first, second)]
        return linear_sum_assignment(-intersection / (areas[0] + areas[1] - intersection))

    return run


def pycocotools(answer: str, target: Target) -> Callable[[], Any]:
    """An AP for the completion, as VLM-R1 computes it, its printed summary swallowed."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    ids = {label: index for index, label in enumerate(LABELS)}
    text = answer.removeprefix("```json\n").removesuffix("\n```")

    def entry(box: Any, label: str, **more: Any) -> dict[str, Any]:
        x1, y1, x2, y2 = (float(side) for side in box)
        width, height = x2 - x1, y2 - y1
        plain = {"image_id": 0, "category_id": ids[label], "bbox": [x1, y1, width, height], "area": width * height}
        return {**plain, "iscrowd": 0, **more}

    def run() -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO()
            pairs = zip(target.boxes.tolist(), target.labels, strict=True)
            truth.dataset = {
                "images": [{"id": 0, "width": WIDTH, "height": HEIGHT}],
                "categories": [{"id": index, "name": label} for label, index in ids.items()],
                "annotations": [entry(box, label, id=index + 1) for index, (box, label) in enumerate(pairs)],
            }
            truth.createIndex()
            given = truth.loadRes([entry(item["bbox_2d"], item["label"], score=1.0) for item in json.loads(text)])
            evaluation = COCOeval(truth, given, "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return evaluation.stats[0]

    return run


def milliseconds(contestant: Callable[[], Any], calls: int) -> float:
    """Of one call, from several in a row."""
    start = time.perf_counter()
    for _ in range(calls):
        contestant()
    return (time.perf_counter() - start) * 1000 / calls


def compare(contestants: dict[str, Callable[[], Any]], rounds: int, calls: int) -> dict[str, list[float]]:
    """Milliseconds of each contestant by round; all take turns."""
    for contestant in contestants.values():
        contestant()
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            taken[name].append(milliseconds(contestant, 1 if name == "pycocotools" else calls))
    return taken


def size_report(count: int) -> dict[str, Any]:
    """The table's row for `count` boxes on either side."""
    answer, target = scene(count, count)
    contestants = {"floor": floor(answer, target), "pycocotools": pycocotools(answer, target)}
    for preset in PRESETS:
        contestants[preset] = ours(preset, answer, target, OFF)
        contestants[f"{preset}, advanced stage"] = ours(preset, answer, target, ADVANCED)
    taken = compare(contestants, rounds=31, calls=max(1, 400 // count))
    report: dict[str, Any] = {"boxes": count, "ms": {name: statistics.median(times) for name, times in taken.items()}}
    for base in ("floor", "pycocotools"):
        report[f"times {base}"] = {
            name: statistics.median(mine / other for mine, other in zip(times, taken[base], strict=True))
            for name, times in taken.items()
        }
    return report


def point_scene(count: int, seed: int = 0) -> dict[str, tuple[str, Target]]:
    """The boxes of `scene`, and points near the middles of the same targets: without outlines, and with ellipses."""
    answer, target = scene(count, count, seed)
    generator = np.random.default_rng(seed)
    sides, centres = target.boxes[:, 2:] - target.boxes[:, :2], (target.boxes[:, :2] + target.boxes[:, 2:]) / 2
    places = centres + generator.normal(0, 0.1, size=centres.shape) * sides
    text = write_points(np.hstack([places, places]), target.labels)
    turn = np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1) / 2
    outlines = tuple((centre + ring * side,) for centre, side in zip(centres, sides, strict=True))
    pointing = replace(target, task="pointing")
    return {
        "boxes": (answer, target),
        "points": (text, pointing),
        "points, outlines": (text, replace(pointing, outlines=outlines)),
    }


def point_report(count: int) -> dict[str, Any]:
    """The time for `count` boxes and as many points of `robust`, in the advanced stage; points as times the boxes."""
    contestants = {
        name: functools.partial(
            score_completion, *given, PRESETS["robust"] if name == "boxes" else POINTING, (WIDTH, HEIGHT), ADVANCED
        )
        for name, given in point_scene(count).items()
    }
    taken = compare(contestants, rounds=31, calls=max(1, 400 // count))
    times = {
        name: statistics.median(mine / other for mine, other in zip(found, taken["boxes"], strict=True))
        for name, found in taken.items()
    }
    return {"points": count, "ms": {name: statistics.median(found) for name, found in taken.items()}, "times": times}


def crowd_report() -> dict[str, float]:
    """1,000 predictions against 100 objects, in ms."""
    answer, target = scene(1000, 100)
    contestants = {name: ours(name, answer, target, ADVANCED) for name in PRESETS}
    return {name: statistics.median(times) for name, times in compare(contestants, rounds=15, calls=1).items()}


def memory_report(calls: int = 20_000) -> dict[str, float]:
    """Growth of the process's greatest size in MiB over many calls, after as many to warm up."""
    report = {}
    answer, target = scene(20, 20)
    for name in PRESETS:
        contestant = ours(name, answer, target, ADVANCED)
        milliseconds(contestant, calls)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        milliseconds(contestant, calls)
        report[name] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return report


def rendered(results: dict[str, Any]) -> str:
    """The results as the last section of the page."""
    names = [name for name in results["sizes"][0]["ms"] if name not in ("floor", "pycocotools")]
    lines = [HEADING, "", f"{results['machine']}. Times the floor; in brackets, times faster than pycocotools.", ""]
    lines += ["| boxes | floor | pycocotools | " + " | ".join(names) + " |", "|---:" * (3 + len(names)) + "|"]
    for size in results["sizes"]:
        base = [f"{size['ms'][name]:.3f} ms" for name in ("floor", "pycocotools")]
        cells = [f"{size['times floor'][name]:.2f} ({1 / size['times pycocotools'][name]:.0f})" for name in names]
        lines.append(f"| {size['boxes']} | " + " | ".join(base + cells) + " |")
    lines += [
        "",
        "Points with `robust`, advanced stage, as times the same number of boxes; outlines have 40 vertices.",
        "",
    ]
    lines += ["| points | boxes as targets | outlines as targets |", "|---:" * 3 + "|"]
    for size in results["points"]:
        cells = [f"{size['times'][name]:.2f}" for name in ("points", "points, outlines")]
        lines.append(f"| {size['points']} | {' | '.join(cells)} |")
    crowd, growth = results["1000 predictions, 100 objects: ms"], results["growth over 20000 calls: MiB"]
    lines += ["", "| preset | 1,000 predictions, 100 objects | growth over 20,000 calls |", "|---|---:|---:|"]
    lines += [f"| `{name}` | {crowd[name]:.1f} ms | {growth[name]:.1f} MiB |" for name in crowd]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, write the results and the page, and print them."""
    results = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one used; Python {platform.python_version()},"
        f" numpy {np.__version__}",
        "sizes": [size_report(count) for count in SIZES],
        "points": [point_report(count) for count in SIZES],
        "1000 predictions, 100 objects: ms": crowd_report(),
        "growth over 20000 calls: MiB": memory_report(),
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8").partition(HEADING)[0] + rendered(results)
    PAGE.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
