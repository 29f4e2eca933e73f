"""`vision-r1 score`: one answer in full, all the answers of a file, and the picture."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from PIL import Image
from prediction_lines import line as dump_line
from typer.testing import CliRunner

from verl_vision_r1 import Target, load_curriculum, score
from verl_vision_r1.cli import app
from verl_vision_r1.evaluation.presentation.gallery import SAID, THERE

TARGET = Target([[100, 100, 300, 300], [400, 50, 600, 250]], ["cat", "dog"], 640, 480, ("cat", "dog"))
ITEMS = [{"bbox_2d": [100, 100, 300, 260], "label": "cat"}, {"bbox_2d": [500, 350, 600, 450], "label": "dog"}]
ANSWER = json.dumps(ITEMS)
GREY = (128, 128, 128)


def run(*arguments: object, given: str | bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["score", *map(str, arguments)], input=given)


def printed(*arguments: object, given: str | bytes | None = None) -> str:
    result = run(*arguments, given=given)
    assert result.exit_code == 0, result.output
    return result.stdout


def values(*arguments: object, given: str | bytes | None = None) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(printed(*arguments, "--json", given=given), parse_constant=refuse)


def refused(*arguments: object) -> str:
    """The one line that says what a person got wrong."""
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    (said,) = result.stderr.splitlines()
    assert said.startswith("error: ")
    return said


def one(answer: str = ANSWER, target: Target = TARGET) -> tuple[str, str, str]:
    return answer, "--target", target.to_json()


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """A dump's line, one in the frame of the image, and one of another task."""
    image = tmp_path / "image.png"
    Image.new("RGB", (640, 480), "white").save(image)
    counting = {"boxes": [], "labels": [], "width": 9, "height": 9, "task": "counting", "count": 3}
    entries = [
        dump_line(TARGET, ANSWER, frame=(640.0, 480.0), image=str(image)),
        dump_line(TARGET, json.dumps([{"bbox_2d": [156, 208, 469, 625], "label": "cat"}])),
        {"completion": "<answer>3</answer>", "target": counting},
    ]
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    return path


def words(text: str) -> str:
    """What a table says, its borders and folds aside."""
    return " ".join(re.sub("[^\x00-\x7f]", " ", text).split())


def test_an_answer_is_scored_and_explained() -> None:
    said = printed(*one())
    expected = score(ANSWER, TARGET)
    for name, value in {**expected.parts, "total": expected.total}.items():
        assert re.search(rf"{name}\s+│\s+{value:.3f}", said)
    assert "2 predicted, 2 true, 2 matched" in said
    why = words(said)
    assert "matched to object 1 (cat), IoU 0.80," in why
    assert "matched to object 2 (dog), IoU 0.00," in why
    assert max(map(len, said.splitlines())) <= 80


def test_the_json_has_scores_and_verdicts() -> None:
    found = values(*one(), "--preset", "robust", "--curriculum", "halfway")
    expected = score(ANSWER, TARGET, "robust", stage=load_curriculum("halfway").stages[-1])
    assert (found["total"], found["parts"], found["raw"]) == (expected.total, expected.parts, expected.raw)
    assert (found["stage"]["index"], found["stage"]["xi0"]) == (1, 0.75)
    assert [item["object"] for item in found["predictions"]] == [1, None]
    assert found["missed"] == [2]


@pytest.mark.parametrize(("given", "index"), [([], 1), (["--stage", "0"], 0), (["--stage", "1"], 1)])
def test_a_stage_of_a_curriculum_is_chosen(given: list[str], index: int) -> None:
    assert values(*one(), "--curriculum", "halfway", *given)["stage"]["index"] == index


def test_an_answer_comes_in_by_standard_input_whatever_its_bytes() -> None:
    assert values("-", "--target", TARGET.to_json(), given=ANSWER) == values(*one())
    broken = ANSWER.replace("cat", "c@t").encode().replace(b"@", b"\xff")
    assert values("-", "--target", TARGET.to_json(), given=broken)["predictions"][0]["label"] == "c\ufffdt"


def test_a_target_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "target.json"
    file.write_text(TARGET.to_json(), encoding="utf-8")
    assert values(ANSWER, "--target", file) == values(*one())


