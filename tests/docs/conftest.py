"""A folder in which the commands of the pages can be run, and the generators of the pages."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import hydra
import pytest
from compose_once import compose_once

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "docs"))
BOX = {"width": 100, "height": 100, "input_width": 100, "input_height": 100, "boxes": [[0, 0, 50, 50]]}
CASE = {
    "id": "one",
    "completion": '[{"bbox_2d": [0, 0, 50, 50], "label": "cat"}]',
    "target": {**BOX, "labels": ["cat"]},
    "params": {"stage": "off"},
    "expected": {"format": 1, "recall": 1.0, "precision": 1.0, "total": 3.0},
}


@pytest.fixture(scope="session", autouse=True)
def composed_once() -> Iterator[None]:
    """The pages, the generators and the doctor name the same configurations."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hydra, "compose", compose_once)
        yield


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working folder of the pages' commands: data sets, parquet files, predictions, lists, recorded cases."""
    from generators.recipes import composed
    from stand_ins import write_answers, write_sets

    from verl_vision_r1.data.options import Source, Writing
    from verl_vision_r1.data.prepare import prepare

    before, folder = Path.cwd(), tmp_path_factory.mktemp("workspace")
    write_sets(folder / "sets")
    os.chdir(folder)
    prepare([Source("coco", "sets/coco")], Path("asked"), Writing())
    shutil.copytree("asked", "data")
    Path("MODEL").symlink_to(ROOT / "verl_vision_r1" / "demo" / "model")
    shutil.copy(next(Path("sets/coco/images").iterdir()), "photo.jpg")
    for overrides in ([], ["trainer.validation_data_dir=validation"]):
        write_answers(composed("+recipe=vision_r1_qwen7b", *overrides))
    document = json.loads(Path("sets/coco/annotations/instances_val2017.json").read_text(encoding="utf-8"))
    names = {entry["id"]: entry["name"] for entry in document["categories"]}
    asked = {entry["file_name"]: sorted(names.values())[:1] for entry in document["images"]}
    Path("category_list.json").write_text(json.dumps(asked))
    Path("cases.json").write_text(json.dumps({"source": "a page", "cases": [CASE]}))
    yield folder
    os.chdir(before)
