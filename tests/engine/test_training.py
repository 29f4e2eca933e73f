"""verl's own trainer on the CPU, on real vLLM rollouts: two steps, a kill in the third, a disk that is full, a resume.

Asserted on what was logged and dumped, never on the exit status alone: verl swallows what a reward raises.
"""

import json
import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from runs import DRILLS, Finished, process_of
from runs import run as run_trainer

from verl_vision_r1 import Target, score
from verl_vision_r1.data.difficulty import SampleDifficulty, identity_of, read_difficulty
from verl_vision_r1.demo.plan import Demo
from verl_vision_r1.demo.shapes import SIDE as DRAWN
from verl_vision_r1.demo.shapes import write_shapes
from verl_vision_r1.demo.validation_table import read_validations
from verl_vision_r1.evaluation.difficulty import write_difficulty
from verl_vision_r1.report.writer import write_report
from verl_vision_r1.rewards.presets import preset_from_config, read_preset
from verl_vision_r1.rewards.refinement import Stage
from verl_vision_r1.settings import Sampling
from verl_vision_r1.training.sampler import DifficultySampler, weights_of

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1500)]

PROMPTS, ROLLOUTS = 4, 4
SIDE, RESIZED = 100, 112
STRICT = Stage(xi0=0.5, xi1=0.0, xi2=1.0, precision_xi0=0.0)
LENIENT = Stage(xi0=0.0, xi1=0.0, xi2=0.001, mean_iou=0.001, at=1.0, index=1)  # Every match counts in full.
STAGES = (
    "vision_r1/curriculum=when_ready",
    "vision_r1.curriculum.stages=["
    "{xi0:0.5,xi1:0.0,xi2:1.0,precision_xi0:0.0},{mean_iou:0.001,xi0:0.0,xi1:0.0,xi2:0.001}]",
    *("vision_r1.curriculum.window=2", "vision_r1.curriculum.validation=first"),
)
"""The second stage waits for two steps. It begins with the third, which is resumed: the checkpoint has the stage."""
ASKED = ("categories", "category", "referring", "class")
TASKS = {"detection", "grounding", "classification"}
CLASSES = {
    "parser": "tagged_text",
    "matcher": "none",
    "criteria": {"format": {"weight": 1.0}, "accuracy": {"weight": 1.0}},
}
"""Rules that the preset `vision_r1` does not have: a run may add a task of its own."""


