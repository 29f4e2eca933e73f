"""Pascal VOC annotations: one XML file per image.

Format: http://host.robots.ox.ac.uk/pascal/VOC/. Pixels are counted from 1 and both corners belong to the box, so a box
is `[xmin - 1, ymin - 1, xmax, ymax]` here. Many tools count from 0 instead; such a box is half a pixel off and is
clipped at the border. Objects marked `difficult` are kept; a `part` of an object is not read.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from verl_vision_r1.boxes import as_boxes
from verl_vision_r1.data.readers.folders import contents, existing, expect_folder
from verl_vision_r1.data.readers.image_size import shown_size
from verl_vision_r1.data.readers.problems import OnProblem, fail
from verl_vision_r1.data.readers.samples import Read, Sample, Splits, clip_box, find_image
from verl_vision_r1.targets import Target

ENDINGS = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")


def find(source: str) -> Splits:
    """The XML files of `annotations/` or `Annotations/`, with the images in `images/` or `JPEGImages/`.

    If `ImageSets/Main` lists the images of "train", "val" and "test", these are the splits; otherwise "all".

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The folder has no such files.
    """
    folder = expect_folder(source)
    images = existing(folder / name for name in ("images", "JPEGImages", "."))
    for annotations in existing([folder / "annotations", folder / "Annotations"]):
        if any(annotations.glob("[!.]*.xml")):
            lists = {name: folder / "ImageSets" / "Main" / f"{name}.txt" for name in ("train", "val", "test")}
            splits = {name: file.read_text(encoding="utf-8").split() for name, file in lists.items() if file.is_file()}
            return {name: _reader(annotations, images, stems) for name, stems in splits.items()} or {
                "all": _reader(annotations, images, None)
            }
    raise ValueError(
        f"{source}: expected VOC annotations (annotations/*.xml or Annotations/*.xml), got a folder that contains"
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
        annotations: Folder of the XML files.
        images: Folders to search for `filename`, or for an image named like the XML file, in this order.
        categories: The allowed names; by default all that occur, sorted.
        stems: Names of the files to yield, without extension; by default all.
        on_problem: Called with the error of each invalid box and image. A file that is not VOC XML always raises.

    Yields:
        Samples with boxes in `xyxy`, pixels. `image_id` is the name of the XML file without extension.

    Raises:
        FileNotFoundError: The folder has no XML file, or an image does not exist.
        ValueError: A file is not VOC XML, two files name the same image, or a label or box is invalid.
    """
    # Some systems add files that start with a dot to archives.
    paths = sorted(annotations.glob("[!.]*.xml"))
    if not paths:
        raise FileNotFoundError(f"{annotations}: expected VOC annotations (*.xml), got none")
    # The files are read twice to save memory: seventeen thousand trees take more memory than time.
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
                raise ValueError(f"{path}: expected a unique image, got {image}, which {owners[image]} also names")
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
    # Many tools omit the size or write zeros; the image itself has it.
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
