"""Samples of real photographs, where available, and of synthetic images."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from verl_vision_r1 import Target
from verl_vision_r1.data.options import Source, Writing
from verl_vision_r1.data.parquet import make_row
from verl_vision_r1.data.prepare import prepare

SETS = Path(__file__).parents[3] / "shared" / "data"


def _samples_of(name: str, folder: str, out: Path) -> list[Any]:
    if not (SETS / folder).is_dir():
        pytest.skip(f"shared/data/{folder} is not available")
    prepare([Source(name, str(SETS / folder), keep_empty=True)], out, Writing(image_check="none"))
    return [row for file in ("train", "val") for row in pq.read_table(out / f"{file}.parquet").to_pylist()]


@pytest.fixture(scope="session")
def coco128(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """One sample for each photograph of COCO128, about all categories."""
    return _samples_of("coco", "coco128", tmp_path_factory.mktemp("coco128"))


@pytest.fixture(scope="session")
def coco128_annotations(coco128: list[Any]) -> Path:
    """The annotation file of COCO128, with crowds."""
    return SETS / "coco128" / "annotations" / "instances.json"


@pytest.fixture(scope="session")
def raccoon(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """One sample for each photograph of raccoons."""
    return _samples_of("voc", "raccoon", tmp_path_factory.mktemp("raccoon"))


@pytest.fixture(scope="session")
def scattered() -> list[Any]:
    """Samples of sixty synthetic images in two data sets; objects of three categories, none of which overlap."""
    generator = np.random.default_rng(5)
    names = ["ant", "bee", "cow"]
    rows = []
    for index in range(60):
        cells = generator.choice(25, size=generator.integers(0, 7), replace=False)
        boxes = [
            [cell % 5 * 100 + 10, cell // 5 * 100 + 10, cell % 5 * 100 + 90, cell // 5 * 100 + 90] for cell in cells
        ]
        labels = generator.choice(names, len(cells)).tolist()
        target = Target(boxes, labels, width=500, height=500, categories=names)
        rows.append(
            make_row(
                data_source=f"made_up/{'ab'[index % 2]}/detection",
                image=Path(f"/made_up/{index}.jpg"),
                target=target,
                **{
                    "prompt": "Where?",
                    "image_id": str(index),
                    "split": "val",
                    "index": index,
                    "question": "categories",
                },
            )
        )
    return rows
