"""`vision-r1 score`: one completion, all completions of a file, and the drawing."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from PIL import Image
from prediction_lines import line as rollout_line
from typer.testing import CliRunner

from verl_vision_r1 import Target, load_curriculum, score
from verl_vision_r1.cli import app
from verl_vision_r1.evaluation.presentation.gallery import GROUND_TRUTH_COLOUR, PREDICTION_COLOUR
from verl_vision_r1.rewards.presets import read_preset

TARGET = Target([[100, 100, 300, 300], [400, 50, 600, 250]], ["cat", "dog"], 640, 480, ("cat", "dog"))
ITEMS = [{"bbox_2d": [100, 100, 300, 260], "label": "cat"}, {"bbox_2d": [500, 350, 600, 450], "label": "dog"}]
COMPLETION = json.dumps(ITEMS)
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
    """The error message, which is one line."""
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    (output,) = result.stderr.splitlines()
    assert output.startswith("error: ")
    return output


def one(completion: str = COMPLETION, target: Target = TARGET) -> tuple[str, str, str]:
    return completion, "--target", target.to_json()


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """Two lines of a rollout file, one in the frame of the image, and one line of another task."""
    image = tmp_path / "image.png"
    Image.new("RGB", (640, 480), "white").save(image)
    counting = {"boxes": [], "labels": [], "width": 9, "height": 9, "task": "counting", "count": 3}
    entries = [
        rollout_line(TARGET, COMPLETION, frame=(640.0, 480.0), image=str(image)),
        rollout_line(TARGET, json.dumps([{"bbox_2d": [156, 208, 469, 625], "label": "cat"}])),
        {"completion": "<answer>3</answer>", "target": counting},
    ]
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    return path


def plain(text: str) -> str:
    """The text of a table, without borders and line breaks."""
    return " ".join(re.sub("[^\x00-\x7f]", " ", text).split())


def test_a_completion_is_scored_and_explained() -> None:
    output = printed(*one())
    expected = score(COMPLETION, TARGET)
    for name, value in {**expected.parts, "total": expected.total}.items():
        assert re.search(rf"{name}\s+│\s+{value:.3f}", output)
    assert "2 predicted, 2 true, 2 matched" in output
    reasons = plain(output)
    assert "matched to object 1 (cat), IoU 0.80," in reasons
    assert "matched to object 2 (dog), IoU 0.00," in reasons
    assert max(map(len, output.splitlines())) <= 80


@pytest.mark.parametrize(
    ("completion", "form"),
    [(COMPLETION, "JSON"), (f"```json\n{COMPLETION}\n```", "JSON in a fence"), ("Nothing.", "")],
)
def test_the_form_of_the_answer_is_printed(completion: str, form: str) -> None:
    lines = printed(*one(completion)).splitlines()
    assert [line for line in lines if line.startswith("form:")] == ([f"form: {form}"] if form else [])
    assert values(*one(completion))["form"] == form


def test_the_json_has_scores_and_verdicts() -> None:
    found = values(*one(), "--preset", "robust", "--curriculum", "halfway")
    expected = score(COMPLETION, TARGET, "robust", stage=load_curriculum("halfway").stages[-1])
    assert (found["total"], found["parts"], found["raw"]) == (expected.total, expected.parts, expected.raw)
    assert (found["stage"]["index"], found["stage"]["xi0"]) == (1, 0.75)
    assert [item["object"] for item in found["predictions"]] == [1, None]
    assert found["missed"] == [2]


@pytest.mark.parametrize(("given", "index"), [([], 1), (["--stage", "0"], 0), (["--stage", "1"], 1)])
def test_a_stage_of_a_curriculum_is_chosen(given: list[str], index: int) -> None:
    assert values(*one(), "--curriculum", "halfway", *given)["stage"]["index"] == index


def test_a_completion_is_read_from_standard_input_whatever_its_bytes() -> None:
    assert values("-", "--target", TARGET.to_json(), given=COMPLETION) == values(*one())
    broken = COMPLETION.replace("cat", "c@t").encode().replace(b"@", b"\xff")
    assert values("-", "--target", TARGET.to_json(), given=broken)["predictions"][0]["label"] == "c\ufffdt"


def test_a_target_may_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "target.json"
    file.write_text(TARGET.to_json(), encoding="utf-8")
    assert values(COMPLETION, "--target", file) == values(*one())


@pytest.mark.parametrize("frame", ["1280x960", "relative_1000", "relative_1", "resized_pixels"])
def test_the_frame_can_be_set(frame: str) -> None:
    width, height = {"1280x960": (1280, 960), "relative_1000": (1000, 1000), "relative_1": (1, 1)}.get(
        frame, (640, 480)
    )
    scale = width / 640, height / 480, width / 640, height / 480
    box = [side * factor for side, factor in zip((100, 100, 300, 260), scale, strict=True)]
    text = json.dumps([{"bbox_2d": box, "label": "cat"}])
    found = values(*one(text), "--frame", frame)
    assert found["frame"] == [width, height]
    assert found["predictions"][0]["box"] == pytest.approx([100, 100, 300, 260])


@pytest.mark.parametrize("frame", ["relative_1000_yxyx", "1000x1000 yxyx"])
def test_a_frame_may_have_y_first(frame: str) -> None:
    text = json.dumps([{"box_2d": [250, 500, 500, 1000], "label": "cat"}])
    found = values(*one(text), "--frame", frame)
    assert (found["frame"], found["axes"]) == ([1000, 1000], "yxyx")
    assert found["predictions"][0]["box"] == pytest.approx([320, 120, 640, 240])


def test_the_frame_of_the_preset_is_the_default() -> None:
    text = "<think></think><answer>[{'Position': [500, 500, 600, 600], 'Confidence': 1}]</answer>"
    assert values(*one(text), "--preset", "visual_rft")["predictions"][0]["box"] == [320, 240, 384, 288]


@pytest.mark.parametrize(
    ("task", "answer", "expected"),
    [
        (
            "classification",
            "<think></think><answer>rose</answer>",
            "the answer is 'rose', the label is 'garden phlox'",
        ),
        ("counting", "<think></think><answer>3</answer>", "the answer is '3', the number of objects is 3"),
    ],
)
def test_a_text_answer_is_explained(task: str, answer: str, expected: str) -> None:
    labels, count = (["garden phlox"], None) if task == "classification" else ([], 3)
    target = Target([], labels, 100, 80, task=task, count=count)
    assert expected in printed(*one(answer, target), "--preset", "robust")


def test_a_preset_may_be_a_file(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("tasks: {detection: {parser: json_boxes, matcher: assignment, criteria: {recall: {weight: 2}}}}")
    assert values(*one(), "--preset", own)["parts"] == {"recall": 0.5}


def test_every_line_of_a_file_is_scored(lines: Path) -> None:
    text = "\n".join(lines.read_text(encoding="utf-8").splitlines()[:2])
    lines.write_text(text, encoding="utf-8")
    found = values("--from", lines)
    expected = [
        score(COMPLETION, TARGET),
        score(json.loads(text.splitlines()[1])["output"], TARGET, frame=(1000, 1000)),
    ]
    assert [item["total"] for item in found["lines"]] == [scores.total for scores in expected]
    for name in ("format", "recall", "precision"):
        assert found["mean"][name] == pytest.approx(sum(scores.parts[name] for scores in expected) / 2)
    assert found["mean"]["total"] == pytest.approx(sum(scores.total for scores in expected) / 2)
    output = printed("--from", lines)
    assert re.search(rf"^mean\s+{found['mean']['total']:.3f}", output, re.MULTILINE)
    assert len(re.findall(r"^\s+\d\s", output, re.MULTILINE)) == 2


def test_a_mean_is_over_the_lines_whose_task_uses_the_criterion(lines: Path) -> None:
    found = values("--from", lines, "--preset", "robust")
    assert [item["task"] for item in found["lines"]] == ["detection", "detection", "counting"]
    recalls = [item["parts"]["recall"] for item in found["lines"][:2]]
    assert found["mean"]["recall"] == pytest.approx(sum(recalls) / 2)
    assert found["mean"]["count"] == found["lines"][2]["parts"]["count"] == 0.5


def test_a_line_is_explained(lines: Path) -> None:
    found, expected = values("--from", lines, "--line", 1), values(*one())
    assert {name: found[name] for name in expected} == expected
    output = printed("--from", lines, "--line", 2)
    assert '| [{"bbox_2d": [156, 208, 469, 625], "label": "cat"}]' in output
    assert "no box was matched to object 2 (dog)" in output


def of_a_run(folder: Path, kind: str = "training", reward: Any = None, step: int = 3) -> tuple[Path, str]:
    """A rollout file of step 3 of 4 with one line, next to the run.yaml of a robust reward with two stages."""
    reward = read_preset("robust") if reward is None else reward
    curriculum = {"stages": [{"xi0": 0.5, "xi1": 0.5, "xi2": 0.75}, {"at": 0.5, "xi0": 0.75, "xi1": 0.75, "xi2": 0.9}]}
    settings = {"reward": reward, "curriculum": curriculum}
    content = {"kind": kind, "total_steps": 4, "samples": [], "vision_r1": settings}
    (folder / "run.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    entry = {**rollout_line(TARGET, COMPLETION, frame=(640.0, 480.0)), "step": step, "score": 0.25}
    file = folder / f"{step}.jsonl"
    file.write_text(json.dumps(entry) + "\n", encoding="utf-8")
    return file, str(folder / "run.yaml")


@pytest.mark.parametrize(
    ("kind", "step", "index"), [("training", 3, 1), ("training", 1, 0), ("training", 2, 0), ("validation", 0, 1)]
)
def test_a_file_is_scored_by_the_run_that_wrote_it(tmp_path: Path, kind: str, step: int, index: int) -> None:
    file, origin = of_a_run(tmp_path, kind, step=step)
    found = values("--from", file)
    stage = load_curriculum("halfway").stages[index]
    expected = score(COMPLETION, TARGET, "robust", stage=stage)
    assert found["reward_configuration"] == origin
    assert found["lines"][0]["stage"]["index"] == index
    assert found["lines"][0]["parts"] == expected.parts
    assert values("--from", file, "--line", 1)["parts"] == expected.parts
    assert printed("--from", file).startswith(f"reward configuration: {origin}\n")
    assert f"reward configuration: {origin}\n" in printed("--from", file, "--line", 1)


@pytest.mark.parametrize(
    ("options", "preset", "index", "origin"),
    [
        (["--preset", "vision_r1"], "vision_r1", 1, "vision_r1 (--preset), curriculum: RUN"),
        (["--curriculum", "none"], "robust", None, "RUN, curriculum: none (--curriculum)"),
        (["--stage", "0"], "robust", 0, "RUN, stage 0 (--stage)"),
        (
            ["--preset", "vision_r1", "--curriculum", "halfway", "--stage", "0"],
            *("vision_r1", 0, "vision_r1 (--preset), curriculum: halfway (--curriculum), stage 0 (--stage)"),
        ),
    ],
)
def test_other_rewards_are_used_when_chosen_and_the_recorded_total_is_shown(
    tmp_path: Path, options: list[str], preset: str, index: int | None, origin: str
) -> None:
    file, run_file = of_a_run(tmp_path)
    curriculum = load_curriculum("none" if index is None else "halfway")
    expected = score(COMPLETION, TARGET, preset, stage=curriculum.stages[index or 0])
    found = values("--from", file, *options)
    assert found["reward_configuration"] == origin.replace("RUN", run_file)
    assert (found["lines"][0]["total"], found["lines"][0]["recorded"]) == (expected.total, 0.25)
    assert (found["mean"]["total"], found["mean"]["recorded"]) == (expected.total, 0.25)
    output = printed("--from", file, *options)
    assert re.search(rf"^\s+1 +{expected.total:.3f} +0\.250 ", output, re.MULTILINE)
    assert "recorded total: 0.250" in printed("--from", file, "--line", 1, *options)


def test_a_recorded_total_is_shown_by_itself_only_if_it_differs(tmp_path: Path) -> None:
    file, _ = of_a_run(tmp_path)
    assert re.search(r"^line +total +recorded", printed("--from", file), re.MULTILINE)
    total = values("--from", file)["lines"][0]["total"]
    file.write_text(file.read_text().replace('"score": 0.25', f'"score": {total + 1e-8}'))
    assert re.search(r"^line +total +f1", printed("--from", file), re.MULTILINE)
    assert "recorded total" not in printed("--from", file, "--line", 1)
    assert values("--from", file)["lines"][0]["recorded"] == pytest.approx(total)


def test_without_a_run_file_the_output_says_so(lines: Path) -> None:
    expected = f"vision_r1 (default), curriculum: none (default); {lines.parent} has no run.yaml"
    assert values("--from", lines, "--line", 1)["reward_configuration"] == expected
    expected = expected.replace("vision_r1 (default)", "robust (--preset)")
    assert values("--from", lines, "--preset", "robust")["reward_configuration"] == expected
    assert "reward_configuration" not in values(*one())


def test_custom_functions_of_a_run_are_called_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_criteria.py").write_text("def half(answer, target, match, stage):\n    return 0.5\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    criteria = {"half": {"function": "my_criteria:half"}}
    detection = {"parser": "json_boxes", "matcher": "assignment", "criteria": criteria}
    file, origin = of_a_run(tmp_path, reward={"tasks": {"detection": detection}})
    message = refused("--from", file)
    assert f"{origin}: expected functions of this package, got custom ones: detection.criteria.half my_cri" in message
    assert "--trust-run imports and calls them, --preset chooses other rewards" in message
    assert values("--from", file, "--trust-run")["lines"][0]["total"] == 0.5
    assert values("--from", file, "--preset", "robust")["lines"][0]["stage"]["index"] == 1


def test_a_run_file_that_cannot_be_used_is_reported(tmp_path: Path) -> None:
    file, origin = of_a_run(tmp_path, reward={"tasks": {}})
    message = refused("--from", file)
    assert f"{origin}: vision_r1.reward.tasks: expected a mapping" in message
    assert "--preset and --curriculum" in message
    assert values("--from", file, "--preset", "robust", "--curriculum", "none")["lines"][0]["recorded"] == 0.25
    (tmp_path / "run.yaml").write_text("nonsense: 1\n")
    assert f"{origin}: expected the keys kind, samples, total_steps, vision_r1" in refused("--from", file)


def test_blank_lines_are_skipped_and_lines_keep_their_numbers(lines: Path) -> None:
    lines.write_text("\n \n" + lines.read_text(encoding="utf-8"), encoding="utf-8")
    assert [item["line"] for item in values("--from", lines, "--preset", "robust")["lines"]] == [3, 4, 5]


def test_an_incomplete_last_line_is_skipped_with_a_warning(lines: Path) -> None:
    whole = lines.read_text(encoding="utf-8")
    lines.write_text(whole.removesuffix("\n")[:-9], encoding="utf-8")
    result = run("--from", lines, "--json")
    assert len(json.loads(result.stdout)["lines"]) == 2
    assert result.stderr == f"{lines} line 3 is incomplete and is skipped\n"
    lines.write_text(whole[:-9] + "\n", encoding="utf-8")
    assert f"{lines} line 3: expected a JSON object" in refused("--from", lines, "--preset", "robust")


def test_a_picture_shows_objects_in_green_and_predictions_in_orange(tmp_path: Path) -> None:
    out = tmp_path / "new" / "drawn.png"
    assert f"drawn: {out}, on grey" in printed(*one(), "--draw", out)
    with Image.open(out) as picture:
        assert picture.size == (640, 480)
        assert (
            colour(picture, 100, 280) == GROUND_TRUTH_COLOUR
        )  # The left side of object 1, below the shorter prediction.
        assert colour(picture, 200, 300) == GROUND_TRUTH_COLOUR
        assert colour(picture, 600, 150) == GROUND_TRUTH_COLOUR
        assert colour(picture, 300, 180) == PREDICTION_COLOUR  # Its right side, which the prediction shares.
        assert colour(picture, 250, 260) == PREDICTION_COLOUR
        assert colour(picture, 500, 400) == PREDICTION_COLOUR
        assert colour(picture, 600, 400) == PREDICTION_COLOUR
        assert colour(picture, 525, 275) == PREDICTION_COLOUR  # Half-way between the centres of box 2 and its object.
        assert picture.getpixel((630, 470)) == GREY


def test_a_picture_is_drawn_on_the_image(lines: Path, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("size", [(8, 6), (9000, 30), (10**6, 10**6)])
def test_a_picture_has_a_suitable_size(size: tuple[int, int], tmp_path: Path) -> None:
    target = Target([[1, 1, 5, 5]], ["cat"], *size)
    printed(*one(COMPLETION, target), "--draw", tmp_path / "drawn.png")
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
CONTROL = re.compile(r"[^\n\x20-\x7e\x80-\U0010ffff]|[\x80-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_model_output_is_printed_as_plain_text(text: str, tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text(json.dumps({"completion": text, "target": json.loads(TARGET.to_json())}), encoding="utf-8")
    drawn = tmp_path / "drawn.png"
    for options in ([], ["--line", "1", "--draw", str(drawn)], ["--json"], ["--line", "1", "--json"]):
        for preset in ("robust", "vision_r1"):
            output = printed("--from", file, "--preset", preset, *options)
            assert not CONTROL.search(output)
    assert drawn.stat().st_size > 0


def test_markup_is_printed_verbatim() -> None:
    text = json.dumps([{"bbox_2d": [1, 2, 30, 40], "label": "[red]x[/red]"}])
    assert "[red]x[/red]" in printed(*one(text))


BAD_LINES = {
    "no JSON at all": "expected a JSON object with output and gts",
    "[1, 2]": "expected a JSON object with output and gts",
    '{"completion": "x"}': "got the keys ['completion']",
    '{"output": "x"}': "got the keys ['output']",
    '{"completion": 3, "target": {}}': "completion: expected a string, got 3",
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


@pytest.mark.parametrize(("text", "expected"), BAD_LINES.items(), ids=range(len(BAD_LINES)))
def test_an_invalid_line_is_reported_with_file_and_number(text: str, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    good = json.dumps({"completion": "x", "target": json.loads(TARGET.to_json())})
    file.write_text(f"{good}\n{text}\n{good}\n", encoding="utf-8")
    message = refused("--from", file)
    assert f"{file} line 2" in message
    assert expected in message


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "expected a COMPLETION with --target, or a file of both with --from"),
        ([COMPLETION], "expected a COMPLETION with --target, or a file of both with --from"),
        ([*one(), "--from", "x.jsonl"], "expected a COMPLETION with --target, or a file of both with --from"),
        (
            ["--from", "x.jsonl", "--target", "{}"],
            "expected a COMPLETION with --target, or a file of both with --from",
        ),
        ([*one(), "--line", "1"], "--line: expected a file in --from"),
        (["--from", "x.jsonl", "--draw", "x.png"], "--draw: expected one completion"),
        ([*one(), "--image", "x.png"], "--image: expected an output file in --draw"),
        (["--from", "nowhere.jsonl"], "nowhere.jsonl: expected a JSONL file with one completion per line"),
        ([COMPLETION, "--target", "nowhere.json"], "--target: expected JSON or a JSON file"),
        ([COMPLETION, "--target", "{}"], "--target: ground_truth: expected the keys"),
        ([*one(), "--preset", "nonsense"], "vision_r1/reward: expected one of"),
        ([*one(), "--curriculum", "nonsense"], "vision_r1/curriculum: expected one of"),
        ([*one(), "--curriculum", "halfway", "--stage", "2"], "--stage: expected 0 to 1"),
        ([*one(), "--stage", "-1"], "--stage: expected 0 to 0"),
        ([*one(), "--frame", "0x5"], "--frame: expected WIDTHxHEIGHT"),
        ([*one(), "--frame", "large"], "--frame: expected WIDTHxHEIGHT"),
        ([*one(), "--draw", "x.png", "--image", "nowhere.png"], "nowhere.png: expected an image file"),
        ([*one(), "--draw", "x.txt"], "--draw: expected a file that ends in .png"),
    ],
)
def test_error_messages_are_one_line(
    arguments: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert expected in refused(*arguments)


def test_a_line_that_does_not_exist_is_reported(lines: Path) -> None:
    assert f"--line: expected a line of {lines}, whose last is 3, got 4" in refused("--from", lines, "--line", 4)


def test_an_empty_file_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "empty.jsonl"
    file.write_text("\n", encoding="utf-8")
    assert "expected one JSON line per completion, got none" in refused("--from", file)


def test_an_image_of_another_size_is_reported(tmp_path: Path) -> None:
    small, text = tmp_path / "small.png", tmp_path / "text.png"
    Image.new("RGB", (64, 48)).save(small)
    text.write_text("no image")
    assert "expected 640x480 pixels as in the target, got 64x48" in refused(
        *one(), "--draw", tmp_path / "o.png", "--image", small
    )
    assert "does not decode" in refused(*one(), "--draw", tmp_path / "o.png", "--image", text)
