"""Predictions files in verl's format, made from samples and a function that writes the completions."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from verl_vision_r1 import Target
from verl_vision_r1.frames import Size, to_frame, write_size

FRAME = (1000.0, 1000.0)
Model = Callable[[Target], str]
"""Writes the completion for a target."""


def line(target: Target, text: str, *, frame: Size = FRAME, **sample: str) -> dict[str, Any]:
    """One line of a predictions file."""
    facts = {"data_source": "coco/detection", "image_id": "1", "question": "categories", "subject": "", "image": ""}
    return {
        **{"input": "user\nWhere?\nassistant\n", "output": text, "gts": target.to_json(), "score": 0.0, "step": 0},
        **{
            **facts,
            **sample,
            "frame": write_size(frame),
            "clipped": 0.0,
            "uid": f"{sample.get('image_id')}_0_0",
        },
    }


def lines_of(samples: Iterable[dict[str, Any]], model: Model, frame: Size = FRAME) -> Iterator[dict[str, Any]]:
    """A line for each sample."""
    for row in samples:
        extra, target = row["extra_info"], Target.from_json(row["reward_model"]["ground_truth"])
        facts = {name: extra[name] for name in ("image_id", "question", "subject")}
        image = row["images"][0]["image"]
        yield line(target, model(target), frame=frame, data_source=row["data_source"], image=image, **facts)


def write(path: Path, lines: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in lines), encoding="utf-8")
    return path


def exact(target: Target) -> str:
    """A perfect completion, unrounded."""
    boxes = to_frame(target.boxes, (target.width, target.height), FRAME)
    return json.dumps(
        [{"bbox_2d": box, "label": label} for box, label in zip(boxes.tolist(), target.labels, strict=True)]
    )


def narrowed(fraction: float, iou: float, seed: int = 0) -> Model:
    """A random fraction of the boxes, each narrowed to the given IoU; no false positives."""
    generator = np.random.default_rng(seed)

    def model(target: Target) -> str:
        boxes = to_frame(target.boxes, (target.width, target.height), FRAME).copy()
        boxes[:, 2] = boxes[:, 0] + iou * (boxes[:, 2] - boxes[:, 0])
        found = generator.random(len(boxes)) < fraction
        items = zip(boxes[found].tolist(), np.array(target.labels, dtype=object)[found], strict=True)
        return json.dumps([{"bbox_2d": box, "label": label} for box, label in items])

    return model


def perturbed(seed: int, jitter: float = 0.15) -> Model:
    """Boxes that are shifted, missing, duplicated, mislabelled and invented, in random order."""
    generator = np.random.default_rng(seed)

    def model(target: Target) -> str:
        size = np.array([*FRAME, *FRAME])
        boxes = to_frame(target.boxes, (target.width, target.height), FRAME)
        sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
        labels = [
            label if generator.random() > 0.1 else str(generator.choice(target.categories)) for label in target.labels
        ]
        repeats = generator.choice([0, 1, 2], p=[0.2, 0.7, 0.1], size=len(boxes))
        chosen = generator.permutation(np.repeat(np.arange(len(boxes)), repeats))
        moved = boxes[chosen] + generator.normal(0, jitter, (len(chosen), 4)) * sides[chosen]
        invented = generator.random((generator.poisson(0.5), 2, 2)) * 1000
        moved = np.concatenate([moved, np.hstack([invented.min(axis=1), invented.max(axis=1)])])
        names = [labels[index] for index in chosen] + [str(generator.choice(target.categories)) for _ in invented]
        whole = np.clip(moved, 0, size).round().astype(int)
        items = [{"bbox_2d": box, "label": name} for box, name in zip(whole.tolist(), names, strict=True)]
        return "```json\n" + json.dumps(items) + "\n```"

    return model
