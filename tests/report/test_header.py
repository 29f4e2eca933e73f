"""The header of a run, and what is most worth looking at in it."""

import os
from typing import Any

from run_on_disk import TOTAL_STEPS, Run, boxes_text
from test_report import data_of

from verl_vision_r1.report.header import header
from verl_vision_r1.report.rollout_files import find_rollout_files
from verl_vision_r1.report.writer import write_report
from verl_vision_r1.targets import Target

TARGET = Target([[0, 0, 100, 100]], ["cat"], width=400, height=300)


def facts(run: Run, **described: Any) -> dict[str, str]:
    run.add(["[]"], TARGET, image="", step=3)
    folder = run.write()
    run.describe(folder / "rollouts", "training", **described)
    made = write_report(folder, folder / "page.html")
    return dict(data_of(made.path)["runs"][0]["facts"])


def test_the_header_says_what_the_run_file_says(run: Run) -> None:
    found = facts(
        run,
        experiment="mine",
        model="Qwen/Qwen2.5-VL-3B-Instruct",
        started="2026-01-02T03:04+00:00",
        command="python -m verl.trainer.main_ppo +recipe=vision_r1_qwen3b 'a=[1, 2]' my.api_key=abcdef",
    )
    assert found == {
        "model": "Qwen/Qwen2.5-VL-3B-Instruct",
        "recipe": "vision_r1_qwen3b",
        "experiment": "mine",
        "rewards": "vision_r1",
        "curriculum": "halfway, stages 0 to 1",
        "steps": f"3 of {TOTAL_STEPS}",
        "stage at the end": "1: xi0 0.75, xi1 0.75, xi2 0.9",
        "started": "2026-01-02 03:04 UTC",
        "command": "python -m verl.trainer.main_ppo +recipe=vision_r1_qwen3b 'a=[1, 2]' 'my.api_key=***'",
    }


def test_what_is_unknown_is_left_out(run: Run) -> None:
    run.add(["[]"], TARGET, image="")
    folder = run.write()
    os.utime(folder / "rollouts" / "1.jsonl", (1_700_000_000, 1_700_000_000))
    assert list(facts_of_files(run)) == ["rewards", "curriculum", "steps", "stage at the end", "files written"]
    assert facts_of_files(run)["files written"] == "2023-11-14 22:13 UTC"
    (folder / "rollouts" / "run.yaml").unlink()
    assert list(facts_of_files(run)) == ["steps", "files written"]


def facts_of_files(run: Run) -> dict[str, str]:
    from verl_vision_r1.evaluation.predictions.predictions_file import read_predictions
    from verl_vision_r1.report.curves import means_of, read_means

    folders = find_rollout_files(run.folder)
    means = read_means(folders, lambda file: means_of(read_predictions(file)), lambda items, **_: items)
    known = {} if folders[0].rules is None else means
    return dict(header("run", folders, known or {"validation": means["training"]})["facts"])


def test_values_of_another_form_are_left_out(run: Run) -> None:
    found = facts(run, model=["a"], command={"b": 1}, started=5, experiment="x" * 10_000)
    assert found.keys() & {"model", "command", "started"} == set()
    assert len(found["experiment"]) == 4_000


def test_rewards_that_are_no_preset_are_not_named(run: Run) -> None:
    from run_on_disk import CURRICULUM

    from verl_vision_r1.rewards.presets import read_preset

    config = read_preset("vision_r1")
    config["tasks"] = {"detection": config["tasks"]["detection"]}
    found = facts(run, vision_r1={"reward": config, "curriculum": CURRICULUM})
    assert found["rewards"] == "none of the presets as it is"


def exact(height: int) -> str:
    return boxes_text(((0, 0, 100, height), "cat"))


def test_the_page_opens_at_the_greatest_drop(run: Run) -> None:
    for step, heights in ((1, (100, 100)), (2, (95, 60))):
        for image, height in zip("ab", heights, strict=True):
            run.add([exact(height), exact(100)], TARGET, image="", image_id=image, step=step)
    run.add([exact(60)], TARGET, image="", image_id="c", step=2, kind="validation")
    document = data_of(write_report(run.write(), run.folder / "page.html").path)
    found = {item["name"]: document["prompts"][item["prompt"]] for item in document["highlights"]}
    assert list(found) == ["the greatest drop", "the widest spread", "the worst validation"]
    assert [(prompt["image_id"], prompt["step"]) for prompt in found.values()] == [("b", 2), ("b", 2), ("c", 2)]
    assert document["highlights"][0]["rollout"] == 0
    assert document["highlights"][0]["figures"].endswith(" since step 1")


def test_a_run_without_differences_has_no_highlight(run: Run) -> None:
    run.add(["[]", "[]"], TARGET, image="")
    assert data_of(write_report(run.write(), run.folder / "page.html").path)["highlights"] == []
