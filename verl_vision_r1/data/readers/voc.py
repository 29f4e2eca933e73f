"""Pascal VOC annotations: one XML file for each image.

Format: http://host.robots.ox.ac.uk/pascal/VOC/. Pixels are counted from 1 and both corners belong to the box, so a box
is `[xmin - 1, ymin - 1, xmax, ymax]` here. Many tools count from 0 instead; such a box is half a pixel off and is cut
at the border. Objects marked `difficult` are kept, and a `part` of an object is not an object.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from verl_vision_r1.boxes import as_boxes
from verl_vision_r1.data.readers.folders import contents, existing, expect_folder
from verl_vision_r1.data.readers.image_size import shown_size
from verl_vision_r1.data.readers.problems import OnProblem, fail
from verl_vision_r1.data.readers.samples import Parts, Read, Sample, clip_box, find_image
from verl_vision_r1.targets import Target

ENDINGS = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")


def find(source: str) -> Parts:
    """The XML files of `annotations/` or `Annotations/`, with the images in `images/` or `JPEGImages/`.

    Where `ImageSets/Main` lists the images of "train", "val" and "test", these are the parts; else all is "all".

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It holds no such files.
    """
    folder = expect_folder(source)
    images = existing(folder / name for name in ("images", "JPEGImages", "."))
    for annotations in existing([folder / "annotations", folder / "Annotations"]):
        if any(annotations.glob("[!.]*.xml")):
            lists = {name: folder / "ImageSets" / "Main" / f"{name}.txt" for name in ("train", "val", "test")}
            parts = {name: file.read_text(encoding="utf-8").split() for name, file in lists.items() if file.is_file()}
            return {name: _reader(annotations, images, stems) for name, stems in parts.items()} or {
                "all": _reader(annotations, images, None)
            }
    raise ValueError(
        f"{source}: expected VOC annotations (annotations/*.xml or Annotations/*.xml), got a folder that holds"
        f" {contents(folder)}"
    )


def _reader(annotations: Path, images: Sequence[Path], stems: Sequence[str] | None) -> Read:
    return lambda on_problem, _: read_voc(annotations, *images, stems=stems, on_problem=on_problem)


def read_voc(
    annotations: Path,
    *images: Path,
    categories: Sequence[str] | None = None,
    stems: Sequence[str] | None = None,
    on_problem: OnProblem = fail,
) -> Iterator[Sample]:
    """Read a folder of VOC files in the order of their names.

    Args:
        annotations: The folder of the XML files.
        images: The folder in which `filename`, or an image named as the XML file, lies; of several, the first.
        categories: The names that may occur; by default all that do, sorted.
        stems: The names of the files to yield, without their ending; by default all.
        on_problem: Told about each bad box and image. A file that is not VOC XML always raises.

    Yields:
        Samples with boxes in `xyxy`. `image_id` is the name of the XML file without its ending.

    Raises:
        FileNotFoundError: The folder holds no XML file, or an image does not exist.
        ValueError: A file is not VOC XML, two name the same image, or a label or box is wrong.
    """
    # Files that begin with a dot are what some systems leave beside the real ones in an archive.
    paths = sorted(annotations.glob("[!.]*.xml"))
    if not paths:
        raise FileNotFoundError(f"{annotations}: expected VOC annotations (*.xml), got none")
    # Read twice rather than kept: seventeen thousand trees take more memory than time.
    names = tuple(categories or sorted({name for path in paths for name in _names(_parse(path))}))
    owners: dict[Path, Path] = {}
    wanted = None if stems is None else set(stems)
    for path in paths:
        if wanted is not None and path.stem not in wanted:
            continue
        root = _parse(path)
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
    boxes, labels, uncertain = [], [], set()
    for index, entry in enumerate(objects):
        where = f"{path} object[{index}]"
        try:
            label = _label(entry, categories, where)
            boxes.append(clip_box(_xyxy(entry, where), width, height, where))
            labels.append(label)
        except ValueError as problem:
            uncertain.add(_text(entry, "name"))
            on_problem(problem)
    target = Target(as_boxes(boxes), tuple(labels), width, height, categories)
    return Sample(image, path.stem, target, uncertain=frozenset(uncertain))


def _size(root: ElementTree.Element, path: Path, image: Path) -> tuple[int, int]:
    if root.find("size") is not None:
        width, height = (int(_number(root, f"size/{key}", str(path))) for key in ("width", "height"))
        if width > 0 and height > 0:
            return width, height
    # Many tools leave the size out or write zeros; the image itself knows.
    return shown_size(image)


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
