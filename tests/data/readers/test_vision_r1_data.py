"""Rows of Vision-R1-Data become one of three questions, recognised by their text; every error names the row."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from PIL import Image

from verl_vision_r1.data.readers.problems import fail
from verl_vision_r1.data.readers.samples import Sample
from verl_vision_r1.data.readers.vision_r1_data import find

DETECTION = (
    "Examine the image for any objects from the category set. Report the coordinates of each detected object."
    " The category set includes {}."
)
GROUNDING = "Locate the exact position of {} in the picture, if you can."
REC = "Can you point out {} in the image and provide the coordinates of its location?"

TEXT, NUMBER = datasets.Value("string"), datasets.Value("int64")
FEATURES = datasets.Features(
    {
        **{"image": datasets.Image(), "problem": TEXT, "solution": TEXT, "width": NUMBER, "height": NUMBER},
        **{"num_instances": NUMBER, "target_id_maps": TEXT},
    }
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def encoded(red: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (red, 0, 0)).save(buffer, "JPEG")
    return buffer.getvalue()


def make(problem: str, solution: Any, names: Any = None, **changes: Any) -> dict[str, Any]:
    """A row; `names` are those of `target_id_maps`."""
    row = {
        **{"image": encoded(0), "problem": problem, "width": 40, "height": 30, "num_instances": 1},
        "solution": solution if isinstance(solution, str) else json.dumps(solution),
        "target_id_maps": json.dumps({name: number for number, name in enumerate(names, 1)}) if names else None,
    }
    return row | changes


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., list[Sample]]:
    """Save rows as a dataset and read them back."""

    def run(*rows: dict[str, Any], on_problem: Any = fail, features: datasets.Features = FEATURES) -> list[Sample]:
        columns: dict[str, list[Any]] = {name: [row.get(name) for row in rows] for name in features}
        columns["image"] = [held and {"bytes": held, "path": None} for held in columns["image"]]
        dataset = datasets.Dataset.from_dict(columns, features=features)
        datasets.DatasetDict({"train": dataset}).save_to_disk(str(tmp_path / "saved"))
        return list(find(str(tmp_path / "saved"))["train"](on_problem, tmp_path / "images"))

    return run


TWO = [["cat", [[1, 2, 11, 12]]], ["Dog", [[5.5, 6, 40, 30]]]]


def test_detection_asks_about_the_listed_names(read: Callable[..., list[Sample]], tmp_path: Path) -> None:
    (sample,) = read(make(DETECTION.format("cat, Dog, hot dog"), TWO, ["cat", "dog", "hot dog"]))
    assert (sample.question, sample.subject, sample.prompt, sample.image_id) == (
        "categories",
        "",
        None,
        "train-000000",
    )
    assert sample.target.boxes.tolist() == [[1, 2, 11, 12], [5.5, 6, 40, 30]]
    assert (sample.target.labels, sample.target.categories) == (("cat", "Dog"), ("cat", "Dog", "hot dog"))
    assert (sample.target.task, sample.target.width, sample.target.height) == ("detection", 40, 30)
    assert sample.image.read_bytes() == encoded(0)
    assert sample.image.is_relative_to(tmp_path / "images")


def test_grounding_asks_about_one_category(read: Callable[..., list[Sample]]) -> None:
    (sample,) = read(make(GROUNDING.format("fire, hydrant"), [["fire, hydrant", [[1, 2, 11, 12]]]]))
    assert (sample.question, sample.subject, sample.target.task) == ("category", "fire, hydrant", "detection")
    assert (sample.target.labels, sample.target.categories) == (("fire, hydrant",), ("fire, hydrant",))


def test_grounding_of_several_categories_asks_about_all(read: Callable[..., list[Sample]]) -> None:
    one, two = read(
        make(GROUNDING.format("cat, Dog"), [], ["cat, dog", "cat"]),
        make(GROUNDING.format("cat, Dog"), TWO, ["cat", "dog"]),
    )
    assert (one.question, one.subject, one.target.categories) == ("category", "cat, Dog", ("cat, Dog",))
    assert (two.question, two.subject, two.target.categories) == ("categories", "", ("cat", "Dog"))


def test_an_expression_is_the_label_of_every_box(read: Callable[..., list[Sample]]) -> None:
    expression = "the man in the image on the left, with a hat"
    (sample,) = read(make(REC.format(expression), TWO, ["cat", "dog"]))
    assert (sample.question, sample.subject, sample.target.task) == ("expression", expression, "grounding")
    assert (sample.target.labels, sample.target.categories) == ((expression, expression), ())


@pytest.mark.parametrize(
    "solution", [[["cat", [1, 2, 11, 12]], ["cat", [3, 4, 9, 10]]], [["cat", [[1, 2, 11, 12], [3, 4, 9, 10]]]]]
)
def test_flat_and_several_boxes_are_read(read: Callable[..., list[Sample]], solution: Any) -> None:
    (sample,) = read(make(DETECTION.format("cat"), solution))
    assert sample.target.boxes.tolist() == [[1, 2, 11, 12], [3, 4, 9, 10]]
    assert sample.target.labels == ("cat", "cat")


@pytest.mark.parametrize(
    ("listed", "names", "categories"),
    [
        ("Cat, dog", None, ("Cat", "dog")),
        ("shell, empty, Cat", ["shell, empty", "cat"], ("shell, empty", "Cat")),
        ("shell, empty, Cat", None, ("shell", "empty", "Cat")),
        ("Cat, dog, owl", ["cat"], ("Cat", "dog", "owl")),
        ("Cat", ["cat", "dog"], ("Cat",)),
        ("Cat; dog", ["cat", "dog"], ("CAT", "dog")),
        ("Cat, Cat", ["cat"], ("Cat",)),
    ],
)
def test_the_names_of_a_list(
    read: Callable[..., list[Sample]], listed: str, names: Any, categories: tuple[str, ...]
) -> None:
    (sample,) = read(make(DETECTION.format(listed), [["CAT", [[1, 2, 11, 12]]]], names))
    assert sample.target.categories == categories
    assert sample.target.labels == (next(name for name in categories if name.lower() == "cat"),)


def test_no_boxes_make_a_negative_sample(read: Callable[..., list[Sample]]) -> None:
    for sample in read(*(make(words.format("cat"), []) for words in (DETECTION, GROUNDING, REC))):
        assert (len(sample.target.boxes), sample.uncertain) == (0, frozenset())


def test_images_of_several_rows_are_one(read: Callable[..., list[Sample]]) -> None:
    rows = [make(GROUNDING.format("cat"), [], image=encoded(red)) for red in (0, 9, 0)]
    assert [sample.image_id for sample in read(*rows)] == ["train-000000", "train-000001", "train-000000"]
    named = [row | {"ids": number} for row, number in zip(rows, [70, 70, 71], strict=True)]
    features = datasets.Features({**FEATURES, "ids": NUMBER})
    assert [sample.image_id for sample in read(*named, features=features)] == ["70", "70-train-000001", "70"]


CAT = DETECTION.format("cat")
ERRORS: list[tuple[dict[str, Any], str]] = [
    (make("Where is the cat?", []), r"expected a problem in one of .* got 'Where is the cat\?'"),
    (make(DETECTION.format(" , "), []), "expected a problem in one of Vision-R1's prompt templates"),
    (make(CAT, []) | {"problem": None}, "expected a problem in one of Vision-R1's prompt templates"),
    (make(CAT, "cat"), "solution: expected a JSON string, got 'cat'"),
    (make(CAT, []) | {"solution": None}, "solution: expected a JSON string, got None"),
    (make(CAT, "[" * 100_000), r"solution: expected a JSON string, got '\[\["),
    (make(CAT, {"cat": 1}), "solution: expected a JSON list, got {'cat': 1}"),
    (make(CAT, [["cat"]]), r"solution\[0\]: expected \[label, \[\[x1, y1, x2, y2\]\]\], got \['cat'\]"),
    (make(CAT, [[1, [[1, 2, 3, 4]]]]), r"solution\[0\]: expected \[label, "),
    (make(CAT, [["dog", [[1, 2, 3, 4]]]]), r"solution\[0\]: expected one of the categories \['cat'\], got 'dog'"),
    (make(GROUNDING.format("cat"), [["dog", [[1, 2, 3, 4]]]]), r"expected one of the categories \['cat'\], got 'dog'"),
    (
        make(CAT, [["cat", [[1, 2, 3]]]]),
        r"solution\[0\]: expected a box .* of four numbers, got \[1, 2, 3\]",
    ),
    (make(CAT, [["cat", []]]), r"solution\[0\]: expected a box \[x1, y1, x2, y2\] of four numbers, got \[\]"),
    (
        make(CAT, [["cat", [[1, 2, "3", 4]]]]),
        r"expected a box .* of four numbers, got \[1, 2, '3', 4\]",
    ),
    (make(CAT, [["cat", [[5, 2, 3, 4]]]]), r"solution\[0\]: expected x1 < x2 and y1 < y2"),
    (make(CAT, [["cat", [[1, 2, 43, 4]]]]), r"solution\[0\]: expected a box inside 40x30 pixels"),
    (make(CAT, '[["cat", [[1, NaN, 3, 4]]]]'), "of four numbers, got .*nan"),
    (make(CAT, [], width=0), "expected 'width' to be a whole number of pixels above 0, got 0"),
    (make(CAT, [], height=None), "expected 'height' to be a whole number of pixels above 0, got None"),
    (make(CAT, [], target_id_maps="[1]"), r"target_id_maps: expected JSON {name: number}, got '\[1\]'"),
    (make(CAT, [], target_id_maps="cat"), "target_id_maps: expected a JSON string, got 'cat'"),
    (make(CAT, [], image=None), "expected the bytes of an image, got None"),
]


@pytest.mark.parametrize(("row", "message"), ERRORS)
def test_an_error_is_named(read: Callable[..., list[Sample]], row: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r"saved train row 1") as caught:
        read(make(CAT, []), row)
    assert caught.match(message)


def test_bad_items_can_be_skipped(read: Callable[..., list[Sample]]) -> None:
    bad, unknown = [["cat", [[9, 9, 9, 9]]], *TWO], [["owl", [[1, 2, 3, 4]]], *TWO]
    problems: list[Exception] = []
    samples = read(
        *(make(DETECTION.format("cat, dog"), solution, image=encoded(9)) for solution in (bad, unknown)),
        *(make(words.format("cat"), bad[:2]) for words in (GROUNDING, REC)),
        make("?", []),
        make(CAT, []),
        on_problem=problems.append,
    )
    assert [(len(sample.target.boxes), sample.uncertain) for sample in samples] == [
        (2, {"cat"}),
        (2, {""}),
        (0, set()),
    ]
    places = [str(problem).split(":")[0].split(" train ")[1] for problem in problems]
    assert places == ["row 0 solution[0]", "row 1 solution[0]", "row 2 solution[0]", "row 3 solution[0]", "row 4"]


def test_another_dataset_is_named(tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"problem": ["?"], "solution": ["!"]}).save_to_disk(str(tmp_path))
    with pytest.raises(
        ValueError, match=r"expected Vision-R1-Data with the columns image, .* got problem, solution in"
    ):
        find(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="gone: expected the folder of a dataset"):
        find(str(tmp_path / "gone"))
