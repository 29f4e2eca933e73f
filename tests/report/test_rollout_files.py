"""Rollout files of a run are found, with the reward configuration that scored them."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from run_on_disk import Run

from verl_vision_r1.report.rollout_files import find_rollout_files
from verl_vision_r1.targets import Target

TARGET = Target([[10, 10, 110, 110]], ["cat"], width=400, height=300)


def filled(run: Run, steps: Sequence[int] = (1,), kind: str = "training") -> Run:
    for step in steps:
        run.add(["[]"], TARGET, image="", step=step, kind=kind)
    return run


def test_folders_are_found_with_kind_steps_and_reward_configuration(run: Run) -> None:
    filled(filled(run, (2, 10, 1)), (0, 4), "validation").write()
    (run.folder / "metrics.jsonl").write_text("{}\n")
    (run.folder / "checkpoints" / "global_step_4").mkdir(parents=True)
    (run.folder / "checkpoints" / "global_step_4" / "5.jsonl").write_text("{}\n")
    training, validation = find_rollout_files(run.folder)
    assert (training.kind, list(training.files)) == ("training", [1, 2, 10])
    assert (validation.kind, list(validation.files)) == ("validation", [0, 4])
    assert training.rules is not None
    assert training.rules.preset.criteria == ("format", "hit", "nearness", "precision", "recall")
    assert [training.rules.stage("training", step).xi0 for step in (1, 2, 3, 4)] == [0.5, 0.5, 0.75, 0.75]
    assert training.rules.stage("validation", 0).xi0 == 0.75


@pytest.mark.parametrize("kind", ["training", "validation"])
def test_without_run_yaml_the_kind_comes_from_the_lines(run: Run, kind: str) -> None:
    filled(run, (3,), kind).write(described=False)
    (folder,) = find_rollout_files(run.folder)
    assert (folder.kind, folder.rules) == (kind, None)
    assert "run.yaml" in folder.note


def test_a_key_inside_a_completion_does_not_make_it_validation(run: Run) -> None:
    run.add(['{"reward": 1}'], TARGET, image="")
    run.write(described=False)
    assert find_rollout_files(run.folder)[0].kind == "training"


def test_an_invalid_reward_configuration_is_reported(run: Run) -> None:
    filled(run).write()
    run.describe(run.folder / "rollouts", "training", vision_r1={"reward": {"tasks": {}}, "curriculum": {}})
    (folder,) = find_rollout_files(run.folder)
    assert folder.rules is None
    assert "vision_r1" in folder.note


@pytest.mark.parametrize("text", ["", "kind: dance\n", "- 1\n"])
def test_an_invalid_run_yaml_is_refused(run: Run, text: str) -> None:
    filled(run).write()
    (run.folder / "rollouts" / "run.yaml").write_text(text)
    with pytest.raises(
        ValueError, match=r"run\.yaml: expected the keys kind, samples, total_steps, vision_r1, with kind"
    ):
        find_rollout_files(run.folder)


def test_a_missing_folder_and_one_without_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere: expected the folder of a run"):
        find_rollout_files(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"expected rollout files \(STEP.jsonl\) at most 3 folders deep, got none"):
        find_rollout_files(tmp_path)


def test_two_runs_are_refused(run: Run, tmp_path: Path) -> None:
    folder = filled(run).write()
    (tmp_path / "both").mkdir()
    folder.rename(tmp_path / "both" / "first")
    filled(run).write()
    folder.rename(tmp_path / "both" / "second")
    with pytest.raises(ValueError, match=r"expected one run, got training files in .*first.*, .*second"):
        find_rollout_files(tmp_path / "both")
