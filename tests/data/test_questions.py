"""The questions about an image: only those with a known answer."""

import random
from pathlib import Path

import pytest

from verl_vision_r1 import Target
from verl_vision_r1.data.questions import ask, negatives
from verl_vision_r1.data.readers.samples import Sample

CATEGORIES = ("cat", "dog", "person", "zebra")
SCENE = Target(
    [[0, 0, 40, 40], [60, 0, 70, 10], [85, 50, 95, 60], [50, 50, 90, 90]],
    ["dog", "dog", "dog", "cat"],
    100,
    100,
    CATEGORIES,
)


def sample(target: Target = SCENE, **fields: object) -> Sample:
    return Sample(Path("1.jpg"), "1", target, **fields)  # type: ignore[arg-type]


def test_one_category_at_a_time() -> None:
    dogs, cats = ask([sample()], "category")
    assert (dogs.question, dogs.subject, cats.subject) == ("category", "dog", "cat")
    assert (len(dogs.target.boxes), dogs.target.categories) == (3, ("dog",))
    assert cats.target.boxes.tolist() == [[50, 50, 90, 90]]
    assert [question.subject for question in ask([sample(uncertain=frozenset({"dog"}))], "category")] == ["cat"]


def test_an_expression_refers_to_one_object() -> None:
    found = {question.subject: question.target.boxes.tolist() for question in ask([sample()], "referring")}
    assert found == {
        "the largest dog": [[0, 0, 40, 40]],
        "the leftmost dog": [[0, 0, 40, 40]],
    }
    assert ask([sample(uncertain=frozenset({"dog"}))], "referring") == []
    first = ask([sample()], "referring")[0]
    assert (first.target.task, first.target.labels, first.question) == (
        "grounding",
        ("the largest dog",),
        "expression",
    )


def test_the_class_is_asked_for_if_all_objects_share_it() -> None:
    alone = Target([[0, 0, 40, 40], [50, 50, 90, 90]], ["dog", "dog"], 100, 100, CATEGORIES)
    (question,) = ask([sample(), sample(alone)], "class")
    assert (question.target.task, question.target.labels, len(question.target.boxes)) == (
        "classification",
        ("dog",),
        0,
    )


def test_objects_are_counted() -> None:
    counts = {question.subject: question.target.count for question in ask([sample()], "count")}
    assert counts == {"dog": 3, "cat": 1}


def test_questions_of_a_dataset_are_unchanged() -> None:
    own = sample(question="own", prompt="What now?")
    assert ask([own], "category") == [own]


@pytest.mark.parametrize("how", ["category", "count"])
def test_only_annotated_categories_can_be_absent(how: str) -> None:
    asked = negatives([sample(), sample(uncertain=frozenset({"zebra"}))], how, 10, random.Random(0))
    assert sorted(question.subject for question in asked) == ["person", "person", "zebra"]
    assert all(question.target.instances == 0 and not len(question.target.boxes) for question in asked)
    assert negatives([sample(uncertain=frozenset({""}))], how, 10, random.Random(0)) == []


def test_an_image_without_objects_is_a_negative_sample_and_a_crowd_is_not() -> None:
    empty = Target([], [], 100, 100, CATEGORIES)
    asked = negatives(
        [sample(), sample(empty), sample(empty, uncertain=frozenset({"dog"}))], "categories", 5, random.Random(0)
    )
    assert [question.target is empty for question in asked] == [True]
    assert asked[0].uncertain == frozenset()
    assert negatives([sample()], "referring", 5, random.Random(0)) == []


def test_the_same_random_seed_draws_the_same_negative_samples() -> None:
    chosen = [negatives([sample()] * 50, "category", 3, random.Random(seed)) for seed in (0, 0, 1)]
    subjects = [[question.subject for question in questions] for questions in chosen]
    assert subjects[0] == subjects[1]
    assert len(chosen[2]) == 3
