"""The step of the placement: verl's pools on a Ray cluster of fake nodes."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from take_steps import take_steps

from verl_vision_r1.preflight.rehearse.placement.remedies import choices
from verl_vision_r1.preflight.rehearse.step import Spec, Step

RUNS = {
    "fits": (("+recipe=vision_r1_qwen7b_separate_async",), None),
    "too large": (("+recipe=vision_r1_qwen72b",), (2, 8)),
}


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Step]:
    specs = {name: Spec("placement", run, Path("unused"), nodes=nodes) for name, (run, nodes) in RUNS.items()}
    return take_steps(specs, tmp_path_factory.mktemp("placement"))


@pytest.mark.process
def test_each_worker_finds_a_place_on_the_nodes_that_the_run_asks_for(steps: dict[str, Step]) -> None:
    step = steps["fits"]
    assert step.ok, step
    assert step.found == "2 nodes x 8 GPUs: bundles placed: global_pool 8, rollout_pool 8"
    assert step.figures == {"nodes": 2, "gpus": 16, "cpu_cores": 50, "bundles": 16}


@pytest.mark.process
def test_too_few_gpus_are_found_by_verl_and_a_run_that_fits_is_named(steps: dict[str, Step]) -> None:
    step = steps["too large"]
    assert step.ok is False
    assert "Total available GPUs 16.0 is less than total desired GPUs 32" in step.found
    assert step.advice == "trainer.nnodes=2 trainer.n_gpus_per_node=8"


def run_with(mode: str, generating_nodes: int = 1) -> Any:
    rollout = {"nnodes": generating_nodes}
    return OmegaConf.create({"trainer": {"v1": {"trainer_mode": mode}}, "actor_rollout_ref": {"rollout": rollout}})


@pytest.mark.parametrize(
    ("mode", "nodes", "trainer", "rollout"),
    [
        ("vision_r1_sync", (2, 4), (2, 4), None),
        ("vision_r1_separate_async", (4, 8), (2, 8), (2, 8)),
        ("vision_r1_separate_async", (2, 8), (1, 8), (1, 8)),
        ("vision_r1_separate_async", (1, 5), (1, 3), (1, 2)),
    ],
)
def test_all_nodes_of_the_cluster_are_used(
    mode: str, nodes: tuple[int, int], trainer: tuple[int, int], rollout: tuple[int, int] | None
) -> None:
    (found,) = choices(run_with(mode, generating_nodes=2), nodes)
    assert (found["trainer.nnodes"], found["trainer.n_gpus_per_node"]) == trainer
    key = "actor_rollout_ref.rollout"
    assert rollout == ((found[f"{key}.nnodes"], found[f"{key}.n_gpus_per_node"]) if rollout else None)


def test_one_gpu_cannot_both_train_and_generate_apart() -> None:
    assert list(choices(run_with("vision_r1_separate_async"), (1, 1))) == []
