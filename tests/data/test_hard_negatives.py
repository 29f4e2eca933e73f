"""Hard negative samples: absent categories that often occur together, and expressions with one attribute changed."""

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from verl_vision_r1 import Target
from verl_vision_r1.cli import app
from verl_vision_r1.data.hard_negatives import COLOURS, KINDS, SIZES, cooccurring, swapped
from verl_vision_r1.data.options import Source
from verl_vision_r1.data.questions import ONE_CATEGORY
from verl_vision_r1.data.readers.samples import Sample, expression_sample

NAMES = ("cup", "fork", "plate", "zebra", "giraffe")


def scene(number: int, *labels: str, uncertain: tuple[str, ...] = ()) -> Sample:
    boxes = [[10.0 * index, 0.0, 10.0 * index + 8, 8.0] for index in range(len(labels))]
    target = Target(boxes, labels, 100, 100, NAMES)  # type: ignore[arg-type]
    return Sample(Path(f"{number}.jpg"), str(number), target, uncertain=frozenset(uncertain))


TABLE = [scene(0, "cup", "fork", "plate"), scene(1, "cup", "fork"), scene(2, "plate", "fork"), scene(3, "plate")]
SAVANNA = [scene(4, "zebra", "giraffe"), scene(5, "zebra")]


def drawn(samples: list[Sample], count: int, how: str = "category", seed: int = 0) -> list[tuple[str, str]]:
    found = cooccurring(samples, how, count, random.Random(seed))
    return [(question.image_id, question.subject) for question in found]


def test_a_category_that_occurs_together_is_asked_for() -> None:
    found = drawn(TABLE + SAVANNA, 100)
    assert sorted(found) == [("1", "plate"), ("2", "cup"), ("3", "cup"), ("3", "fork"), ("5", "giraffe")]


def test_every_image_gets_one_before_any_gets_a_second() -> None:
    found = Counter(image for image, _ in drawn(TABLE + SAVANNA, 4))
    assert found == Counter({"1": 1, "2": 1, "3": 1, "5": 1})
    assert len(drawn(TABLE + SAVANNA, 2)) == 2


def test_the_likely_category_is_drawn_more_often() -> None:
    # Of the images with a plate, two of three have a fork, and one has a cup.
    first = Counter(dict(drawn(TABLE, 3, seed=seed))["3"] for seed in range(300))
    assert 160 < first["fork"] < 240
    assert first["fork"] + first["cup"] == 300


def test_the_seed_decides() -> None:
    assert drawn(TABLE, 3, seed=1) == drawn(TABLE, 3, seed=1)
    assert len({tuple(drawn(TABLE, 3, seed=seed)) for seed in range(9)}) > 1


def test_what_may_be_there_is_not_asked_for() -> None:
    samples = [*TABLE[:3], scene(3, "plate", uncertain=("fork",)), scene(6, "cup", uncertain=("",)), scene(7)]
    assert sorted(drawn(samples, 100)) == [("1", "plate"), ("2", "cup"), ("3", "cup")]


@pytest.mark.parametrize("how", ONE_CATEGORY)
def test_a_hard_negative_has_an_empty_ground_truth(how: str) -> None:
    for question in cooccurring(TABLE, how, 9, random.Random(0)):
        assert question.target.is_negative
        assert question.question == {"category": "category", "count": "count", "points": "points"}[how]


def expression(text: str, box: tuple[float, ...] = (0, 0, 30, 30), only: str = "car", image: str = "1") -> Sample:
    return replace(expression_sample(Path("1.jpg"), image, text, [list(box)], (100, 100)), only_of=only)


def changed(*questions: Sample, seed: int = 0) -> list[str]:
    found = swapped(questions, 100, random.Random(seed))
    assert all(question.target.is_negative and question.target.task == "grounding" for question in found)
    return [question.subject for question in found]


def test_a_colour_becomes_one_that_it_is_not_taken_for() -> None:
    found = {text for seed in range(40) for text in changed(expression("the red car"), seed=seed)}
    assert found == {f"the {colour} car" for colour in COLOURS["red"]}


def test_a_size_becomes_its_opposite() -> None:
    found = {text for seed in range(40) for text in changed(expression("Small car"), seed=seed)}
    assert found == {f"the {size} car" for size in SIZES["small"]}


