"""A page is written from rollout files, once and repeatedly."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from run_on_disk import Run, boxes_text
from typer.testing import CliRunner

from verl_vision_r1.cli import app
from verl_vision_r1.report import writer
from verl_vision_r1.targets import Target

TARGET = Target([[0, 0, 100, 100]], ["cat"], width=400, height=300)
DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


def data_of(page: Path) -> dict[str, Any]:
    found = DATA.search(page.read_text(encoding="utf-8"))
    assert found
    document: dict[str, Any] = json.loads(found[1])
    return document


def test_the_page_has_each_prompt_and_each_image_once(run: Run, tmp_path: Path) -> None:
    image = run.image("a")
    for step in (1, 2):
        run.add([boxes_text(((0, 0, 100, 90), "cat")), "[]"], TARGET, image=image, step=step)
    run.add(["[]"], TARGET, image=run.image("b"), image_id="other")
    made = writer.write_report(run.write(), tmp_path / "page.html")
    document = data_of(made.path)
    assert (made.completions, made.total, made.size) == (5, 5, made.path.stat().st_size)
    assert [prompt["step"] for prompt in document["prompts"]] == [1, 1, 2]
    assert len(document["images"]) == 2
    assert all(image["url"].startswith("data:image/webp;base64,") for image in document["images"])
    both = next(prompt for prompt in document["prompts"] if len(prompt["rollouts"]) == 2)
    totals = [rollout["total"] for rollout in both["rollouts"]]
    assert totals == pytest.approx([3.0, 1.0])  # IoU 0.9 is above xi2.
    assert (both["mean"], both["std"]) == pytest.approx((sum(totals) / 2, abs(totals[0] - totals[1]) / 2))
    assert made.notes == ("No validation files found. Set trainer.validation_data_dir to have verl write them.",)


def test_notes_report_missing_data(run: Run, tmp_path: Path) -> None:
    for step in range(1, 9):
        run.add(["[]"] * 4, TARGET, image="", step=step)
    folder = run.write(described=False)
    with (folder / "rollouts" / "3.jsonl").open("a") as file:
        file.write('{"input": "cut o')
    made = writer.write_report(folder, tmp_path / "page.html", limit=16)
    assert made.completions <= 16
    assert made.total == 32
    assert f"{made.completions} of 32 completions are shown" in made.notes[1]
    assert made.notes[2] == "1 truncated lines of the rollout files are skipped."
    assert "run.yaml" in made.notes[3]
    assert data_of(made.path)["notes"] == list(made.notes)


def test_a_task_without_boxes_has_its_criteria(run: Run, tmp_path: Path) -> None:
    from verl_vision_r1.rewards.presets import preset_from_config, read_preset

    run.preset = preset_from_config(read_preset("robust"))
    target = Target([], ["tabby"], width=400, height=300, categories=("tabby", "pug"), task="classification")
    run.add(["<think>a</think><answer>tabby</answer>"], target, image="")
    folder = run.write()
    settings = {"reward": read_preset("robust"), "curriculum": {"stages": [{"xi0": 0.5, "xi1": 0.5, "xi2": 0.75}]}}
    run.describe(folder / "rollouts", "training", vision_r1=settings)
    document = data_of(writer.write_report(folder, tmp_path / "page.html").path)
    (rollout,) = document["prompts"][0]["rollouts"]
    names = [item.name for item in run.preset.tasks["classification"].criteria]
    assert list(rollout["criteria"]) == sorted(names)
    drawn = {trace["legendgroup"] for trace in document["figures"]["overall"]["data"]}
    assert {name for name in drawn if not name.startswith("groups/")} == {"total", "acc", *names}


def test_no_completion_can_end_the_script_element(run: Run, tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script><!-- & \u2028 \ud83d\ude00 \u202e"
    run.add([hostile], TARGET, image="", source=hostile)
    page = writer.write_report(run.write(), tmp_path / "page.html").path
    assert data_of(page)["prompts"][0]["rollouts"][0]["text"] == json.loads(json.dumps(hostile))
    text = page.read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert text.count("</script>") == 4  # Data, plotly, DataTables and the script of the page.


def test_the_page_is_written_again_when_there_are_new_files(run: Run, tmp_path: Path) -> None:
    run.add(["[]"], TARGET, image="")
    folder = run.write()
    made: list[int] = []

    def make(cache: writer.Cache) -> writer.Report:
        made.append(len(cache.means))
        return writer.write_report(folder, tmp_path / "page.html", cache=cache)

    pages = writer.follow(make, [folder], seconds=0.01)
    assert next(pages).total == 1
    run.add(["[]", "[]"], TARGET, image="", step=2)
    run.write()
    assert next(pages).total == 3
    assert made == [0, 1]


def test_a_file_that_is_being_written_is_read_later(run: Run, tmp_path: Path) -> None:
    run.add(["[]"], TARGET, image="")
    folder = run.write()
    (folder / "rollouts" / "2.jsonl").write_text("")
    attempts = []

    def make(cache: writer.Cache) -> writer.Report:
        attempts.append(1)
        try:
            return writer.write_report(folder, tmp_path / "page.html", cache=cache)
        except ValueError:
            if len(attempts) == 1:
                run.add(["[]"], TARGET, image="", step=2)
                run.write()
            raise

    assert next(writer.follow(make, [folder], seconds=0.01)).total == 2
    assert len(attempts) == 2


def test_a_file_that_stays_empty_is_refused(run: Run, tmp_path: Path) -> None:
    run.add(["[]"], TARGET, image="")
    folder = run.write()
    (folder / "rollouts" / "2.jsonl").write_text("")
    pages: Iterator[writer.Report] = writer.follow(
        lambda cache: writer.write_report(folder, tmp_path / "page.html", cache=cache), [folder], seconds=0.01
    )
    with pytest.raises(ValueError, match=r"2\.jsonl: expected at least one line with a JSON object"):
        next(pages)


def test_the_command_reports_the_page(run: Run) -> None:
    run.add(["[]", "[]"], TARGET, image="")
    folder = run.write()
    result = CliRunner().invoke(app, ["report", str(folder)])
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{folder / 'report.html'}: 2 of 2 completions, ")
    values = json.loads(CliRunner().invoke(app, ["report", str(folder), "--json"]).stdout)
    assert (values["completions"], values["path"]) == (2, str(folder / "report.html"))


def test_a_folder_without_rollout_files_is_a_one_line_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert result.exit_code == 1
    assert result.output.startswith("error: ")
    assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize("package", ["plotly", "itables"])
def test_a_missing_package_is_named(run: Run, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from verl_vision_r1.report import page

    found = page.find_spec
    monkeypatch.setattr(page, "find_spec", lambda name: None if name == package else found(name))
    run.add(["[]"], TARGET, image="")
    with pytest.raises(ValueError, match=rf"expected the package {package}, got none; pip install .*\[report\]"):
        writer.write_report(run.write(), run.folder / "page.html")
