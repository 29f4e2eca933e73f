"""V3Det: 213,175 images with boxes of 13,204 categories, in the format of COCO.

Published at https://v3det.openxlab.org.cn and described at https://github.com/V3Det/V3Det. The annotations are under
CC BY 4.0; the images are those of their makers on Flickr. An image, and a box in it:

    {"id": 1, "file_name": "images/n07745046/21_371_29405651261_633d076053_c.jpg", "width": 800, "height": 533}
    {"id": 7, "image_id": 1, "category_id": 5208, "bbox": [120.5, 88.0, 310.25, 295.5], "iscrowd": 0, "area": 91679}

No prompt can hold all categories, so a sample's categories are those that have a box in its image: what is asked is
where the things are that the image does show. No other category is said to be absent. The categories are a tree of
wider and narrower ones, up to "entity" (which is one of them), so a thing without a box of one category may well have
a box of another that it also belongs to. For the same reason an image without any box is no negative.

A name alone does not tell these categories apart, say their makers (V3Det/V3Det#18: a "mouse" is two things). A model
is asked by name, so here categories of one name are one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from verl_vision_r1.data.readers import coco
from verl_vision_r1.data.readers.entries import Entry, value_of
from verl_vision_r1.data.readers.folders import contents, expect_folder
from verl_vision_r1.data.readers.problems import OnProblem, fail
from verl_vision_r1.data.readers.samples import Parts, Read, Sample


def find(source: str) -> Parts:
    """`v3det_2023_v1_train.json` and `v3det_2023_v1_val.json`, in `annotations/` or in the folder itself.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It holds neither file.
    """
    folder = expect_folder(source)
    for place in (folder / "annotations", folder):
        files = {part: place / f"v3det_2023_v1_{part}.json" for part in ("train", "val")}
        if parts := {part: _reader(file, folder) for part, file in files.items() if file.is_file()}:
            return parts
    raise ValueError(
        f"{source}: expected V3Det (annotations/v3det_2023_v1_train.json and images/), got a folder that holds"
        f" {contents(folder)}"
    )


def _reader(annotations: Path, folder: Path) -> Read:
    return lambda on_problem, _: read_v3det(annotations, folder, on_problem=on_problem)


def read_v3det(annotations: Path, *images: Path, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read a file of V3Det as `read_coco` does, but for the names that come twice and the categories of a sample.

    Args:
        annotations: The JSON file.
        images: The folder in which `file_name` lies, which begins with "images/"; of several, the first that holds it.
        on_problem: Told about each bad box and image. Faults of the whole file always raise.

    Yields:
        Samples with boxes in `xyxy`. `image_id` is the file name without its ending.

    Raises:
        FileNotFoundError: The file or an image does not exist.
        ValueError: The file is not COCO JSON, an id comes twice or is unknown, or a box is wrong.
    """
    document = coco.load(annotations)
    names = _names(document["categories"], annotations)
    for sample in coco.read_document(document, coco.File(annotations, images, names, on_problem)):
        yield sample if sample.target.labels else replace(sample, uncertain=sample.uncertain | {""})


def _names(entries: Sequence[Entry], annotations: Path) -> dict[int, str]:
    names: dict[int, str] = {}
    for entry in entries:
        where = f"{annotations} category {entry.get('id')}"
        key, name = value_of(entry, "id", int, where), value_of(entry, "name", str, where)
        if key in names or not name.strip():
            raise ValueError(f"{where}: expected a name, and an id that no other category has, got {name!r}")
        names[key] = name
    return names
