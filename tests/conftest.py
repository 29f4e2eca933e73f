"""What several files share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of shapes, and a tiny model with random weights."""
    from verl_vision_r1.data.options import Source, Writing
    from verl_vision_r1.data.prepare import prepare
    from verl_vision_r1.demo.shapes import write_shapes
    from verl_vision_r1.demo.teach import read_rows, texts_of
    from verl_vision_r1.demo.tiny_model import build_tiny_model

    folder = tmp_path_factory.mktemp("shapes")
    source = Source("coco", str(write_shapes(folder / "source", "train", 12)))
    prepare([source], folder, Writing(val_fraction=0.25))
    build_tiny_model(folder / "model", texts_of(read_rows(folder / "train.parquet")))
    return folder
