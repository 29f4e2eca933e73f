"""A run of somebody else: no file of it runs code, hangs, or takes memory without bound."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from run_on_disk import CURRICULUM, Run, boxes_text
from test_report import data_of
from typer.testing import CliRunner

from verl_vision_r1.cli import app
from verl_vision_r1.report.rollout_files import find_rollout_files
from verl_vision_r1.report.writer import Report, write_report
from verl_vision_r1.rewards.presets import Unevaluated, read_preset
from verl_vision_r1.targets import Target

TARGET = Target([[0, 0, 100, 100]], ["cat"], width=400, height=300)


def with_detection(**changes: Any) -> dict[str, Any]:
    """The key `vision_r1` of a run whose task detection differs from the preset."""
    config = read_preset("vision_r1")
    config["tasks"]["detection"] = {**config["tasks"]["detection"], **changes}
    return {"reward": config, "curriculum": CURRICULUM}


def described(run: Run, settings: dict[str, Any], text: str = "[]") -> Path:
    run.add([text], TARGET, image="")
    folder = run.write()
    run.describe(folder / "rollouts", "training", vision_r1=settings)
    return folder


def reported(folder: Path, trust_run: bool = False) -> tuple[Report, dict[str, Any]]:
    made = write_report(folder, folder / "page.html", trust_run=trust_run)
    (rollout,) = data_of(made.path)["prompts"][0]["rollouts"]
    return made, rollout


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is written by importing the module `planted`, or by calling one of its functions."""
    trace = tmp_path / "trace"
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "planted.py").write_text(
        f"from verl_vision_r1.rewards.answers import parse_json_boxes\n"
        f"open({str(trace)!r}, 'a').write('imported')\n"
        f"def parse(text, frame):\n    return parse_json_boxes(text, frame)\n"
        f"def beauty(answer, target, match, stage):\n    return 1.0\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    monkeypatch.delitem(sys.modules, "planted", raising=False)
    return trace


@pytest.mark.parametrize(
    "parser",
    [
        *("cProfile:run", "os:system", "builtins:exec", "subprocess:getoutput", "verl_vision_r1.shown:shown"),
        *("verl_vision_r1.rewards.releases..os:system", "verl_vision_r1.rewards.releases.vision_r1:json"),
        "verl_vision_r1.rewards.releases.vision_r1:linear_sum_assignment",
    ],
)
def test_a_text_is_never_run(run: Run, parser: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    folder = described(run, with_detection(parser=parser), text=f"open({str(trace)!r}, 'w') # ; touch {trace}")
    rollouts = folder / "rollouts" / "1.jsonl"
    other_rewards = ["score", "--from", str(rollouts), "--preset", "vision_r1", "--curriculum", "none"]
    for command, status in ((["report", str(folder)], 0), (other_rewards, 0), (other_rewards[:3], 1)):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == status, result.output
    assert "run.yaml: " in result.output
    assert not trace.exists()


@pytest.mark.parametrize("key", ["parser", "matcher", "criteria"])
def test_nothing_outside_the_package_is_imported(run: Run, key: str, planted: Path) -> None:
    value = {"beauty": {"function": "planted:beauty"}} if key == "criteria" else "planted:parse"
    made, rollout = reported(described(run, with_detection(**{key: value}), boxes_text(((0, 0, 100, 90), "cat"))))
    assert "planted" not in sys.modules
    assert not planted.exists()
    note = next(note for note in made.notes if "not evaluated" in note)
    assert f"detection.{key}{'.beauty' * (key == 'criteria')} planted:" in note
    assert "--trust-run" in note
    assert rollout["boxes"] == [[0.0, 0.0, 100.0, 90.0]]
    assert bool(rollout["pairs"]) == (key == "criteria")
    assert rollout["flags"] == []


def test_a_run_that_is_trusted_is_evaluated_by_its_own_functions(run: Run, planted: Path) -> None:
    settings = with_detection(parser="planted:parse", criteria={"beauty": {"function": "planted:beauty"}})
    folder = described(run, settings, boxes_text(((0, 0, 100, 90), "cat")))
    made, rollout = reported(folder, trust_run=True)
    assert planted.read_text() == "imported"
    assert not [note for note in made.notes if "not evaluated" in note]
    assert rollout["pairs"]
    assert rollout["flags"] == ["rescored_otherwise"]
    done = CliRunner().invoke(app, ["report", str(folder), "--trust-run"])
    assert (done.exit_code, "not evaluated" in done.output) == (0, False)


@pytest.mark.parametrize("preset", ["vision_r1_release_2025", "visual_rft_release", "vlm_r1_weighted", "robust"])
def test_our_own_presets_are_evaluated(run: Run, preset: str) -> None:
    folder = described(run, {"reward": read_preset(preset), "curriculum": CURRICULUM})
    (found,) = find_rollout_files(folder)
    assert found.rules is not None
    assert found.rules.preset.unevaluated == ()


def test_a_release_that_would_import_math_verify_is_not_evaluated(run: Run) -> None:
    config = read_preset("visual_rft_release")
    config["tasks"]["classification"]["criteria"]["accuracy"]["math_verify"] = True
    (found,) = find_rollout_files(described(run, {"reward": config, "curriculum": CURRICULUM}))
    assert found.rules is not None
    name = "verl_vision_r1.rewards.releases.visual_rft:accuracy_reward"
    assert found.rules.preset.unevaluated == (Unevaluated("classification.criteria.accuracy", name),)


def test_a_function_that_is_not_imported_cannot_be_called() -> None:
    with pytest.raises(RuntimeError, match=r"detection\.parser: os:system is not imported"):
        Unevaluated("detection.parser", "os:system")("ls")


BOMB = "\n".join(
    ["a0: &a0 [" + ", ".join(["lol"] * 10) + "]"]
    + [f"a{level}: &a{level} [" + ", ".join([f"*a{level - 1}"] * 10) + "]" for level in range(1, 10)]
)
MERGES = "\n".join(
    ["a0: &a0 {" + ", ".join(f"k{key}: 1" for key in range(10)) + "}"]
    + [f"a{level}: &a{level} {{<<: [" + ", ".join([f"*a{level - 1}"] * 10) + "]}" for level in range(1, 10)]
)
RUN_FILES = {
    BOMB: "aliases that expand to more than 1,000,000 characters",
    MERGES: "aliases that expand to more than 1,000,000 characters",
    "a: &a [*a]": "an alias within its own value",
    "[" * 10_000: "nested too deeply",
    "a: " + "9" * 5000: "a number of 5,000 characters",
    "a: " + "1:" * 50_000 + "1": "a number of 100,001 characters",
    "a: 2001-99-99": "expected YAML, got month must be in 1..12",
    "a: !!python/object/apply:os.system [ls]": "could not determine a constructor",
    "a: \x1b[31m": "expected YAML, got",
    "kind: training\ntotal_steps: 4\nsamples: 5\nvision_r1: {}": "samples: expected a list of paths, got 5",
    "kind: training\ntotal_steps: 4\nsamples: [5]\nvision_r1: {}": "samples: expected a list of paths, got [5]",
    "{}": "expected the keys kind, samples, total_steps, vision_r1, with kind training or validation, got {}",
    "kind: [training]\ntotal_steps: 4\nsamples: []\nvision_r1: {}": "with kind training or validation, got",
}


@pytest.mark.parametrize("text", RUN_FILES, ids=range(len(RUN_FILES)))
def test_a_hostile_run_file_is_refused_in_one_line(run: Run, text: str) -> None:
    run.add(["[]"], TARGET, image="")
    folder = run.write()
    (folder / "rollouts" / "run.yaml").write_text(text)
    result = CliRunner().invoke(app, ["report", str(folder)])
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {folder / 'rollouts' / 'run.yaml'}: ")
    assert RUN_FILES[text] in line
    assert len(line) < 1000


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"vision_r1": 5}, "vision_r1: expected the keys reward and curriculum, got 5"),
        (
            {"vision_r1": {"reward": {1: 2}, "curriculum": CURRICULUM}},
            r"expected the keys \['on_error', .*, got \[1\]",
        ),
        ({"vision_r1": {"reward": read_preset("robust"), "curriculum": 5}}, "curriculum: expected a list of stages"),
        (
            {"vision_r1": {"reward": read_preset("robust"), "curriculum": {"stages": [5]}}},
            r"stages\[0\]: expected keys",
        ),
        ({"total_steps": float("inf")}, "total_steps: expected a number of steps, got inf"),
        ({"total_steps": 10**400}, "total_steps: expected a number of steps, got 1000"),
        ({"total_steps": "many"}, "total_steps: expected a number of steps, got 'many'"),
        ({"total_steps": 0}, "total_steps: expected a number of steps, got 0"),
    ],
)
def test_a_reward_configuration_that_cannot_be_read_is_a_note(run: Run, change: dict[str, Any], note: str) -> None:
    run.add(["[]"], TARGET, image="")
    folder = run.write()
    run.describe(folder / "rollouts", "training", **change)
    (found,) = find_rollout_files(folder)
    assert found.rules is None
    with pytest.raises(ValueError, match=note):
        raise ValueError(found.note)


