"""`vision-r1 difficulty`: from rollout files to a file that `prepare` and the sampler read."""

import json
from pathlib import Path
from typing import Any

import pytest
from prediction_lines import line, write
from typer.testing import CliRunner

from verl_vision_r1 import Target
from verl_vision_r1.cli import app
from verl_vision_r1.data.difficulty import by_image, identity_of, read_difficulty
from verl_vision_r1.evaluation.difficulty import difficulty_of, summary, write_difficulty

TARGET = Target([[0, 0, 100, 100]], ["cat"], width=400, height=300)


def rollout(image: str, total: float, acc: float, **sample: Any) -> dict[str, Any]:
    return {**line(TARGET, "[]", image_id=image, **sample), "total": total, "acc": acc}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two steps of rollouts of two images; the first has two questions."""
    (tmp_path / "rollouts").mkdir()
    write(tmp_path / "rollouts" / "1.jsonl", [rollout("7", 1.0, 0.0), rollout("7", 2.0, 1.0), rollout("8", 3.0, 1.0)])
    write(tmp_path / "rollouts" / "2.jsonl", [rollout("7", 0.0, 0.0), rollout("7", 0.5, 0.0, subject="cat")])
    (tmp_path / "rollouts" / "metrics.jsonl").write_text("{}\n")
    return tmp_path / "rollouts"


def test_a_sample_has_the_rollouts_of_all_files(folder: Path) -> None:
    samples = difficulty_of([folder])
    assert [(sample.image_id, sample.subject, sample.rollouts) for sample in samples] == [
        ("7", "", 3),
        ("7", "cat", 1),
        ("8", "", 1),
    ]
    assert samples[0].mean == pytest.approx(1.0)
    assert samples[0].spread == pytest.approx((2 / 3) ** 0.5)
    assert samples[0].acc == pytest.approx(1 / 3)
    assert difficulty_of([folder / "1.jsonl", folder / "2.jsonl"]) == samples


def test_the_file_is_read_as_it_was_written(folder: Path, tmp_path: Path) -> None:
    samples = difficulty_of([folder])
    write_difficulty(tmp_path / "new" / "difficulty.json", samples)
    assert read_difficulty(tmp_path / "new" / "difficulty.json") == samples
    assert by_image(samples, "acc") == pytest.approx({"7": 1 / 6, "8": 1.0})
    extra = {"image_id": "7", "question": "categories", "subject": "cat", "split": "train"}
    assert samples[1].identity == identity_of("coco/detection", extra)
    assert identity_of("a", None) == ("a", "", "", "")


def test_the_summary_counts_what_teaches_nothing(folder: Path) -> None:
    found = summary(difficulty_of([folder]))
    assert (found["samples"], found["rollouts"]) == (3, 5)
    assert (found["solved"], found["hopeless"], found["same_reward"]) == (1, 1, 2)


def test_the_command(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "difficulty.json"
    result = CliRunner().invoke(app, ["difficulty", str(folder), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "3 samples, 5 rollouts: 1 samples solved, 1 hopeless" in result.output
    shown = CliRunner().invoke(app, ["difficulty", str(folder), "--out", str(out), "--json"])
    assert json.loads(shown.output)["hopeless"] == 1
    assert len(read_difficulty(out)) == 3


def test_mistakes_name_the_file(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a folder with rollout files \(STEP\.jsonl\), got none"):
        difficulty_of([tmp_path])
    with pytest.raises(FileNotFoundError, match=r"gone\.jsonl"):
        difficulty_of([tmp_path / "gone.jsonl"])
    old = rollout("7", 1.0, 0.0)
    del old["acc"]
    write(tmp_path / "3.jsonl", [old])
    with pytest.raises(ValueError, match=r"3\.jsonl line 1: expected the keys total and acc, got "):
        difficulty_of([tmp_path / "3.jsonl"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "expected the JSON file of `vision-r1 difficulty`, got"),
        ('{"samples": []}', "expected the JSON file of `vision-r1 difficulty`, got"),
        ('{"samples": [{"image_id": 7}]}', "sample 0: expected texts in the keys data_source, image_id"),
        (
            '{"samples": [{"data_source": "", "image_id": "", "question": "", "subject": "", "rollouts": "x"}]}',
            "sample 0: rollouts: expected a number, got 'x'",
        ),
    ],
)
def test_another_file_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "difficulty.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_difficulty(file)
