"""The step of the placement: verl's pools on a Ray cluster of fake nodes."""

from pathlib import Path

import pytest
from take_steps import take_steps

pytestmark = pytest.mark.process

SEPARATE = ["+recipe=vision_r1_qwen7b_separate_async"]


def test_each_worker_finds_a_place_on_the_nodes_that_the_run_asks_for(tmp_path: Path) -> None:
    case = {"overrides": SEPARATE, "folder": "unused"}
    step = take_steps("placement", {"run": case}, tmp_path)["run"]
    assert step.ok, step
    assert step.found == "2 nodes x 8 GPUs: bundles placed: global_pool 8, rollout_pool 8"
    assert step.figures == {"nodes": 2, "gpus": 16, "cpu_cores": 50, "bundles": 16}


def test_too_few_gpus_are_found_by_verl_and_a_run_that_fits_is_named(tmp_path: Path) -> None:
    case = {"overrides": ["+recipe=vision_r1_qwen72b"], "folder": "unused", "nodes": [2, 8]}
    step = take_steps("placement", {"run": case}, tmp_path)["run"]
    assert step.ok is False
    assert "Total available GPUs 16.0 is less than total desired GPUs 32" in step.found
    assert step.advice == "trainer.nnodes=2 trainer.n_gpus_per_node=8"
