"""The images to predict on: one file, a folder, or those of a COCO file."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from verl_vision_r1.data.progress import progress
from verl_vision_r1.data.readers.classification import ENDINGS
from verl_vision_r1.data.readers.coco import File, read_document
from verl_vision_r1.data.readers.coco_document import categories_of, image_ids, images_of, load
from verl_vision_r1.data.readers.entries import Key
from verl_vision_r1.data.readers.folders import contents
from verl_vision_r1.data.readers.problems import OnProblem, Reading
from verl_vision_r1.documents import expect_regular
from verl_vision_r1.predict.upright import open_upright
from verl_vision_r1.targets import Target


@dataclass(frozen=True, eq=False)
class Item:
    """One image.

    Attributes:
        path: The file.
        name: Its path in the folder, or its name in the COCO file.
        key: Its id in COCO's formats.
        image_id: Its name in predictions files.
        target: The ground truth of the COCO file; None without one.
    """

    path: Path
    name: str
    key: Key
    image_id: str
    target: Target | None = None

    def open(self) -> Image.Image:
        """The image as `open_upright` opens it, of the size that the COCO file states."""
        return open_upright(self.path, None if self.target is None else (self.target.width, self.target.height))


def items_of(source: Path) -> list[Item]:
    """The images of a folder, its subfolders included, sorted by path; or one image.

    Raises:
        FileNotFoundError: There is no such file or folder.
        ValueError: The folder has no images, or the file is not a regular file.
    """
    if not source.is_dir():
        expect_regular(source)
        return [Item(source, source.name, 1, source.stem)]
    found = sorted(path for path in source.rglob("[!.]*") if path.suffix.lower() in ENDINGS and path.is_file())
    if not found:
        raise ValueError(f"{source}: expected a folder with images ({', '.join(ENDINGS)}), got {contents(source)}")
    names = [path.relative_to(source) for path in found]
    return [
        Item(path, name.as_posix(), number, name.with_suffix("").as_posix())
        for number, (path, name) in enumerate(zip(found, names, strict=True), 1)
    ]


def annotated_items(source: Path, annotations: Path, on_problem: OnProblem) -> tuple[list[Item], dict[str, Key]]:
    """The images that a COCO file lists, and its category ids by name.

    Args:
        source: Folder of the images; for one image, only that image is returned.
        annotations: The COCO file.
        on_problem: Called with the error of each invalid box and missing image.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: The file is not COCO JSON, or does not list the image; or what `on_problem` raises.
    """
    one = source.is_file()
    folder = source.parent if one else source
    reading, document = Reading((lambda _: None) if one else on_problem), load(annotations)
    names = categories_of(document, annotations, reading)
    categories: dict[str, Key] = {}
    for number, name in names.items():
        categories.setdefault(name, number)
    entries = images_of(document["images"], annotations, lenient=True)
    keys = {name: key for key, name in image_ids(entries).items()}
    samples = read_document(document, File(annotations, (folder,), names, reading, tuple(categories)))
    chosen = [(keys[sample.image_id], sample) for sample in samples if not one or sample.image.samefile(source)]
    items = [
        Item(sample.image, entries[key]["file_name"], key, sample.image_id, sample.target) for key, sample in chosen
    ]
    if not items:
        raise ValueError(f"{annotations}: expected a file that lists images of {source}, got {len(entries)} others")
    return items, categories


def readable(items: Sequence[Item], on_problem: Callable[[Exception], Any]) -> list[Item]:
    """The images that can be opened, in their order. Progress goes to stderr.

    Args:
        items: The images. All of them are decoded, so that a bad one is known before a model is loaded.
        on_problem: Called with the error of each image that cannot be opened.
    """
    kept = []
    with ThreadPoolExecutor() as pool:
        problems = progress(pool.map(_problem, items), total=len(items), desc="images", unit="image")
        for item, problem in zip(items, problems, strict=True):
            if problem is None:
                kept.append(item)
            else:
                on_problem(problem)
    return kept


def _problem(item: Item) -> Exception | None:
    try:
        item.open()
    except (ValueError, OSError) as problem:
        return problem
    return None
