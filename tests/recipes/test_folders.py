"""Every recipe is short, its folder is complete, and its estimate is what arithmetic gives."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from compositions import (
    CONFIG,
    EVALUATIONS,
    FOLDERS,
    ONE_GPU,
    RECIPES,
    TRAININGS,
    as_it_is,
    composed,
    gpu_memory,
    nodes,
    training_gpus,
)
from omegaconf import OmegaConf

from verl_vision_r1.data import MAX_PIXELS
from verl_vision_r1.preflight.estimate.figure import GIB
from verl_vision_r1.preflight.estimate.plan import Assumptions, Plan
from verl_vision_r1.rewards.presets import names_in
from verl_vision_r1.settings import Settings

pytestmark = pytest.mark.verl

SWAPPED = ("engine", "rollout", "mode", "tuning", "freeze")
SCRIPTS = sorted(FOLDERS.glob("**/*.sh"))
HARDWARE = {1: "One node of 8 GPUs", 2: "Two nodes of 8 GPUs", 4: "Four nodes of 8 GPUs"}


@dataclass(frozen=True)
class Shape:
    """A published model: its parameters and those of its experts in 10^9, and the shape of its language model."""

    parameters: float
    layers: int
    width: int
    key_heads: int
    experts: float = 0.0
    head: int = 128
    linear: int = 0

    @property
    def keys(self) -> int:
        """Numbers in the keys of one token; layers with linear attention keep none."""
        return (self.layers - self.linear) * self.key_heads * self.head


SHAPES = {
    "Qwen2-VL-2B": Shape(2.209, 28, 1536, 2),
    "Qwen2-VL-7B": Shape(8.291, 28, 3584, 4),
    "Qwen2.5-VL-3B": Shape(3.755, 36, 2048, 2),
    "Qwen2.5-VL-7B": Shape(8.292, 28, 3584, 4),
    "Qwen2.5-VL-32B": Shape(33.453, 64, 5120, 8),
    "Qwen2.5-VL-72B": Shape(73.411, 80, 8192, 8),
    "Qwen3-VL-2B": Shape(2.128, 28, 2048, 8),
    "Qwen3-VL-4B": Shape(4.438, 36, 2560, 8),
    "Qwen3-VL-8B": Shape(8.767, 36, 4096, 8),
    "Qwen3-VL-30B-A3B": Shape(31.071, 48, 2048, 4, experts=28.991),
    "Qwen3.5-4B": Shape(4.539, 32, 2560, 4, head=256, linear=24),
    "Qwen3.5-9B": Shape(9.410, 32, 4096, 4, head=256, linear=24),
    "Qwen3.5-35B-A3B": Shape(35.107, 40, 2048, 2, experts=32.212, head=256, linear=30),
}
FROZEN = {
    "vision_r1_qwen7b_frozen_vision": 0.677,
    "vision_r1_qwen7b_lora": 8.292,
    "vision_r1_qwen7b_lora_1gpu": 8.292,
    "vision_r1_qwen3b_lora_24gb": 3.755,
    "vision_r1_qwen3vl_2b_lora_24gb": 2.128,
    "vision_r1_qwen3vl_8b_lora_1gpu": 8.767,
    "vision_r1_qwen3_5_9b_lora_1gpu": 9.410,
}
"""Parameters that a recipe does not train, in 10^9."""
WIDTHS = {
    "Qwen2.5-VL-3B": 51_968,
    "Qwen2.5-VL-7B": 90_112,
    "Qwen3-VL-2B": 38_912,
    "Qwen3-VL-8B": 75_776,
    "Qwen3.5-9B": 84_528,  # Mean of 8 layers with 79,872 and 24 layers of linear attention with 86,080.
}
"""Inputs and outputs of the matrices of a layer, added up: an adapter has as many numbers per rank."""


def readme(name: str) -> str:
    return (FOLDERS / name / "README.md").read_text(encoding="utf-8")


def prose(name: str) -> str:
    return " ".join(readme(name).split())


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_under_25_lines(name: str) -> None:
    assert len((CONFIG / "recipe" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()) < 25


@pytest.mark.parametrize("name", [*TRAININGS, *EVALUATIONS])
def test_a_recipe_says_that_it_has_not_been_run(name: str) -> None:
    text = (CONFIG / "recipe" / f"{name}.yaml").read_text(encoding="utf-8").split("\n\n")[0]
    assert "Validated against verl 0.9; not yet run on a GPU." in " ".join(
        line.removeprefix("# ") for line in text.splitlines()
    )
    assert "not yet run on a GPU.**" in prose(name)


def planned(name: str) -> Plan:
    """A recipe without overrides and without data, as `vision-r1 estimate` reads it."""
    from verl_vision_r1.preflight.estimate.model import measure, read_config
    from verl_vision_r1.preflight.estimate.samples import read_lengths

    config = as_it_is(name)
    settings = Settings.from_config(OmegaConf.to_container(config.vision_r1, resolve=True))  # type: ignore[arg-type]
    model = measure(*read_config(config.actor_rollout_ref.model, None), config.actor_rollout_ref)
    return Plan(config, settings, model, read_lengths(config, model, settings.prompts), Assumptions(gpu_memory(name)))


def shape_of(config: Any) -> Shape:
    return SHAPES[config.actor_rollout_ref.model.path.removeprefix("Qwen/").removesuffix("-Instruct")]


def adapter(config: Any) -> float:
    """Parameters of an adapter, in 10^9."""
    rank, model = config.actor_rollout_ref.model.lora_rank, config.actor_rollout_ref.model.path
    if not rank:
        return 0.0
    widths = WIDTHS[model.removeprefix("Qwen/").removesuffix("-Instruct")]
    return widths * rank * shape_of(config).layers / 1e9


def copies(config: Any) -> tuple[int, int]:
    """With Megatron: GPUs that share one copy of the weights, and of the experts."""
    megatron = config.actor_rollout_ref.actor.megatron
    experts = megatron.expert_model_parallel_size * (megatron.expert_tensor_parallel_size or 1)
    return megatron.tensor_model_parallel_size * megatron.pipeline_model_parallel_size, experts


def bytes_of_weights(config: Any) -> int:
    return {"fp32": 4, "bf16": 2}[config.actor_rollout_ref.actor.fsdp_config.model_dtype]


def expected_states(name: str, config: Any) -> float:
    """GB of weights, gradients and optimizer states on a GPU that trains."""
    shape, gpus = shape_of(config), training_gpus(config)
    if config.actor_rollout_ref.actor.strategy == "megatron":
        dense, experts = copies(config)
        weights = 6 * (shape.parameters - shape.experts) / dense + 6 * shape.experts / experts
        return weights + 12 * shape.parameters / gpus
    fixed = FROZEN.get(name, 0.0)
    size = bytes_of_weights(config)
    return size * (4 * (shape.parameters - fixed + adapter(config)) + fixed) / gpus


def expected_host(name: str, config: Any) -> float:
    """GB on a node that trains: what is offloaded during generation, and the reference model of FSDP2."""
    shape, parts = shape_of(config), config.actor_rollout_ref
    if parts.actor.strategy == "megatron":
        dense, experts = (training_gpus(config) / size for size in copies(config))
        weights = 2 * (dense * (shape.parameters - shape.experts) + experts * shape.experts)
        return (weights + 12 * shape.parameters) / config.trainer.nnodes
    size, fixed = bytes_of_weights(config), FROZEN.get(name, 0.0)
    trained = shape.parameters - fixed + adapter(config)
    reference = 0 if parts.model.lora_rank else 4 * shape.parameters
    offloaded = parts.actor.fsdp_config.optimizer_offload
    states = size * (3 * trained + fixed) if offloaded else 0
    return (reference + states) / config.trainer.nnodes


@pytest.mark.parametrize("name", TRAININGS)
def test_the_estimate_of_a_recipe_is_what_arithmetic_gives(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from verl_vision_r1.preflight.estimate import generation, passes, sharding, training

    monkeypatch.chdir(tmp_path)  # No data/train.parquet.
    config, plan = as_it_is(name), planned(name)
    shape, parts, data = shape_of(config), config.actor_rollout_ref, config.data
    held = sharding.model_state(plan)
    states = (held.weights + held.gradients + held.optimizer) / 1e9
    assert states == pytest.approx(expected_states(name, config), abs=0.02)
    samples = data.train_batch_size * parts.rollout.n // training_gpus(config)
    length = data.max_prompt_length + data.max_response_length
    budget = parts.actor.ppo_max_token_len_per_gpu // length  # Whole sequences, in passes of about the same number.
    tokens = length * next(
        most for most in (-(-samples // parts) for parts in range(1, samples + 1)) if most <= budget
    )
    assert passes.update_pass(plan, 2).stored == tokens * shape.width * shape.layers * 2
    parallel = parts.rollout.tensor_model_parallel_size
    weights = 2 * (shape.parameters + adapter(config)) / parallel
    assert generation.engine_weights(plan) / 1e9 == pytest.approx(weights, abs=0.01)
    room = (parts.rollout.gpu_memory_utilization * gpu_memory(name) - 3) * GIB / 1e9 - weights
    assert generation.cache_bytes(plan) / 1e9 == pytest.approx(room, abs=0.01)
    each = 2 * shape.keys * 2 // parallel
    assert generation.cache_bytes_of_token(plan.model, 2, parallel) == each
    (host,) = (figure.value for figure in training.figures(plan) if figure.name.startswith("host memory"))
    assert float(host or 0) / 1e9 == pytest.approx(expected_host(name, config), abs=0.05)


@pytest.mark.parametrize("name", TRAININGS)
def test_the_largest_image_of_the_data_fits_into_a_prompt(name: str) -> None:
    config = as_it_is(name)
    side = 32 if "Qwen3" in config.actor_rollout_ref.model.path else 28
    given = {int(pixels) for pixels in re.findall(r"--max-pixels (\d+)", readme(name))} or {MAX_PIXELS}
    (tokens,) = (pixels // side**2 for pixels in given)
    large = side == 32 and "24gb" not in name and name.startswith("vision_r1")
    assert tokens == (4096 if large else MAX_PIXELS // side**2) < config.data.max_prompt_length
    if large and "megatron" not in name:
        assert f"at most {tokens:,} of them for the image" in prose(name)
        assert f"prompts of up to {config.data.max_prompt_length:,} tokens" in prose(name)


@pytest.mark.parametrize("name", ["vision_r1_qwen32b", "vision_r1_qwen72b"])
def test_megatron_without_pipeline_takes_as_much_as_a_readme_says(name: str) -> None:
    config = as_it_is(name)
    parameters, parallel = shape_of(config).parameters, config.actor_rollout_ref.rollout.tensor_model_parallel_size
    assert f"weights and gradients alone take {6 * parameters / parallel:.1f} GB per GPU" in prose(name)
    assert f"the optimizer states another {12 * parameters / training_gpus(config):.0f} GB" in prose(name)


@pytest.mark.parametrize("name", ["vision_r1_qwen7b_megatron", "vision_r1_qwen3vl_30b_a3b_megatron"])
def test_the_reference_model_on_megatron_takes_as_much_as_a_readme_says(name: str) -> None:
    """The estimate leaves it out; `test_the_estimate_of_a_recipe_is_what_arithmetic_gives` holds that."""
    config = as_it_is(name)
    shape, (dense, experts) = shape_of(config), copies(config)
    held, size = (shape.experts, experts) if shape.experts else (shape.parameters, dense)
    host = 2 * held * (training_gpus(config) / size) / config.trainer.nnodes
    assert f"takes another {host:.1f} GB of host memory" in prose(name)


@pytest.mark.parametrize("name", TRAININGS)
def test_a_readme_has_what_a_reader_needs(name: str) -> None:
    config, text = as_it_is(name), prose(name)
    assert f"vision-r1 estimate +recipe={name}`" in text
    hardware = "One GPU" if name in ONE_GPU else HARDWARE[nodes(config)]
    assert f"{hardware} of {gpu_memory(name)} GB." in text
    assert "ublished" in text
    model = config.actor_rollout_ref.model.path.removeprefix("Qwen/")
    assert model in text or name.startswith(("vision_r1_qwen7b_", "vision_r1_qwen3vl_30b_a3b_megatron"))
    outs = {f"--out {Path(path).parent}" for path in (config.data.train_files, config.data.val_files)}
    assert all(out in text for out in outs), outs


@pytest.mark.parametrize("name", TRAININGS)
def test_the_commands_of_a_readme_compose(name: str) -> None:
    commands = [line.split("#")[0].split() for line in readme(name).splitlines() if line.startswith("    bash ")]
    assert commands
    for _, script, *given in commands:
        assert script in ("run.sh", "run_multinode.sh")
        words = given[1:] if script == "run_multinode.sh" else given
        assert script == "run.sh" or given[0] == "slurm"
        config = composed(f"+recipe={name}", *words) if words else as_it_is(name)
        assert config.trainer.experiment_name == name
    one_node = as_it_is(name).trainer.nnodes == 1
    assert any(script == "run.sh" for _, script, *_ in commands) == one_node


@pytest.mark.parametrize("name", [*TRAININGS, *EVALUATIONS])
def test_a_script_is_four_lines_and_runs_its_recipe(name: str) -> None:
    for file in sorted((FOLDERS / name).glob("*.sh")):
        lines = file.read_text(encoding="utf-8").splitlines()
        assert len(lines) == 4
        assert lines[2] == "set -euo pipefail"
        assert f" +recipe={name} " in lines[3]
    assert (FOLDERS / name / "run_multinode.sh").is_file() == (name in TRAININGS and name not in ONE_GPU)


@pytest.mark.process
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_script_is_one_that_bash_can_read(script: Path) -> None:
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True).stderr == ""
    assert script.stat().st_mode & 0o100


def test_the_index_has_every_recipe_and_every_name_of_a_group() -> None:
    index = (FOLDERS / "README.md").read_text(encoding="utf-8")
    linked = re.findall(r"^\| \[`(\w+)`\]\((\w+)/README\.md\)", index, re.MULTILINE)
    assert {name for name, _ in linked} == set(RECIPES)
    assert all(name == folder for name, folder in linked)
    for group in SWAPPED:
        offered = re.findall(rf"`vision_r1/{group}=(\w+)`", index)
        assert set(names_in(group)) == set(offered), group


def test_the_commands_of_the_index_compose() -> None:
    index = (FOLDERS / "README.md").read_text(encoding="utf-8").replace("\\\n", "")
    commands = [
        line.split("#")[0].split()[3:] for line in index.splitlines() if "verl.trainer.main_ppo +recipe" in line
    ]
    assert len(commands) > 2
    for words in commands:
        assert composed(*words).vision_r1.frame == "auto"
