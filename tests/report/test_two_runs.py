"""Two runs on one page: the same prompts side by side."""

import json
from pathlib import Path

import pytest
from run_on_disk import Run, boxes_text
from test_report import data_of
from typer.testing import CliRunner

from verl_vision_r1.cli import app
from verl_vision_r1.report.header import names
from verl_vision_r1.report.writer import follow, write_report
from verl_vision_r1.targets import Target

TARGET = Target([[0, 0, 100, 100]], ["cat"], width=400, height=300)
GOOD, BAD = boxes_text(((0, 0, 100, 100), "cat")), "[]"


@pytest.fixture
def other(tmp_path: Path) -> Run:
    return Run(tmp_path / "other")


def filled(run: Run, texts: dict[tuple[str, int], str]) -> Run:
    for (image, step), text in texts.items():
        run.add([text, text], TARGET, image="", image_id=image, step=step)
    return run


def test_prompts_are_paired_at_the_nearest_step(run: Run, other: Run) -> None:
    filled(run, {("a", 1): GOOD, ("a", 4): BAD, ("only", 1): GOOD})
    filled(other, {("a", 3): GOOD, ("mine", 2): GOOD})
    made = write_report(run.write(), run.folder / "page.html", against=other.write())
    document = data_of(made.path)
    assert (made.completions, made.total) == (10, 10)
    prompts = document["prompts"]
    places = [(prompt["run"], prompt["image_id"], prompt["step"]) for prompt in prompts]
    pairs = {place: prompt["pair"] and places[prompt["pair"]] for place, prompt in zip(places, prompts, strict=True)}
    assert pairs[0, "a", 1] == pairs[0, "a", 4] == (1, "a", 3)
    assert pairs[1, "a", 3] == (0, "a", 4)
    assert pairs[0, "only", 1] is pairs[1, "mine", 2] is None
    listed = {place for place, prompt in zip(places, prompts, strict=True) if prompt["listed"]}
    assert listed == {*places} - {(1, "a", 3)}
    assert [run["name"] for run in document["runs"]] == ["run", "other"]
    loss = document["highlights"][0]
    assert loss["name"] == "the greatest loss"
    assert loss["figures"] == "3.00 in step 3 of other, 1.00 in step 4"


def test_the_second_run_shows_the_prompts_of_the_first(run: Run, other: Run) -> None:
    images = [str(number) for number in range(40)]
    filled(run, {(image, 1): GOOD for image in images[:10]})
    filled(other, {(image, 1): BAD for image in images})
    document = data_of(write_report(run.write(), run.folder / "page.html", limit=40, against=other.write()).path)
    shown = [[prompt["image_id"] for prompt in document["prompts"] if prompt["run"] == place] for place in (0, 1)]
    assert sorted(shown[0]) == sorted(shown[1]) == sorted(images[:10])


def test_the_curves_of_both_runs_are_in_one_figure(run: Run, other: Run) -> None:
    filled(run, {("a", 1): GOOD, ("a", 2): GOOD})
    filled(other, {("a", 1): BAD, ("a", 2): BAD})
    document = data_of(write_report(run.write(), run.folder / "page.html", against=other.write()).path)
    traces = {trace["name"]: trace for trace in document["figures"]["overall"]["data"]}
    assert traces["total"]["y"] == [3.0, 3.0]
    assert traces["total, other"]["y"] == [1.0, 1.0]
    assert (traces["total"]["line"]["dash"], traces["total, other"]["line"]["dash"]) == ("solid", "dash")
    visible = [name for name, trace in traces.items() if "visible" not in trace]
    assert visible == ["total", "acc", "total, other", "acc, other"]


def test_the_command_compares_two_runs(run: Run, other: Run) -> None:
    filled(run, {("a", 1): GOOD}).write()
    filled(other, {("a", 1): BAD}).write()
    result = CliRunner().invoke(app, ["report", str(run.folder), "--against", str(other.folder), "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["completions"] == 4
    missing = CliRunner().invoke(app, ["report", str(run.folder), "--against", "nowhere"])
    assert missing.exit_code == 1
    assert "nowhere: expected the folder of a run, got no such folder" in missing.output


def test_a_followed_page_is_written_again_when_either_run_changes(run: Run, other: Run) -> None:
    filled(run, {("a", 1): GOOD}).write()
    filled(other, {("a", 1): BAD}).write()
    page = run.folder / "page.html"
    pages = follow(
        lambda cache: write_report(run.folder, page, cache=cache, against=other.folder),
        [run.folder, other.folder],
        seconds=0.01,
    )
    assert next(pages).total == 4
    filled(other, {("a", 2): GOOD}).write()
    assert next(pages).total == 6


def test_runs_of_the_same_folder_name_are_told_apart(tmp_path: Path) -> None:
    assert names([tmp_path / "a" / "demo", tmp_path / "b" / "demo"]) == ["a/demo", "b/demo"]
    assert names([tmp_path, tmp_path]) == [tmp_path.name] * 2