@dataclass(frozen=True)
class Run:
    """What the runs left behind; verl's file logger starts its file anew with each."""

    demo: Demo
    logs: list[str]
    statuses: list[int]
    metrics: list[Path]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two steps and a kill; in the drills a resume that cannot save its third step; one that can."""
    from verl_vision_r1.data.options import Source, Writing
    from verl_vision_r1.data.prepare import prepare
    from verl_vision_r1.demo.teach import batches_of_rows, read_rows, teach, texts_of
    from verl_vision_r1.demo.tiny_model import build_tiny_model

    demo = Demo(tmp_path_factory.mktemp("run"), steps=2, teaching_steps=60)
    source = write_shapes(demo.folder / "source", "train", 96)
    _shrink(source)
    mix = [Source("coco", str(source), alias="shapes", ask=ask, negatives=0.1) for ask in ASKED]
    prepare(mix, demo.rows, Writing(val_fraction=0.25, seed=1))  # Each task in both files.
    rows = read_rows(demo.rows / "train.parquet")
    build_tiny_model(demo.model, texts_of(rows))
    teach(demo.model, lambda examples: batches_of_rows(examples, rows), demo.teaching_steps, lambda step, loss: None)
    write_difficulty(demo.folder / "difficulty.json", _difficulties(rows))
    run = Run(demo, [], [], [])
    unsaved = demo.folder / "checkpoints" / "global_step_3" / "actor" / "optim_world_size_1_rank_0.pt"
    unsaved.parent.mkdir(parents=True)
    os.mkfifo(unsaved)  # Saving waits for a reader that never comes: a fast machine is killed before it has saved.
    for disturb in (_kill_in_the_third_step, *[lambda line: None] * (2 if DRILLS else 1)):
        finished = _train(demo, disturb)
        run.logs.append(finished.log)
        run.statuses.append(finished.status)
        run.metrics.append(demo.metrics.rename(demo.folder / f"metrics-{len(run.logs)}.jsonl"))
        unsaved.unlink()
        if DRILLS and len(run.logs) == 1:
            unsaved.symlink_to("/dev/full")  # The device to which every write fails for want of space.
    return run


def _difficulties(rows: list[dict[str, Any]]) -> list[SampleDifficulty]:
    """One sample in three is solved, one hopeless, one between."""
    identities = dict.fromkeys(identity_of(row["data_source"], row["extra_info"]) for row in rows)
    return [SampleDifficulty(*name, 4, 0.5, 0.1, (0.0, 0.5, 1.0)[at % 3]) for at, name in enumerate(identities)]


def _kill_in_the_third_step(line: str) -> None:
    if " step:2 - " in line:
        time.sleep(1)  # It generates by now.
        os.kill(process_of(line), signal.SIGKILL)


def _shrink(source: Path) -> None:
    """Make the images smaller than what the model sees of them, so that the two frames differ."""
    annotations = source / "annotations" / "instances_train.json"
    document = json.loads(annotations.read_text())
    for entry in document["images"]:
        path = source / "images" / "train" / entry["file_name"]
        Image.open(path).resize((SIDE, SIDE)).save(path)
        entry["width"], entry["height"] = SIDE, SIDE
    for annotation in document["annotations"]:
        annotation["bbox"] = [value * SIDE / DRAWN for value in annotation["bbox"]]
    annotations.write_text(json.dumps(document))


def _train(demo: Demo, disturb: Callable[[str], None]) -> Finished:
    overrides = [
        *("trainer.total_training_steps=3", "trainer.save_freq=2", "trainer.test_freq=2"),
        *(f"data.train_batch_size={PROMPTS}", f"actor_rollout_ref.actor.ppo_mini_batch_size={PROMPTS}"),
        *(f"actor_rollout_ref.rollout.n={ROLLOUTS}", f"trainer.rollout_data_dir={demo.folder / 'rollouts'}", *STAGES),
        "+vision_r1.reward.tasks.classification=" + json.dumps(CLASSES).replace('"', ""),
        *("vision_r1/reward=vision_r1", "vision_r1/freeze=vision_tower"),
        *("vision_r1.sampler.draw=drop", f"vision_r1.sampler.difficulty={demo.folder / 'difficulty.json'}"),
        "algorithm.rollout_correction.bypass_mode=false",  # The actor's probabilities are held against vLLM's.
    ]
    return run_trainer(demo, *overrides, disturb=disturb)


def _rollouts(run: Run, step: int) -> list[dict[str, Any]]:
    lines = (run.demo.folder / "rollouts" / f"{step}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def _expected(rollout: dict[str, Any], stage: Stage) -> float:
    target = Target.from_json(rollout["gts"])
    rewards = read_preset("vision_r1")
    rewards["tasks"]["classification"] = CLASSES
    rules = preset_from_config(rewards)
    return score(rollout["output"], target, rules, frame=(RESIZED, RESIZED), stage=stage).total


@pytest.mark.parametrize(("step", "stage"), [(1, STRICT), (2, STRICT), (3, LENIENT)])
def test_each_rollout_is_scored_in_the_frame_and_the_stage_of_its_step(run: Run, step: int, stage: Stage) -> None:
    rollouts = _rollouts(run, step)
    assert [item["score"] for item in rollouts] == pytest.approx([_expected(item, stage) for item in rollouts])


def test_the_stages_can_be_told_apart(run: Run) -> None:
    rollouts = _rollouts(run, 3)
    assert any(abs(_expected(item, STRICT) - item["score"]) > 0.1 for item in rollouts)


def test_no_prompt_failed_and_no_rollout_is_missing(run: Run) -> None:
    for log in run.logs:
        assert "Error in _run_prompt" not in log
    for step in (1, 2, 3):
        rollouts = _rollouts(run, step)
        assert len({item["uid"] for item in rollouts}) == len(rollouts) == PROMPTS * ROLLOUTS


def test_tasks_are_mixed_and_each_is_scored_by_its_own_rules(run: Run) -> None:
    entry = json.loads(run.metrics[0].read_text().splitlines()[0])["data"]
    logged = {
        key.split("/")[2] for key in entry if key.startswith("val-aux/shapes/") and key.endswith("/total/mean@1")
    }
    assert logged == TASKS
    assert (
        entry["val-aux/shapes/classification/recall/mean@1"] == entry["val-aux/shapes/detection/accuracy/mean@1"] == 0
    )


def test_validation_scores_are_logged_before_and_after(run: Run) -> None:
    first, *_, second = (read_validations(path) for path in run.metrics)
    assert (sorted(first), sorted(second)) == ([0, 2], [2, 3])
    for values in [*first.values(), *second.values()]:
        assert values["stage"] == 0  # Validation keeps to the first stage, as configured, in step 3 too.
        assert 0 < values["format"] <= 1
        parts = ("format", "recall", "precision", "accuracy")
        assert values["total"] == pytest.approx(sum(values[name] for name in parts))
    # The checkpoint holds the weights that were validated; how vLLM batches may flip a close token or two.
    assert first[2] == pytest.approx(second[2], abs=0.15)


def test_the_second_run_resumes_where_the_first_saved(run: Run) -> None:
    assert all("global_step_2" in log for log in run.logs[1:])
    assert {path.name for path in (run.demo.folder / "checkpoints").glob("global_step_*")} >= {"global_step_2"}
    assert sorted(path.stem for path in (run.demo.folder / "rollouts").glob("*.jsonl")) == ["1", "2", "3"]


def test_every_step_is_counted_once(run: Run) -> None:
    steps = [json.loads(line)["step"] for path in run.metrics for line in path.read_text().splitlines()]
    again = [2] * (len(run.logs) - 1)  # The validation of what was resumed from.
    assert steps == [0, 1, 2, *again, 3]
    stages = [json.loads(line)["data"].get("critic/vision_r1/stage") for path in run.metrics for line in path.open()]
    assert stages == [None, 0, 0, *[None] * len(again), 1]


def test_the_checkpoint_has_the_stage_that_the_run_waited_for(run: Run) -> None:
    state = json.loads((run.demo.folder / "checkpoints" / "global_step_2" / "vision_r1.json").read_text())
    entries = [json.loads(line)["data"] for line in run.metrics[0].read_text().splitlines()][1:]
    assert state["reached"] == 1
    for step, mean_iou in enumerate(state["recent"], start=1):
        matched = [(item["mean_iou"], item["matched_boxes"]) for item in _rollouts(run, step)]
        mean = sum(iou * count for iou, count in matched) / sum(count for _, count in matched)
        assert mean_iou == pytest.approx(mean, abs=1e-6)
    logged = [entry["critic/vision_r1/curriculum/mean_iou"] for entry in entries]
    assert logged == pytest.approx([state["recent"][0], sum(state["recent"]) / 2])


def test_the_sampler_draws_in_its_order_across_the_resume(run: Run) -> None:
    from verl_vision_r1.demo.teach import read_rows

    rows = read_rows(run.demo.rows / "train.parquet")
    names = [identity_of(row["data_source"], row["extra_info"]) for row in rows]
    acc = {entry.identity: entry.acc for entry in read_difficulty(run.demo.folder / "difficulty.json")}
    weights = weights_of(np.array([acc[name] for name in names]), Sampling("drop"))
    order = iter(DifficultySampler(weights, run.demo.seed))
    for step in (1, 2, 3):
        keys = ("data_source", "image_id", "question", "subject")
        drawn = {tuple(item[key] for key in keys) for item in _rollouts(run, step)}
        assert drawn == {names[next(order)] for _ in range(PROMPTS)}


def test_a_step_says_what_its_scores_are_made_of(run: Run) -> None:
    entry = json.loads(run.metrics[0].read_text().splitlines()[1])["data"]
    rollouts = _rollouts(run, 1)
    tasks = [json.loads(item["gts"])["task"] for item in rollouts]
    for task in set(tasks):
        mine = [item for item, name in zip(rollouts, tasks, strict=True) if name == task]
        for key in ("total", "acc", "format", "recall_raw", "parsed", "predicted_boxes"):
            mean = sum(item[key] for item in mine) / len(mine)
            assert entry[f"critic/vision_r1/shapes/{task}/{key}/mean"] == pytest.approx(mean, abs=1e-6)
    assert 0 <= entry["critic/vision_r1/groups/all_zero"] <= entry["critic/vision_r1/groups/same_score"] <= 1
    right = {item["uid"].split("_")[0] for item in rollouts if item["acc"]}
    assert entry["critic/vision_r1/groups/all_wrong"] == pytest.approx(1 - len(right) / PROMPTS)


def test_a_step_spends_less_than_a_hundredth_of_its_time_on_scoring(run: Run) -> None:
    """By the median completion: each takes tenths of a millisecond, and a busy machine interrupts one for 16."""
    entry = json.loads(run.metrics[0].read_text().splitlines()[1])["data"]
    seconds = [item["scoring_seconds"] for item in _rollouts(run, 1)]
    assert entry["critic/vision_r1/scoring_seconds/sum"] == pytest.approx(sum(seconds))
    assert 0 < len(seconds) * float(np.median(seconds)) < 0.01 * entry["timing_s/step"]


def test_the_vision_tower_stays_as_it_was(run: Run) -> None:
    from transformers import Qwen2_5_VLForConditionalGeneration

    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(run.demo.model, dtype=torch.float32)
    before = {name: part.detach() for name, part in model.named_parameters()}
    folder = run.demo.folder / "checkpoints" / "global_step_2" / "actor"
    after = torch.load(folder / "model_world_size_1_rank_0.pt", weights_only=False)
    moved = {name for name in before if not torch.equal(_local(after[name]), before[name])}
    visual = {name for name in before if "visual." in name}
    assert moved
    assert moved & visual == {name for name in visual if ".merger." in name}
    held = torch.load(folder / "optim_world_size_1_rank_0.pt", weights_only=False)["state"]
    trained = {name for name in before if name not in visual or ".merger." in name}
    assert len(held) == len(trained)


def _local(tensor: torch.Tensor) -> torch.Tensor:
    return (tensor.to_local() if hasattr(tensor, "to_local") else tensor).float()


@pytest.mark.skipif(not DRILLS, reason="a drill of minutes: make drills")
def test_a_full_disk_ends_the_run_and_spares_the_last_checkpoint(run: Run) -> None:
    assert run.statuses[1] != 0
    assert "enforce fail at inline_container.cc" in run.logs[1]  # How torch says that it could not write.
    assert run.statuses[2] == 0
    assert (run.demo.folder / "checkpoints" / "latest_checkpointed_iteration.txt").read_text() == "3"


def test_the_model_that_answers_is_the_model_that_learns(run: Run) -> None:
    """vLLM's probabilities of its own tokens are those of the actor: weights arrive, images are read alike."""
    entries = [json.loads(line)["data"] for path in run.metrics for line in path.read_text().splitlines()]
    differences = [entry["training/rollout_probs_diff_mean"] for entry in entries if "actor/grad_norm" in entry]
    assert len(differences) == 3
    assert max(differences) < 0.01


def test_the_page_of_the_run_scores_every_answer_as_the_run_did(run: Run, tmp_path: Path) -> None:
    """By the frame, preset and stage that the dumps name: their own numbers come out again."""
    prompts = document_of(run.demo.folder, tmp_path)["prompts"]
    rollouts = [rollout for prompt in prompts for rollout in prompt["rollouts"]]
    assert {prompt["kind"] for prompt in prompts} == {"training", "validation"}
    assert sum(len(prompt["rollouts"]) for prompt in prompts if prompt["kind"] == "training") == 3 * PROMPTS * ROLLOUTS
    assert not [rollout for rollout in rollouts if "rescored_otherwise" in rollout["flags"]]
    assert any(rollout["pairs"] for rollout in rollouts)


def document_of(folder: Path, out: Path) -> dict[str, Any]:
    page = write_report(folder, out / "page.html", limit=100_000).path.read_text(encoding="utf-8")
    found = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    document: dict[str, Any] = json.loads(found[1])
    return document
