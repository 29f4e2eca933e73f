"""The files of a prediction: COCO results, and predictions files as verl's validation writes them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from verl_vision_r1.data.readers.entries import Key
from verl_vision_r1.documents import replaced
from verl_vision_r1.frames import write_size
from verl_vision_r1.predict.images import Item
from verl_vision_r1.predict.prediction import Prediction


class CocoFile:
    """Collects predictions in COCO format.

    With the ids of an annotation file the result is COCO's results format, a list for `pycocotools` (`loadRes`) and
    FiftyOne. Without one it is a COCO file with its own images and categories, in which every annotation has a score.

    Args:
        names: The names that were asked for.
        categories: Category ids by name, of an annotation file; None without one.

    Raises:
        ValueError: A name is no category of the annotation file.

    Attributes:
        unknown: Number of boxes without one of the names, which the file leaves out.
    """

    def __init__(self, names: list[str], categories: Mapping[str, Key] | None = None) -> None:
        self.own = categories is None
        self.categories = dict(categories or {name: number for number, name in enumerate(names, 1)})
        if missing := [name for name in names if name not in self.categories]:
            raise ValueError(
                f"--find: expected categories of the annotations, {', '.join(self.categories)}, got {missing[0]!r}"
            )
        self.images: list[dict[str, Any]] = []
        self.results: list[dict[str, Any]] = []
        self.unknown = 0

    def add(self, item: Item, prediction: Prediction) -> None:
        """Add the prediction for an image."""
        size = {"width": prediction.size[0], "height": prediction.size[1]}
        self.images.append({"id": item.key, "file_name": item.name, **size})
        boxes = zip(prediction.boxes.tolist(), prediction.labels, prediction.scores.tolist(), strict=True)
        for (x1, y1, x2, y2), label, score in boxes:
            if label in self.categories:
                box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}
                self.results.append({"image_id": item.key, "category_id": self.categories[label], **box})
            else:
                self.unknown += 1

    def write(self, path: Path) -> None:
        """Write the file."""
        _write(path, json.dumps(self._document() if self.own else self.results))

    def _document(self) -> dict[str, Any]:
        annotations = [
            {"id": number, **result, "area": result["bbox"][2] * result["bbox"][3], "iscrowd": 0}
            for number, result in enumerate(self.results, 1)
        ]
        categories = [{"id": number, "name": name} for name, number in self.categories.items()]
        return {"images": self.images, "annotations": annotations, "categories": categories}


def lines_of(item: Item, prediction: Prediction, data_source: str) -> Iterator[str]:
    """The lines of a predictions file for `vision-r1 evaluate`, one for each question.

    Args:
        item: An image with ground truth.
        prediction: The prediction for it.
        data_source: Name of the data set and the task.
    """
    for reply in prediction.replies:
        question = reply.question
        texts = {"input": question.text, "output": reply.completion, "gts": item.target.to_json()}  # type: ignore[union-attr]
        facts = {"image_id": item.image_id, "question": question.kind, "subject": question.subject}
        place = {
            "data_source": data_source,
            "image": str(item.path.absolute()),
            "frame": write_size(reply.frame),
            "step": 0,
        }
        yield json.dumps({**texts, **facts, **place})


def write_lines(path: Path, lines: list[str]) -> None:
    """Write a predictions file."""
    _write(path, "".join(line + "\n" for line in lines))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
