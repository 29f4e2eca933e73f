"""Every recipe is short, and its folder says what is true of it."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from compositions import (
    CONFIG,
    EVALUATIONS,
    FOLDERS,
    GPU_MEMORY,
    RECIPES,
    TRAININGS,
    as_it_is,
    composed,
    training_gpus,
)

from verl_vision_r1.rewards.presets import names_in

pytestmark = pytest.mark.verl

SWAPPED = ("engine", "rollout", "mode", "tuning", "freeze")
SCRIPTS = sorted(FOLDERS.glob("**/*.sh"))


def readme(name: str) -> str:
    return (FOLDERS / name / "README.md").read_text(encoding="utf-8")


def prose(name: str) -> str:
    return " ".join(readme(name).split())


def sums(name: str) -> list[tuple[str, str, str]]:
    """Every sum of a README: what it is of, its terms, its result."""
    block = readme(name).split("```text\n")[1].split("```")[0]
    lines = [line for line in block.splitlines() if " = " in line]
    return [(line[16:47].strip(), *line[47:].split(" = ", 1)) for line in lines]  # type: ignore[misc]


def worked_out(terms: str) -> float:
    """A sum from left to right, its words left out: 16 bytes x 8.292 / 8 GPUs."""
    bare = re.sub(r"[A-Za-z]{2,}", "", terms)
    first, *rest = re.findall(r"([x/-]?)\s*(\d[\d.]*(?:e\d+)?)", bare)
    result = float(first[1])
    for sign, number in rest:
        value = float(number)
        result = {"x": result * value, "/": result / value, "-": result - value}[sign]
    return result


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_under_25_lines(name: str) -> None:
    assert len((CONFIG / "recipe" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()) < 25


@pytest.mark.parametrize("name", TRAININGS)
def test_a_recipe_says_that_it_has_not_been_run(name: str) -> None:
    text = (CONFIG / "recipe" / f"{name}.yaml").read_text(encoding="utf-8").split("\n\n")[0]
    assert "Composed against verl 0.9; not yet run here." in " ".join(
        line.removeprefix("# ") for line in text.splitlines()
    )
    assert "not yet run here.**" in prose(name)


def test_the_sum_of_an_example() -> None:
    assert worked_out("16 bytes x 8.292 / 8 GPUs") == pytest.approx(16.584)
    assert worked_out("0.6 x 80 - 8.3") == pytest.approx(39.7)
    assert worked_out("24576 tokens x 2 bytes / 1e9") == pytest.approx(49152 / 1e9)


@pytest.mark.parametrize("name", TRAININGS)
def test_the_sums_of_a_readme_add_up(name: str) -> None:
    found = sums(name)
    assert len(found) >= 7
    for what, terms, result in found:
        stated = float(re.match(r"[\d.]+", result).group())  # type: ignore[union-attr]
        assert worked_out(terms) == pytest.approx(stated, abs=0.051 if "GB" in result else 0.5), (what, terms, result)


@pytest.mark.parametrize("name", TRAININGS)
def test_the_sums_of_a_readme_are_of_its_configuration(name: str) -> None:
    config, block = as_it_is(name), {what: terms for what, terms, _ in sums(name)}
    parts = config.actor_rollout_ref
    rollout, sharing = parts.rollout, parts.rollout.tensor_model_parallel_size
    assert block["weights"].endswith(f"/ {sharing} GPU{'s' * (sharing > 1)}")
    assert block["its share of a GPU, less them"].startswith(f"{rollout.gpu_memory_utilization} x {GPU_MEMORY} - ")
    assert block["activations at checkpoints"].startswith(f"{parts.actor.ppo_max_token_len_per_gpu} tokens x ")
    states = next(iter(block.values())) if parts.actor.strategy == "fsdp2" else block["optimizer's states"]
    assert states.endswith(f"/ {training_gpus(config)} GPUs")
    assert ("states while answers are made" in block) == _offloads(parts.actor)
    assert _same_model(block["weights"], block)


def _offloads(actor: Any) -> bool:
    return bool(actor.get("fsdp_config") and actor.fsdp_config.optimizer_offload)


def _same_model(weights: str, block: dict[str, str]) -> bool:
    """The rollout holds all parameters; the parts that training divides them into sum up to as many."""
    every = float(weights.split(" x ")[1].split(" / ")[0])
    others = " ".join(terms for what, terms in block.items() if what != "weights")
    trained = [float(number) for number in re.findall(r"bytes x ([\d.]+) / \d+ GPUs", others)]
    return every in trained or sum(sorted(trained)[:2]) == pytest.approx(every, abs=0.01)


@pytest.mark.parametrize("name", TRAININGS)
def test_a_readme_has_what_a_reader_needs(name: str) -> None:
    config, text = as_it_is(name), prose(name)
    assert f"vision-r1 estimate +recipe={name}`" in text
    assert "GPUs of 80 GB" in text
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
    assert (FOLDERS / name / "run_multinode.sh").is_file() == (name in TRAININGS)


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
