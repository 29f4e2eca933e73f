"""Pascal VOC annotations: one XML file for each image.

Format: http://host.robots.ox.ac.uk/pascal/VOC/. Pixels are counted from 1 and both corners belong to the box, so a box
is `[xmin - 1, ymin - 1, xmax, ymax]` here. Many tools count from 0 instead; such a box is half a pixel off and is cut
at the border. Objects marked `difficult` are kept, and a `part` of an object is not an object.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image

from verl_vision_r1.boxes import as_boxes
from verl_vision_r1.data.problems import OnProblem, fail
from verl_vision_r1.data.samples import Sample, clip_box, find_image
from verl_vision_r1.targets import Target

ENDINGS = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")


def read_voc(
    annotations: Path,
    *images: Path,
    categories: Sequence[str] | None = None,
    on_problem: OnProblem = fail,
) -> Iterator[Sample]:
    """Read a folder of VOC files in the order of their names.

    Args:
        annotations: The folder of the XML files.
        images: The folder in which `filename`, or an image named as the XML file, lies; of several, the first.
        categories: The names that may occur; by default all that do, sorted.
        on_problem: Told about each bad box and image. A file that is not VOC XML always raises.

    Yields:
        Samples with boxes in `xyxy`. `image_id` is the name of the XML file without its ending.

    Raises:
        FileNotFoundError: The folder holds no XML file, or an image does not exist.
        ValueError: A file is not VOC XML, two name the same image, or a label or box is wrong.
    """
    # Files that begin with a dot are what some systems leave beside the real ones in an archive.
    documents = {path: _parse(path) for path in sorted(annotations.glob("[!.]*.xml"))}
    if not documents:
        raise FileNotFoundError(f"{annotations}: expected VOC annotations (*.xml), got none")
    names = tuple(categories or sorted({name for root in documents.values() for name in _names(root)}))
    owners: dict[Path, Path] = {}
    for path, root in documents.items():
        try:
            image = find_image(images, _image_names(root, path), str(path))
            if owners.setdefault(image, path) != path:
                raise ValueError(f"{path}: expected an image of its own, got {image}, which {owners[image]} names")
            sample = _sample(root, path, image, names, on_problem)
        except (ValueError, FileNotFoundError) as problem:
            on_problem(problem)
        else:
            yield sample


def _parse(path: Path) -> ElementTree.Element:
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(f"{path}: expected VOC XML, got a file that is not XML: {error}") from error
    if root.tag != "annotation":
        raise ValueError(f"{path}: expected VOC XML with the root <annotation>, got <{root.tag}>")
    return root


def _names(root: ElementTree.Element) -> list[str]:
    return [name for entry in root.findall("object") if (name := _text(entry, "name"))]


def _text(entry: ElementTree.Element, tag: str) -> str:
    return (entry.findtext(tag) or "").strip()


def _image_names(root: ElementTree.Element, path: Path) -> list[str]:
    named = _text(root, "filename")
    return [*([named] if named else []), *(path.stem + ending for ending in ENDINGS)]


def _sample(
    root: ElementTree.Element, path: Path, image: Path, categories: tuple[str, ...], on_problem: OnProblem
) -> Sample:
    width, height = _size(root, path, image)
    objects = root.findall("object")
    boxes, labels = [], []
    for index, entry in enumerate(objects):
        where = f"{path} object[{index}]"
        try:
            label = _label(entry, categories, where)
            boxes.append(clip_box(_xyxy(entry, where), width, height, where))
            labels.append(label)
        except ValueError as problem:
            on_problem(problem)
    target = Target(as_boxes(boxes), tuple(labels), width, height, categories)
    return Sample(image, path.stem, target, partial=len(boxes) < len(objects))


def _size(root: ElementTree.Element, path: Path, image: Path) -> tuple[int, int]:
    if root.find("size") is not None:
        width, height = (int(_number(root, f"size/{key}", str(path))) for key in ("width", "height"))
        if width > 0 and height > 0:
            return width, height
    # Many tools leave the size out or write zeros; the image itself knows.
    try:
        with Image.open(image) as opened:
            return opened.size
    except OSError as error:
        raise ValueError(f"{image}: expected an image, got a file that cannot be opened: {error}") from error


def _number(entry: ElementTree.Element, tag: str, where: str) -> float:
    try:
        return float(_text(entry, tag))
    except ValueError as error:
        raise ValueError(f"{where}: expected a number in <{tag}>, got {entry.findtext(tag)!r}") from error


def _label(entry: ElementTree.Element, categories: tuple[str, ...], where: str) -> str:
    name = _text(entry, "name")
    if name not in categories:
        raise ValueError(f"{where}: expected <name> to be one of {list(categories)!r:.200}, got {name!r}")
    return name


def _xyxy(entry: ElementTree.Element, where: str) -> list[float]:
    xmin, ymin, xmax, ymax = (_number(entry, f"bndbox/{key}", where) for key in ("xmin", "ymin", "xmax", "ymax"))
    return [xmin - 1, ymin - 1, xmax, ymax]
