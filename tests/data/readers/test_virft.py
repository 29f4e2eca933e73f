"""Rows of the ViRFT datasets keep prompt and solution; boxes are converted to pixels; every error names the row."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from PIL import Image

from verl_vision_r1.data.readers.problems import fail
from verl_vision_r1.data.readers.samples import Sample
from verl_vision_r1.data.readers.virft import find
from verl_vision_r1.rewards.presets import load_prompts
from verl_vision_r1.targets import Target

TEXT = datasets.Value("string")
FEATURES = datasets.Features({"image": datasets.Image(), "problem": TEXT, "solution": TEXT})
PROMPTS = load_prompts("visual_rft")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def encoded(red: int = 0, size: tuple[int, int] = (640, 480)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA", size, (red, 0, 0, 255)).save(buffer, "PNG")
    return buffer.getvalue()


def words(question: str, subject: str) -> str:
    return PROMPTS.text(question, Target([], [], 8, 6), subject)


def detection(solution: Any, category: str = "bear", **changes: Any) -> dict[str, Any]:
    return {"image": encoded(), "problem": words("category", category), "solution": solution} | changes


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., list[Sample]]:
    """Write rows as the Hub serves them and read them back."""

    def run(*rows: dict[str, Any], on_problem: Any = fail) -> list[Sample]:
        columns: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in FEATURES}
        columns["image"] = [held and {"bytes": held, "path": None} for held in columns["image"]]
        (tmp_path / "set" / "data").mkdir(parents=True)
        dataset = datasets.Dataset.from_dict(columns, features=FEATURES)
        dataset.to_parquet(str(tmp_path / "set" / "data" / "train-00000-of-00001.parquet"))
        return list(find(str(tmp_path / "set"))["train"](on_problem, tmp_path / "images"))

    return run


def test_boxes_are_converted_to_pixels(read: Callable[..., list[Sample]]) -> None:
    solution = (
        "<answer>[{'Position': [1, 364, 98, 649], 'Confidence': 1}, {'Position': [0, 0, 1000, 1000], 'Confidence': 1}]"
        "</answer>"
    )
    (sample,) = read(detection(solution, "lady's shoe"))
    expected = [[0.64, 174.72, 62.72, 311.52], [0, 0, 640, 480]]
    assert [pytest.approx(box) for box in expected] == sample.target.boxes.tolist()
    assert (sample.target.labels, sample.target.categories) == (("lady's shoe",) * 2, ("lady's shoe",))
    assert (sample.target.width, sample.target.height, sample.target.task) == (640, 480, "detection")
    assert (sample.question, sample.subject, sample.target.solution) == ("category", "lady's shoe", solution)
    assert sample.prompt == words("category", "lady's shoe")
    assert sample.image.read_bytes() == encoded()


@pytest.mark.parametrize("solution", ["<answer>No Objects</answer>", "<answer> no objects </answer>"])
def test_no_objects_make_a_negative_sample(read: Callable[..., list[Sample]], solution: str) -> None:
    (sample,) = read(detection(solution))
    assert (len(sample.target.boxes), sample.target.categories, sample.uncertain) == (0, ("bear",), frozenset())
    assert sample.target.solution == solution


@pytest.mark.parametrize("thing", ["plant", "pet", "car", "aircraft"])
def test_a_class_is_a_label_without_boxes(read: Callable[..., list[Sample]], thing: str) -> None:
    row = detection("<answer> garden phlox </answer>", problem="<image>\n" + words("class", thing))
    (sample,) = read(row)
    assert (sample.question, sample.subject, sample.prompt) == ("class", thing, words("class", thing))
    assert (sample.target.task, sample.target.labels, len(sample.target.boxes)) == (
        *("classification", ("garden phlox",)),
        0,
    )
    assert sample.target.solution == "<answer> garden phlox </answer>"


def test_questions_about_one_image_share_its_name(read: Callable[..., list[Sample]], tmp_path: Path) -> None:
    nothing = "<answer>No Objects</answer>"
    samples = read(detection(nothing), detection(nothing, image=encoded(9)), detection(nothing, "cat"))
    assert [sample.image_id for sample in samples] == ["train-000000", "train-000001", "train-000000"]
    assert len(list((tmp_path / "images").rglob("*.png"))) == 2


ONE = "<answer>[{{'Position': {}, 'Confidence': 1}}]</answer>"
ERRORS: list[tuple[dict[str, Any], str]] = [
    (detection("", problem="Where is it?"), r"expected a problem that asks .* got 'Where is it\?'"),
    (detection("", problem=None), "expected 'problem' to be text, got None"),
    (detection(None), "expected 'solution' to be text, got None"),
    (detection("[1, 2, 3, 4]"), r"expected <answer>\[{'Position'.* got '\[1, 2, 3, 4\]'"),
    (detection("<answer>garden phlox</answer>"), r"expected <answer>\[{'Position'"),
    (detection(ONE.format([1, 2, 3])), r"expected <answer>\[{'Position'"),
    (detection(ONE.format([5, 2, 5, 4])), "row 1 solution: expected x1 < x2"),
    (detection(ONE.format([5, 2, 1005, 4])), "row 1 solution: expected a box inside 640x480 pixels"),
    (detection("<answer> </answer>", problem=words("class", "pet")), "expected <answer>name of the class</answer>"),
    (detection("garden phlox", problem=words("class", "plant")), "expected <answer>name of the class</answer>"),
    (detection("", problem="<image><image>" + words("class", "pet")), "expected a problem about one image"),
    (detection(ONE.format([1, 2, 3, 4]), image=None), "expected the bytes of an image, got None"),
]


@pytest.mark.parametrize(("row", "message"), ERRORS)
def test_an_error_is_named(read: Callable[..., list[Sample]], row: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="set train row 1") as caught:
        read(detection("<answer>No Objects</answer>"), row)
    assert caught.match(message)


def test_a_row_with_a_bad_box_is_skipped(read: Callable[..., list[Sample]]) -> None:
    problems: list[Exception] = []
    bad = "<answer>[{'Position': [1, 2, 3, 4], 'Confidence': 1}, {'Position': [5, 2, 5, 4], 'Confidence': 1}]</answer>"
    samples = read(
        detection(bad), detection("<answer>No Objects</answer>", image=encoded(9)), on_problem=problems.append
    )
    assert ([sample.image_id for sample in samples], len(problems)) == (["train-000001"], 1)


def test_another_dataset_is_named(tmp_path: Path) -> None:
    row = {"image": [None], "problem": ["?"], "solution": ["!"]}
    datasets.Dataset.from_dict({"problem": ["?"]}).save_to_disk(str(tmp_path / "other"))
    with pytest.raises(
        ValueError, match=r"expected a ViRFT dataset with the columns image, problem, .* got problem in"
    ):
        find(str(tmp_path / "other"))
    datasets.Dataset.from_dict({**row, "width": [1]}).save_to_disk(str(tmp_path / "vision_r1"))
    with pytest.raises(ValueError, match="only the columns image, problem, solution, got also width in 'all'"):
        find(str(tmp_path / "vision_r1"))
    with pytest.raises(FileNotFoundError, match="gone: expected the folder of a dataset"):
        find(str(tmp_path / "gone"))