@pytest.mark.parametrize("frame", ["1280x960", "relative_1000", "relative_1", "resized_pixels"])
def test_the_frame_of_an_answer_can_be_named(frame: str) -> None:
    width, height = {"1280x960": (1280, 960), "relative_1000": (1000, 1000), "relative_1": (1, 1)}.get(
        frame, (640, 480)
    )
    scale = width / 640, height / 480, width / 640, height / 480
    box = [side * factor for side, factor in zip((100, 100, 300, 260), scale, strict=True)]
    text = json.dumps([{"bbox_2d": box, "label": "cat"}])
    found = values(*one(text), "--frame", frame)
    assert found["frame"] == [width, height]
    assert found["predictions"][0]["box"] == pytest.approx([100, 100, 300, 260])


def test_the_frame_is_that_of_the_preset_where_it_has_one() -> None:
    text = "<think></think><answer>[{'Position': [500, 500, 600, 600], 'Confidence': 1}]</answer>"
    assert values(*one(text), "--preset", "visual_rft")["predictions"][0]["box"] == [320, 240, 384, 288]


@pytest.mark.parametrize(
    ("task", "answer", "said"),
    [
        (
            "classification",
            "<think></think><answer>rose</answer>",
            "the answer is 'rose', the label is 'garden phlox'",
        ),
        ("counting", "<think></think><answer>3</answer>", "the answer is '3', the number of objects is 3"),
    ],
)
def test_an_answer_of_words_is_explained(task: str, answer: str, said: str) -> None:
    labels, count = (["garden phlox"], None) if task == "classification" else ([], 3)
    target = Target([], labels, 100, 80, task=task, count=count)
    assert said in printed(*one(answer, target), "--preset", "robust")


