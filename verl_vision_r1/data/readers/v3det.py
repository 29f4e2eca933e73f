"""V3Det: 213,175 images with boxes of 13,204 categories, in COCO format.

Published at https://v3det.openxlab.org.cn and described at https://github.com/V3Det/V3Det. The annotations are CC BY
4.0; the images belong to their authors on Flickr. An image, and a box in it:

    {"id": 1, "file_name": "images/n07745046/21_371_29405651261_633d076053_c.jpg", "width": 800, "height": 533}
    {"id": 7, "image_id": 1, "category_id": 5208, "bbox": [120.5, 88.0, 310.25, 295.5], "iscrowd": 0, "area": 91679}

No prompt has room for all categories, so the categories of a sample are those with a box in its image: the question
is where these are. No other category counts as absent: the categories form a tree up to "entity" (itself a category),
and an object may have a box of one category only, although it belongs to several. For the same reason an image
without boxes is not a negative sample.

Some categories share a name (V3Det/V3Det#18: "mouse" is two of them). Prompts use names, and labels are compared
without case, so categories whose names are equal in that form are merged.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from verl_vision_r1.data.readers import coco
from verl_vision_r1.data.readers.folders import contents, expect_folder
from verl_vision_r1.data.readers.problems import OnProblem, Reading, fail
from verl_vision_r1.data.readers.samples import Read, Sample, Splits
from verl_vision_r1.targets import plain_label


def find(source: str) -> Splits:
    """`v3det_2023_v1_train.json` and `v3det_2023_v1_val.json`, in `annotations/` or in the folder itself.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The folder has neither file.
    """
    folder = expect_folder(source)
    for place in (folder / "annotations", folder):
        files = {split: place / f"v3det_2023_v1_{split}.json" for split in ("train", "val")}
        if splits := {split: _reader(file, folder) for split, file in files.items() if file.is_file()}:
            return splits
    raise ValueError(
        f"{source}: expected V3Det (annotations/v3det_2023_v1_train.json and images/), got a folder that contains"
        f" {contents(folder)}"
    )


def find_file(annotations: Path, images: Path | None) -> Splits:
    """One V3Det file, and the folder of its images; by default that of the file.

    Raises:
        FileNotFoundError: The folder does not exist.
    """
    return {"all": _reader(annotations, expect_folder(images or annotations.parent))}


def _reader(annotations: Path, folder: Path) -> Read:
    return lambda on_problem, _: read_v3det(annotations, folder, on_problem=on_problem)


def read_v3det(annotations: Path, *images: Path, on_problem: OnProblem = fail) -> Iterator[Sample]:
    """Read a V3Det file as `read_coco` does, except for repeated names and the categories of a sample.

    Args:
        annotations: The JSON file.
        images: Folders to search for `file_name`, which starts with "images/", in this order.
        on_problem: Called with the error of each invalid box and image. Errors of the file as a whole always raise.

    Yields:
        Samples with boxes in `xyxy`, pixels. `image_id` is the file name without extension.

    Raises:
        FileNotFoundError: The file or an image does not exist.
        ValueError: The file is not COCO JSON, an id is repeated or unknown, or a box is invalid.
    """
    document = coco.load(annotations)
    names = coco.names_of(document["categories"], f"{annotations} category", unique=False)
    spelling: dict[str, str] = {}
    names = {key: spelling.setdefault(plain_label(name), name) for key, name in names.items()}
    for sample in coco.read_document(document, coco.File(annotations, images, names, Reading.of(on_problem))):
        yield sample if sample.target.labels else replace(sample, uncertain=sample.uncertain | {""})
