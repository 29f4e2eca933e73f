"""Pascal VOC annotations: one XML file per image.

Format: http://host.robots.ox.ac.uk/pascal/VOC/. Pixels are counted from 1 and both corners belong to the box, so a box
is `[xmin - 1, ymin - 1, xmax, ymax]` here. Many tools count from 0 instead; such a box is half a pixel off and is
clipped at the border. Objects marked `difficult` are kept; a `part` of an object is not read.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from verl_vision_r1.boxes import as_boxes
from verl_vision_r1.data.readers.entries import is_name
from verl_vision_r1.data.readers.folders import SPLIT_OF, contents, existing, expect_folder, note_unread
from verl_vision_r1.data.readers.image_size import shown_size
from verl_vision_r1.data.readers.problems import OnProblem, Reading, fail
from verl_vision_r1.data.readers.samples import Read, Sample, Splits, find_image, fit_box
from verl_vision_r1.data.readers.voc_lists import find_lists, listed_files, without_lists
from verl_vision_r1.documents import expect_regular
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import MAX_SIDE, Target

ENDINGS = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")


def find(source: str) -> Splits:
    """The XML files of `annotations/` or `Annotations/`, with the images in `images/` or `JPEGImages/`.

    If `ImageSets/Main` lists the images of "train", "val", "trainval" and "test", these are the splits; otherwise
    "all". Roboflow's exports have XML files and images side by side in `train/`, `valid/` and `test/`; both may also
    be in the folder itself.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The folder has no such files.
    """
    folder = expect_folder(source)
    images = existing(folder / name for name in ("images", "JPEGImages", "."))
    for annotations in existing([folder / "annotations", folder / "Annotations"]):
        if files := _files(annotations):
            return _by_lists(annotations, files, images, find_lists(folder))
    parts = {split: folder / name for name, split in SPLIT_OF.items() if _files(folder / name)}
    if parts or _files(folder):
        parts = parts or {"all": folder}
        every = [path for part in parts.values() for path in _files(part)]
        return {split: _reader(part, [part], _files(part), every) for split, part in parts.items()}
    raise ValueError(
        f"{source}: expected VOC annotations (annotations/*.xml, Annotations/*.xml, or *.xml next to the images in the"
        f" folder or in train/ and valid/), got a folder that contains {contents(folder)}"
    )


def find_file(annotations: Path, images: Path | None) -> Splits:
    """A folder of XML files, and the folder of their images; by default the same one.

    Raises:
        FileNotFoundError: A folder does not exist, or has no XML files.
    """
    folder = expect_folder(annotations)
    if not (files := _files(folder)):
        raise FileNotFoundError(f"{annotations}: expected VOC annotations (*.xml), got none")
    return {"all": _reader(folder, [expect_folder(images or folder)], files, files)}


def _files(folder: Path) -> list[Path]:
    # Some systems add files that start with a dot to archives.
    return sorted(folder.glob("[!.]*.xml"))


def _by_lists(annotations: Path, files: list[Path], images: Sequence[Path], lists: dict[str, Path]) -> Splits:
    if not lists:
        return {"all": _reader(annotations, images, files, files)}
    splits = {split: _reader(annotations, images, files, files, [listing]) for split, listing in lists.items()}
    if "trainval" in lists and "val" in lists:
        splits.setdefault(
            "train", _reader(annotations, images, files, files, [lists["trainval"]], but_not=lists["val"])
        )
    return splits


def _reader(
    annotations: Path,
    images: Sequence[Path],
    files: Sequence[Path],
    every: Sequence[Path],
    lists: Sequence[Path] = (),
    but_not: Path | None = None,
) -> Read:
    """A reader of some files of a folder, with the categories of `every` file of the dataset."""

    def read(on_problem: OnProblem, _: Path) -> Iterator[Sample]:
        reading, by_stem, chosen = Reading.of(on_problem), {path.stem: path for path in files}, list(files)
        for listing in lists:
            chosen = sorted(listed_files(listing, by_stem, reading))
            others = {path.stem: path for path in listing.parent.glob("*.txt") if path.stem in (*SPLIT_OF, "default")}
            note_unread(reading, without_lists(files, others), annotations)
        if but_not is not None:
            chosen = sorted(set(chosen) - set(listed_files(but_not, by_stem)))
        return read_voc(annotations, *images, files=chosen, every=every, on_problem=reading)

    return read


def read_voc(
    annotations: Path,
    *images: Path,
    categories: Sequence[str] | None = None,
    files: Sequence[Path] | None = None,
    every: Sequence[Path] | None = None,
    on_problem: OnProblem = fail,
) -> Iterator[Sample]:
    """Read a folder of VOC files in the order of their names.

    Args:
        annotations: Folder of the XML files.
        images: Folders to search for `filename`, or for an image named like the XML file, in this order.
        categories: The allowed names; by default all that occur, sorted.
        files: The files to read; by default all of the folder.
        every: The files whose names are categories; by default all of the folder.
        on_problem: Called with the error of each invalid box and image. A file that is not VOC XML always raises.

    Yields:
        Samples with boxes in `xyxy`, pixels. `image_id` is the name of the XML file without extension.

    Raises:
        FileNotFoundError: The folder has no XML file, or an image does not exist.
        ValueError: A file is not VOC XML, two files name the same image, or a label or box is invalid.
    """
    reading, paths = Reading.of(on_problem), _files(annotations)
    if not paths:
        raise FileNotFoundError(f"{annotations}: expected VOC annotations (*.xml), got none")
    # The files are read twice to save memory: seventeen thousand trees take more memory than time.
    names = tuple(categories or sorted({name for path in every or paths for name in _names(_parse(path))}))
    owners: dict[Path, Path] = {}
    for path in paths if files is None else files:
        root = _parse(path)
        try:
            image = _image(root, path, images)
            if owners.setdefault(image, path) != path:
                raise ValueError(f"{path}: expected a unique image, got {image}, which {owners[image]} also names")
            size = _size(root, path, image)
        except (ValueError, OSError) as problem:
            reading.defect(problem, "image missing or defective", len(root.findall("object")))
        else:
            yield _sample(root, path, image, size, names, reading)


def _parse(path: Path) -> ElementTree.Element:
    expect_regular(path)
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # The last two for an unknown encoding.
        raise ValueError(f"{path}: expected VOC XML, got a file that is not XML: {error}") from error
    if root.tag != "annotation":
        raise ValueError(f"{path}: expected VOC XML with the root <annotation>, got <{root.tag}>")
    return root


def _names(root: ElementTree.Element) -> list[str]:
    return [name for entry in root.findall("object") if (name := _text(entry, "name"))]


def _text(entry: ElementTree.Element, tag: str) -> str:
    return (entry.findtext(tag) or "").strip()


def _image(root: ElementTree.Element, path: Path, folders: Sequence[Path]) -> Path:
    """The image that the file names, or else the one named like the file."""
    alike = [path.stem + ending for ending in ENDINGS]
    if named := _text(root, "filename"):
        try:
            return find_image(folders, [named], str(path), foreign=True)
        except (ValueError, FileNotFoundError):
            alike.insert(0, named)
    image = find_image(folders, alike, str(path))
    same = {other.resolve() for name in alike[-len(ENDINGS) :] if (other := image.with_name(name)).is_file()}
    if len(same) > 1:
        raise ValueError(
            f"{path}: expected one image named like the file, got {sorted(same)[0]} and {sorted(same)[1]}"
        )
    return image


def _sample(
    root: ElementTree.Element,
    path: Path,
    image: Path,
    size: tuple[int, int],
    categories: tuple[str, ...],
    reading: Reading,
) -> Sample:
    boxes, labels, uncertain = [], [], set()
    for index, entry in enumerate(root.findall("object")):
        where = f"{path} object[{index}]"
        try:
            label = _label(entry, categories, where)
            if (count := len(entry.findall("bndbox"))) != 1:
                raise ValueError(f"{where}: expected one <bndbox>, got {count}")
            boxes.append(fit_box(_xyxy(entry, where), size, where, reading))
            labels.append(label)
        except ValueError as problem:
            uncertain.add(_text(entry, "name"))
            reading.defect(problem)
    target = Target(as_boxes(boxes), tuple(labels), *size, categories)
    return Sample(image, path.stem, target, uncertain=frozenset(uncertain))


def _size(root: ElementTree.Element, path: Path, image: Path) -> tuple[int, int]:
    if _text(root, "size/width") and _text(root, "size/height"):
        width, height = (_number(root, f"size/{key}", str(path)) for key in ("width", "height"))
        if not max(width, height) <= MAX_SIDE:
            raise ValueError(f"{path}: expected <size> up to {MAX_SIDE} pixels, got {width:g}x{height:g}")
        if width >= 1 and height >= 1:
            return int(width), int(height)
    # Many tools omit the size or write zeros; the image itself has it.
    return shown_size(image)


def _number(entry: ElementTree.Element, tag: str, where: str) -> float:
    try:
        return float(_text(entry, tag))
    except ValueError as error:
        raise ValueError(f"{where}: expected a number in <{tag}>, got {shown(entry.findtext(tag))}") from error


def _label(entry: ElementTree.Element, categories: tuple[str, ...], where: str) -> str:
    name = _text(entry, "name")
    if name not in categories or not is_name(name):
        raise ValueError(f"{where}: expected <name> to be one of {shown(list(categories))}, got {shown(name)}")
    return name


def _xyxy(entry: ElementTree.Element, where: str) -> list[float]:
    xmin, ymin, xmax, ymax = (_number(entry, f"bndbox/{key}", where) for key in ("xmin", "ymin", "xmax", "ymax"))
    return [xmin - 1, ymin - 1, xmax, ymax]