def test_a_preset_may_be_a_file(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("tasks: {detection: {answer: json_boxes, match: assignment, criteria: {recall: {weight: 2}}}}")
    assert values(*one(), "--preset", own)["parts"] == {"recall": 0.5}


def test_every_line_of_a_file_is_scored(lines: Path) -> None:
    text = "\n".join(lines.read_text(encoding="utf-8").splitlines()[:2])
    lines.write_text(text, encoding="utf-8")
    found = values("--from", lines)
    expected = [score(ANSWER, TARGET), score(json.loads(text.splitlines()[1])["output"], TARGET, frame=(1000, 1000))]
    assert [item["total"] for item in found["lines"]] == [scores.total for scores in expected]
    for name in ("format", "recall", "precision"):
        assert found["mean"][name] == pytest.approx(sum(scores.parts[name] for scores in expected) / 2)
    assert found["mean"]["total"] == pytest.approx(sum(scores.total for scores in expected) / 2)
    said = printed("--from", lines)
    assert re.search(rf"^mean\s+{found['mean']['total']:.3f}", said, re.MULTILINE)
    assert len(re.findall(r"^\s+\d\s", said, re.MULTILINE)) == 2


def test_a_mean_is_over_the_lines_whose_task_has_the_criterion(lines: Path) -> None:
    found = values("--from", lines, "--preset", "robust")
    assert [item["task"] for item in found["lines"]] == ["detection", "detection", "counting"]
    recalls = [item["parts"]["recall"] for item in found["lines"][:2]]
    assert found["mean"]["recall"] == pytest.approx(sum(recalls) / 2)
    assert found["mean"]["count"] == found["lines"][2]["parts"]["count"] == 0.5


def test_a_line_is_explained_in_full(lines: Path) -> None:
    assert values("--from", lines, "--line", 1) == values(*one())
    said = printed("--from", lines, "--line", 2)
    assert '| [{"bbox_2d": [156, 208, 469, 625], "label": "cat"}]' in said
    assert "no box was matched to object 2 (dog)" in said


def test_blank_lines_are_none_and_lines_keep_their_numbers(lines: Path) -> None:
    lines.write_text("\n \n" + lines.read_text(encoding="utf-8"), encoding="utf-8")
    assert [item["line"] for item in values("--from", lines, "--preset", "robust")["lines"]] == [3, 4, 5]


def test_a_last_line_that_was_cut_off_is_left_out_and_told(lines: Path) -> None:
    whole = lines.read_text(encoding="utf-8")
    lines.write_text(whole.removesuffix("\n")[:-9], encoding="utf-8")
    result = run("--from", lines, "--json")
    assert len(json.loads(result.stdout)["lines"]) == 2
    assert result.stderr == f"{lines} line 3 was cut off and is left out\n"
    lines.write_text(whole[:-9] + "\n", encoding="utf-8")
    assert f"{lines} line 3: expected a JSON object" in refused("--from", lines, "--preset", "robust")


def test_a_picture_shows_objects_in_green_and_predictions_in_orange(tmp_path: Path) -> None:
    out = tmp_path / "new" / "drawn.png"
    assert f"drawn: {out}, on grey" in printed(*one(), "--draw", out)
    with Image.open(out) as picture:
        assert picture.size == (640, 480)
        assert colour(picture, 100, 280) == THERE  # The left side of object 1, below the shorter prediction.
        assert colour(picture, 200, 300) == THERE
        assert colour(picture, 600, 150) == THERE
        assert colour(picture, 300, 180) == SAID  # Its right side, which the prediction shares.
        assert colour(picture, 250, 260) == SAID
        assert colour(picture, 500, 400) == SAID
        assert colour(picture, 600, 400) == SAID
        assert colour(picture, 525, 275) == SAID  # Half-way between the middles of box 2 and its object.
        assert picture.getpixel((630, 470)) == GREY


def test_a_picture_is_drawn_on_the_image_that_is_known(lines: Path, tmp_path: Path) -> None:
    out, red = tmp_path / "drawn.png", tmp_path / "red.png"
    printed("--from", lines, "--line", 1, "--draw", out)
    with Image.open(out) as picture:
        assert picture.getpixel((630, 470)) == (255, 255, 255)
    Image.new("RGB", (640, 480), "red").save(red)
    assert values("--from", lines, "--line", 1, "--draw", out, "--image", red)["drawn"] == str(out)
    with Image.open(out) as picture:
        assert picture.getpixel((630, 470)) == (255, 0, 0)


def colour(picture: Image.Image, x: int, y: int) -> str:
    red, green, blue = picture.getpixel((x, y))  # type: ignore[misc]
    return f"#{red:02x}{green:02x}{blue:02x}"


@pytest.mark.parametrize("size", [(8, 6), (9000, 30), (10**9, 10**9)])
def test_a_picture_of_any_size_is_one_that_can_be_looked_at(size: tuple[int, int], tmp_path: Path) -> None:
    target = Target([[1, 1, 5, 5]], ["cat"], *size)
    printed(*one(ANSWER, target), "--draw", tmp_path / "drawn.png")
    with Image.open(tmp_path / "drawn.png") as picture:
        assert 640 <= max(picture.size) <= 1600


HOSTILE = [
    "",
    "x" * 10**6,
    "[red]not red[/red] [/] [link=file:///etc]",
    json.dumps([{"bbox_2d": [1, 2, 30, 40], "label": "\x1b]0;title\x07\x1b[31m\x9b31m\u202e\x7f\r\n<script>"}]),
    json.dumps([{"bbox_2d": [1, 2, 30, 40], "label": "x" * 10**6}]),
    json.dumps([{"bbox_2d": [1, 2, 30, 40], "label": "[bold]قطة[/bold] \ud800"}]),
    json.dumps([{"bbox_2d": [1e400, 2, 30, 40], "label": "cat"}, {"bbox_2d": [-1e300, 2, 1e300, 40], "label": ""}]),
    json.dumps([{"bbox_2d": [1, 2, 30, 40], "label": "cat"}] * 300),
    "[" * 10**5,
]
PICTURED = re.compile(r"[^\n\x20-\x7e\x80-\U0010ffff]|[\x80-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_a_model_wrote_is_printed_as_text_and_nothing_else(text: str, tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text(json.dumps({"completion": text, "target": json.loads(TARGET.to_json())}), encoding="utf-8")
    drawn = tmp_path / "drawn.png"
    for options in ([], ["--line", "1", "--draw", str(drawn)], ["--json"], ["--line", "1", "--json"]):
        for preset in ("robust", "vision_r1"):
            said = printed("--from", file, "--preset", preset, *options)
            assert not PICTURED.search(said)
    assert drawn.stat().st_size > 0


def test_markup_is_shown_as_it_was_written() -> None:
    text = json.dumps([{"bbox_2d": [1, 2, 30, 40], "label": "[red]x[/red]"}])
    assert "[red]x[/red]" in printed(*one(text))


BAD_LINES = {
    "no JSON at all": "expected a JSON object with output and gts",
    "[1, 2]": "expected a JSON object with output and gts",
    '{"completion": "x"}': "got the keys answer",
    '{"output": "x"}': "got the keys output",
    '{"completion": 3, "target": {}}': "completion: expected a text, got 3",
    '{"completion": "x", "target": {}}': "target: ground_truth: expected the keys",
    '{"completion": "x", "target": [1]}': "target: ground_truth: expected a JSON object",
    '{"output": "x", "gts": "{"}': "gts: ground_truth: expected one JSON string",
    '{"completion": "x", "target": {"boxes": [[9, 9, 1, 1]], "labels": ["cat"], "width": 9, "height": 9}}': "boxes[0]",
    json.dumps(
        {"completion": "x", "target": json.loads(TARGET.to_json()), "frame": "wide"}
    ): "frame: expected WIDTHxHEIGHT",
    json.dumps(
        {"completion": "x", "target": json.loads(TARGET.to_json()), "frame": 7}
    ): "frame: expected WIDTHxHEIGHT",
    json.dumps(
        {"completion": "x", "target": {**json.loads(TARGET.to_json()), "task": "counting", "count": 2}}
    ): "rules for",
    '{"completion": "x", "target": {"boxes": [['
    + "9" * 400
    + ', 1, 2, 3]], "labels": ["a"], "width": 9, "height": 9}}': "boxes: expected N lists of four numbers",
}


@pytest.mark.parametrize(("text", "said"), BAD_LINES.items(), ids=range(len(BAD_LINES)))
def test_a_bad_line_is_told_with_its_file_and_number(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    good = json.dumps({"completion": "x", "target": json.loads(TARGET.to_json())})
    file.write_text(f"{good}\n{text}\n{good}\n", encoding="utf-8")
    told = refused("--from", file)
    assert f"{file} line 2" in told
    assert said in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "expected an ANSWER with its --target, or a file"),
        ([ANSWER], "expected an ANSWER with its --target, or a file"),
        ([*one(), "--from", "x.jsonl"], "expected an ANSWER with its --target, or a file"),
        (["--from", "x.jsonl", "--target", "{}"], "expected an ANSWER with its --target, or a file"),
        ([*one(), "--line", "1"], "--line: expected a file"),
        (["--from", "x.jsonl", "--draw", "x.png"], "--draw: expected one answer"),
        ([*one(), "--image", "x.png"], "--image: expected the file to draw into"),
        (["--from", "nowhere.jsonl"], "nowhere.jsonl: expected a file of answers"),
        ([ANSWER, "--target", "nowhere.json"], "--target: expected JSON, or a file of it"),
        ([ANSWER, "--target", "{}"], "--target: ground_truth: expected the keys"),
        ([*one(), "--preset", "nonsense"], "vision_r1/reward: expected one of"),
        ([*one(), "--curriculum", "nonsense"], "vision_r1/curriculum: expected one of"),
        ([*one(), "--curriculum", "halfway", "--stage", "2"], "--stage: expected 0 to 1"),
        ([*one(), "--stage", "-1"], "--stage: expected 0 to 0"),
        ([*one(), "--frame", "0x5"], "--frame: expected WIDTHxHEIGHT"),
        ([*one(), "--frame", "large"], "--frame: expected WIDTHxHEIGHT"),
        ([*one(), "--draw", "x.png", "--image", "nowhere.png"], "nowhere.png: expected the image"),
        ([*one(), "--draw", "x.txt"], "--draw: expected a file that ends in .png"),
    ],
)
def test_what_a_person_got_wrong_is_one_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in refused(*arguments)


def test_a_line_that_is_not_there_is_told(lines: Path) -> None:
    assert f"--line: expected the number of a line of {lines}, which ends with 3, got 4" in refused(
        "--from", lines, "--line", 4
    )


def test_a_file_without_an_answer_is_told(tmp_path: Path) -> None:
    file = tmp_path / "empty.jsonl"
    file.write_text("\n", encoding="utf-8")
    assert "expected a line of JSON for each answer, got none" in refused("--from", file)


def test_an_image_of_another_size_is_told(tmp_path: Path) -> None:
    small, text = tmp_path / "small.png", tmp_path / "text.png"
    Image.new("RGB", (64, 48)).save(small)
    text.write_text("no image")
    assert "expected 640x480 pixels, got 64x48" in refused(*one(), "--draw", tmp_path / "o.png", "--image", small)
    assert "does not decode" in refused(*one(), "--draw", tmp_path / "o.png", "--image", text)
