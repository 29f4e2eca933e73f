"""Several datasets in one command: a summary of each, and errors in the file that lists them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from verl_vision_r1.cli import app
from verl_vision_r1.data.mix import read_mix


def write(folder: Path, document: Any) -> Path:
    path = folder / "mix.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_samples_of_several_datasets_are_mixed(
    coco: Callable[..., Path], voc: Callable[..., Path], tmp_path: Path
) -> None:
    coco(), voc()
    parts = [
        {"name": "coco", "source": "coco", "ask": "category", "negatives": 1.0, "alias": "one"},
        {"name": "coco", "source": "coco", "ask": "class", "max_samples": 2, "max_boxes": 5},
        {"name": "voc", "source": str(tmp_path / "voc")},
    ]
    out = tmp_path / "out"
    arguments = ["prepare", "mix", "--source", str(write(tmp_path, {"parts": parts})), "--out", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    train = pq.read_table(out / "train.parquet").to_pylist()
    sources = [row["data_source"] for row in train]
    assert {name: sources.count(name) for name in set(sources)} == {
        **{"one/detection": 8, "coco/classification": 2, "voc/detection": 4}
    }
    assert sources != sorted(sources)
    assert [row["extra_info"]["index"] for row in train] == list(range(14))
    assert "left out: over max_samples" in result.stdout
    assert "train.parquet: 14 samples" in result.stdout.replace("\n", "")
    # No image is in both files of one dataset.
    val = pq.read_table(out / "val.parquet").to_pylist()
    for name in ("one", "coco", "voc"):
        images = [
            {row["extra_info"]["image_id"] for row in rows if row["data_source"].startswith(name)}
            for rows in (train, val)
        ]
        assert not images[0] & images[1]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], r"mix\.yaml: expected the key parts with a list of datasets, got \[\]"),
        ({"parts": []}, "expected the key parts with a list"),
        ({"parts": [{"name": "coco"}]}, r"parts\[0\]: expected at least the keys name and source"),
        ({"parts": [{"name": "coco", "source": "x", "share": 1}]}, r"parts\[0\]: .* got also \['share'\]"),
        (
            {"parts": [{"name": "coco", "source": "x", "max_samples": 0}]},
            r"parts\[0\]: max_samples: expected a number above 0, got 0",
        ),
        ({"parts": [{"name": "coco", "source": "x", "max_boxes": "many"}]}, r"parts\[0\]: "),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, document: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_mix(write(tmp_path, document))


def test_a_file_that_is_not_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "mix.yaml").write_text("parts: [")
    with pytest.raises(ValueError, match=r"mix\.yaml: expected YAML"):
        read_mix(tmp_path / "mix.yaml")


def test_a_source_that_is_no_folder_stays_a_name(tmp_path: Path) -> None:
    (tmp_path / "scores.json").write_text(json.dumps({}))
    parts = [
        {"name": "virft", "source": "someone/ViRFT_COCO", "difficulty": "scores.json", "difficulty_range": [0, 0.5]}
    ]
    (source,) = read_mix(write(tmp_path, {"parts": parts}))
    assert source.source == "someone/ViRFT_COCO"
    assert source.selection.difficulty == tmp_path / "scores.json"
    assert source.selection.difficulty_range == (0, 0.5)
