"""`vision-r1 predict`: predictions for a file, a folder or the images of a COCO file, drawn and written."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verl_vision_r1.data.progress import progress
from verl_vision_r1.data.readers.classification import ENDINGS
from verl_vision_r1.data.readers.entries import Key
from verl_vision_r1.data.readers.problems import fail
from verl_vision_r1.predict.detector import Detector
from verl_vision_r1.predict.drawing import draw
from verl_vision_r1.predict.files import CocoFile, lines_of, write_lines
from verl_vision_r1.predict.images import Item, annotated_items, items_of, readable
from verl_vision_r1.predict.prediction import Prediction


@dataclass(frozen=True)
class Request:
    """What to predict on, and what to write.

    Attributes:
        source: An image, or a folder.
        names: What to find; empty for the categories of the annotations.
        annotations: COCO file with the images and the ids; None for all images of the source.
        draw: Output file for the drawing of an image, output folder for those of a folder.
        coco: Output file in COCO format.
        predictions: Output file for `vision-r1 evaluate`.
        skip_bad: Pass over images that cannot be used.

    Raises:
        ValueError: There is nothing to find, an output needs annotations, or drawings would replace the images.
    """

    source: Path
    names: tuple[str, ...] = ()
    annotations: Path | None = None
    draw: Path | None = None
    coco: Path | None = None
    predictions: Path | None = None
    skip_bad: bool = False

    def __post_init__(self) -> None:
        if not self.names and self.annotations is None:
            raise ValueError("--find: expected names, or --annotations with the categories to find, got neither")
        if self.predictions is not None and self.annotations is None:
            raise ValueError("--predictions: expected --annotations with the ground truth to evaluate, got none")
        if self.draw is not None and self.draw.absolute() == self.source.absolute():
            raise ValueError(f"--draw: expected another place than the images, got {self.draw}")
        if self.draw is not None and self.source.is_file() and self.draw.suffix.lower() not in ENDINGS:
            raise ValueError(f"--draw: expected a file that ends in {', '.join(ENDINGS)}, got {self.draw}")


@dataclass
class Outcome:
    """What was predicted and written.

    Attributes:
        images: Number of images.
        boxes: Number of predicted boxes.
        unparsed: Images with a completion that could not be parsed.
        unknown: Boxes whose label is none of the names, which the COCO file leaves out.
        skipped: Errors of the images that were passed over.
        written: The files and folders that were written.
    """

    images: int = 0
    boxes: int = 0
    unparsed: int = 0
    unknown: int = 0
    skipped: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)


def predict(request: Request, detector: Detector, show: Callable[[Item, Prediction], None]) -> Outcome:
    """Predict, draw and write.

    Args:
        request: What to predict on.
        detector: The model.
        show: Called with each prediction as soon as there is one.

    Raises:
        FileNotFoundError, ValueError: An image or the annotations cannot be used.
    """
    if (request.draw or request.coco or request.predictions) and not detector.asking.finds_boxes:
        raise ValueError(
            f"--ask {detector.asking.kind}: expected no --draw, --coco or --predictions: it finds no boxes"
        )
    outcome = Outcome()
    items, categories = _items(request, _skipping(outcome) if request.skip_bad else fail)
    names = list(request.names or categories or ())
    coco, lines = CocoFile(names, categories), list[str]()
    found = detector.find_all((item.open() for item in items), names)
    for item, prediction in zip(items, progress(found, total=len(items), desc="predict", unit="image"), strict=True):
        show(item, prediction)
        outcome.images += 1
        outcome.boxes += len(prediction.boxes)
        outcome.unparsed += not prediction.parsed
        coco.add(item, prediction)
        if request.draw is not None:
            _draw(item, prediction, request.draw if request.source.is_file() else request.draw / item.name)
        if request.predictions is not None and request.annotations is not None:
            lines += lines_of(item, prediction, f"{request.annotations.stem}/detection")
    outcome.unknown = coco.unknown
    if request.coco is not None:
        coco.write(request.coco)
    if request.predictions is not None:
        write_lines(request.predictions, lines)
    outcome.written = [str(path) for path in (request.draw, request.coco, request.predictions) if path is not None]
    return outcome


def _skipping(outcome: Outcome) -> Callable[[Exception], Any]:
    return lambda problem: outcome.skipped.append(str(problem))


def _items(request: Request, on_problem: Callable[[Exception], Any]) -> tuple[list[Item], dict[str, Key] | None]:
    if request.annotations is None:
        items, categories = items_of(request.source), None
    else:
        items, categories = annotated_items(request.source, request.annotations, on_problem)
    items = readable(items, on_problem)
    if not items:
        raise ValueError(f"{request.source}: expected at least one image that can be used, got none")
    return items, categories


def _draw(item: Item, prediction: Prediction, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(prediction, item.open()).save(path)