@pytest.mark.parametrize("image", ["pipe", "/dev/zero", "a" * 5000, "no\0file", ".", "program.eps"])
def test_only_regular_image_files_are_opened(run: Run, image: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "program.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    run.add(["[]"], TARGET, image=str(tmp_path / image))
    folder = run.write()
    (shown,) = data_of(write_report(folder, tmp_path / "page.html").path)["images"]
    assert shown == {"url": "", "note": "image cannot be read" if "eps" in image else "image not found"}


def test_a_sample_file_of_another_form_is_named(run: Run, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    run.add(["[]"], TARGET, image="")
    folder, file = run.write(), tmp_path / "samples.parquet"
    run.describe(folder / "rollouts", "training", samples=[str(file)])
    tables = [
        pa.table({"a": [1]}),
        pa.table({"data_source": [1], "images": [2], "extra_info": [3]}),
        pa.table({"data_source": ["a"], "images": [[2]], "extra_info": [None]}),
    ]
    for table in tables:
        pq.write_table(table, file)
        with pytest.raises(ValueError, match=r"samples\.parquet: expected a parquet file of samples, got "):
            write_report(folder, tmp_path / "page.html")
    file.write_text("no parquet")
    with pytest.raises(ValueError, match=r"samples\.parquet: expected a parquet file of samples, got "):
        write_report(folder, tmp_path / "page.html")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"total": float("inf")}, "total': expected a finite number, got inf"),
        ({"total": float("nan")}, "total': expected a finite number, got nan"),
        ({"recall": 10**400}, "recall': expected a finite number, got 1000"),
        ({"step": 10**400}, "step: expected a whole number from 0 to 1,000,000,000, got 1000"),
        ({"step": "one"}, "step: expected a whole number from 0 to 1,000,000,000, got 'one'"),
        ({"frame": "1e-300x1e300"}, "frame: expected WIDTHxHEIGHT, each from 1 to 1,000,000, got '1e-300x1e300'"),
        ({"gts": "[" * 100_000}, "gts: ground_truth: expected one JSON string, got '[[["),
        ({"gts": {}}, "expected strings in the keys"),
    ],
)
def test_a_line_of_another_form_is_refused_in_one_line(run: Run, change: dict[str, Any], message: str) -> None:
    run.add(["[]"], TARGET, image="")
    run.lines["training", 1][0] |= change
    result = CliRunner().invoke(app, ["report", str(run.write())])
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "1.jsonl line 1: " in line
    assert message in line
    assert len(line) < 600


