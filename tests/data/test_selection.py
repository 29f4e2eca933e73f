"""Selection of images: limits, the fraction of hard images, difficulty, and the random seed."""

import json
from pathlib import Path
from typing import Any

import pytest

from verl_vision_r1 import Target
from verl_vision_r1.data.readers.samples import Sample
from verl_vision_r1.data.selection import Selection, select


def sample(name: int, boxes: int) -> Sample:
    target = Target([[1, 1, 2 + index, 9] for index in range(boxes)], ["cat"] * boxes, 100, 10)
    return Sample(Path(f"{name}.jpg"), str(name), target)


EASY = [sample(index, 3) for index in range(60)]
HARD = [sample(100 + index, 12) for index in range(20)]


def counts(selection: Selection, samples: list[Sample] = EASY + HARD, seed: int = 0) -> tuple[int, int]:
    kept, left_out = select(samples, selection, seed)
    assert len(kept) + sum(map(len, left_out.values())) == len(samples)
    hard = sum(len(item.target.boxes) > 10 for item in kept)
    return len(kept) - hard, hard


@pytest.mark.parametrize(
    ("options", "easy", "hard"),
    [
        ({}, 60, 20),
        ({"hard_fraction": 0.5}, 20, 20),
        ({"hard_fraction": 0.5, "max_images": 10}, 5, 5),
        ({"hard_fraction": 0.1}, 59, 7),
        ({"hard_fraction": 0.0}, 60, 0),
        ({"hard_fraction": 1.0}, 0, 20),
        ({"max_boxes": 10}, 60, 0),
        ({"min_boxes": 4}, 0, 20),
    ],
)
def test_images_are_chosen(options: dict[str, Any], easy: int, hard: int) -> None:
    assert counts(Selection(**options)) == (easy, hard)


def test_the_choice_depends_on_the_seed_and_not_on_the_order() -> None:
    names = [
        [item.image_id for item in select(samples, Selection(max_images=8, hard_fraction=0.25), seed)[0]]
        for samples, seed in ((EASY + HARD, 0), (HARD[::-1] + EASY, 0), (EASY + HARD, 1))
    ]
    assert names[0] == names[1] != names[2]


def test_difficulty_selects_images(tmp_path: Path) -> None:
    file = tmp_path / "scores.json"
    file.write_text(json.dumps({str(index): index / 60 for index in range(60)}))
    kept, left_out = select(EASY + HARD, Selection(difficulty=file, difficulty_range=(0.25, 0.5)), 0)
    assert sorted(int(item.image_id) for item in kept) == list(range(15, 31))
    assert {reason: len(others) for reason, others in left_out.items()} == {"outside difficulty_range": 64}
    entry = {"data_source": "coco/detection", "question": "category", "subject": "cat", "rollouts": 4}
    measured = [{**entry, "image_id": name, "acc": 0.5, "mean": 2.0, "spread": 0.1} for name in ("3", "3", "4")]
    file.write_text(json.dumps({"samples": measured}))
    assert {item.image_id for item in select(EASY + HARD, Selection(difficulty=file), 0)[0]} == {"3", "4"}
    assert not select(EASY + HARD, Selection(difficulty=file, difficulty_measure="mean"), 0)[0]
    with pytest.raises(ValueError, match=r"difficulty_measure: expected one of acc, mean, spread, got 'reward'"):
        Selection(difficulty_measure="reward")
    file.write_text("[1]")
    with pytest.raises(ValueError, match=r"scores\.json: expected JSON \{image_id: number\}"):
        select(EASY, Selection(difficulty=file), 0)
    with pytest.raises(ValueError, match=r"difficulty_range: expected low <= high, got \(1, 0\)"):
        Selection(difficulty_range=(1, 0))