@pytest.mark.parametrize(
    ("text", "box", "result"),
    [
        ("left car", (0, 0, 40, 40), ["the right car"]),
        ("left car", (0, 0, 60, 40), []),
        ("right car", (60, 0, 100, 40), ["the left car"]),
        ("right car", (50, 0, 100, 40), []),
        ("the top car", (0, 0, 100, 30), ["the bottom car"]),
        ("bottom car", (0, 70, 100, 100), ["the top car"]),
        ("bottom car", (0, 10, 100, 100), []),
    ],
)
def test_a_side_becomes_the_other_where_the_box_is_clearly_on_it(
    text: str, box: tuple[float, ...], result: list[str]
) -> None:
    assert changed(expression(text, box)) == result


@pytest.mark.parametrize(
    "question",
    [
        expression("the red car", only=""),  # There are other cars, or nobody knows.
        expression("the red truck"),  # Another truck may be blue.
        expression("man next to the red car"),
        expression("red and white car"),
        expression("not the red car"),
        expression("shiny car"),
        expression("car"),
        expression("front car"),
        expression("red player", only="person"),
    ],
)
def test_an_expression_that_may_be_true_after_a_change_is_not_changed(question: Sample) -> None:
    assert changed(question) == []


def test_a_word_of_another_expression_of_the_image_is_not_used() -> None:
    others = [expression(f"{colour} bus", only="") for colour in ("blue", "green", "white")]
    assert {text for seed in range(20) for text in changed(expression("red car"), *others, seed=seed)} == {
        "the black car"
    }
    assert changed(expression("small car"), expression("huge bus", only="")) == []
    elsewhere = [expression(f"{colour} bus", only="", image="2") for colour in COLOURS["red"]]
    assert len(changed(expression("red car"), *elsewhere)) == 1


def test_words_for_people_are_persons() -> None:
    assert changed(expression("left man", only="person")) == ["the right man"]
    assert changed(expression("left man", only="car")) == []


def test_a_question_with_its_own_prompt_is_not_changed() -> None:
    assert changed(replace(expression("red car"), prompt="Where is the red car?")) == []


def coco(folder: Path) -> Path:
    """The scenes as a COCO dataset."""
    samples = TABLE + SAVANNA
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for sample in samples:
        Image.new("RGB", (100, 100)).save(folder / "images" / f"{sample.image_id}.png")
        images.append({"id": int(sample.image_id), "file_name": f"{sample.image_id}.png", "width": 100, "height": 100})
        for box, label in zip(sample.target.boxes.tolist(), sample.target.labels, strict=True):
            entry = {"id": len(annotations) + 1, "image_id": int(sample.image_id), "category_id": NAMES.index(label)}
            annotations.append(entry | {"bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]]})
    categories = [{"id": index, "name": name} for index, name in enumerate(NAMES)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations").mkdir()
    (folder / "annotations" / "instances.json").write_text(json.dumps(document))
    return folder


def test_prepare_counts_hard_negatives(tmp_path: Path) -> None:
    source = coco(tmp_path / "coco")
    command = ["prepare", "coco", "--source", str(source), "--out", str(tmp_path / "out"), "--ask", "category"]
    options = ["--val-fraction", "1", "--negatives", "2", "--hard-negatives", "cooccurrence"]
    result = CliRunner().invoke(app, [*command, *options])
    assert result.exit_code == 0
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines() if "│" in line]
    assert ["negative samples", "5"] in lines
    assert ["hard negatives drawn", "5"] in lines
    assert "hard negatives (cooccurrence): 5 of 22, there are no more" in result.stdout
    rows = pq.read_table(tmp_path / "out" / "val.parquet").to_pylist()
    subjects = sorted(
        row["extra_info"]["subject"]
        for row in rows
        if Target.from_json(row["reward_model"]["ground_truth"]).is_negative
    )
    assert subjects == ["cup", "cup", "fork", "giraffe", "plate"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hard_negatives": "near"}, f"hard_negatives: expected one of {', '.join(KINDS)}, got 'near'"),
        ({"hard_negatives": "attributes"}, "negatives: expected a number above 0 with hard_negatives, got 0"),
        (
            {"hard_negatives": "cooccurrence", "negatives": 0.1},
            "hard_negatives: expected ask=category or count or points with cooccurrence, got 'categories'",
        ),
    ],
)
def test_options_that_exclude_each_other_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Source("coco", "/data/coco", **options)