def test_names_cannot_control_the_terminal(run: Run, tmp_path: Path) -> None:
    run.folder = tmp_path / "[/]x\x1b]0;title\x07\x9b31m\u202e"
    run.add(["[]"], TARGET, image="", source="\x1b[31m[/]")
    folder = run.write()
    settings = with_detection(parser="a\x1b[31m[/]:b\n")
    run.describe(folder / "rollouts", "training", vision_r1=settings)
    done = CliRunner().invoke(app, ["report", str(folder)])
    assert done.exit_code == 0
    (folder / "rollouts" / "run.yaml").write_text("{}")
    refused = CliRunner().invoke(app, ["report", str(folder)])
    assert refused.exit_code == 1
    for output in (done.output, refused.output):
        assert "[/]x\\x1b]0;title" in output
        assert not [c for line in output.splitlines() for c in line if not c.isprintable()]


def test_a_temporary_file_follows_no_link(run: Run, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    run.add(["[]"], TARGET, image="")
    folder = run.write()
    for name in ("report.html", f".report.html.{os.getpid()}"):
        (folder / name).symlink_to(precious)
    write_report(folder, folder / "report.html")
    assert precious.read_text() == "kept"
    assert not (folder / "report.html").is_symlink()
    assert not list(folder.glob(".unfinished-*"))
    assert json.loads(json.dumps(data_of(folder / "report.html")))["prompts"]
