"""Who may import whom, what importing costs, and what a training run's processes load."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import verl_vision_r1

PACKAGE = Path(verl_vision_r1.__file__).parent
NAME = PACKAGE.name

ORDER = (
    (
        *("supported", "renamed", "shown", "documents", "boxes", "points", "targets", "families", "frames", "prompts"),
        *("cpu", "compat"),
    ),
    ("rewards",),
    ("settings",),
    ("reward_manager",),
    ("data.readers",),
    ("data",),
    ("training",),
    ("evaluation.predictions",),
    ("evaluation.measures",),
    ("evaluation",),
    ("evaluation.presentation",),
    ("report",),
    ("predict",),
    ("demo",),
    ("preflight",),
    ("cli",),
    ("plugin",),
)
"""Rooms from the ground up: a room imports from those before it, and from itself."""

SHELL = {"plugin", "", "config"}
"""The entry point loads what verl needs, `verl_vision_r1` itself what it re-exports, each when it is asked for."""

LIGHT = {"numpy", "scipy", "yaml"}
"""What the rewards and the vocabulary may import beside the standard library."""

NEEDED_BY_A_RUN = {
    *(
        "plugin",
        "supported",
        "compat",
        "renamed",
        "shown",
        "documents",
        "settings",
        "boxes",
        "points",
        "families",
        "frames",
        "targets",
        "prompts",
    ),
    *("rewards", "reward_manager", "training", "data", "cpu", "preflight", "config"),
}
"""What a run's processes load. `data` without readers but for the checks of images; `preflight` without its tools."""

OF_PREFLIGHT = {"preflight", "preflight.config_check"} | {
    f"preflight.config_check.{name}"
    for name in ("bounds", "machine", "model", "parallel", "rewards", "samples", "steering", "training", "unknown")
}
OF_DATA = {
    *(
        "data",
        "data.dataset",
        "data.difficulty",
        "data.images",
        "data.parquet",
        "data.parquet_checks",
        "data.progress",
    ),
    *("data.prompt_length", "data.readers", "data.readers.entries", "data.readers.image_size"),
    *("data.readers.problems", "data.readers.samples"),
}
OF_TRAINING = {
    f"training{name}"
    for name in (
        *("", ".trainer", ".metrics", ".advantages", ".groups", ".run_file", ".agent_loop", ".frozen"),
        *(".sampler", ".steering", ".single_turn_loop"),
    )
} | {"training.freeze_vision"}

MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix("."): path
    for path in PACKAGE.rglob("*.py")
}


def imported_by(path: Path) -> Iterator[str]:
    """The modules that a file imports, anywhere in it, by their full names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner.removeprefix(f"{NAME}.") in MODULES else node.module


def ours(path: Path) -> set[str]:
    """The modules of this package that a file imports, without the package's name."""
    found = {name.removeprefix(NAME).lstrip(".") for name in imported_by(path) if name.split(".")[0] == NAME}
    assert found <= set(MODULES), found - set(MODULES)
    return found


def room_of(module: str) -> str:
    """The longest room of `ORDER` that a module lies in."""
    rooms = [room for floor in ORDER for room in floor if module == room or module.startswith(f"{room}.")]
    assert rooms, f"{module}: expected a room of ORDER, got none; add it"
    return max(rooms, key=len)


FLOOR = {room: number for number, floor in enumerate(ORDER) for room in floor}


@pytest.mark.parametrize("module", sorted(set(MODULES) - SHELL - {name for name in MODULES if "config" in name[:7]}))
def test_a_room_imports_only_from_those_before_it(module: str) -> None:
    room = room_of(module)
    others = {room_of(other) for other in ours(MODULES[module]) if other} - {room}
    assert {other for other in others if FLOOR[other] > FLOOR[room]} == set()


def test_no_module_imports_itself_by_a_circle() -> None:
    remaining = {name: ours(path) - {name, ""} for name, path in MODULES.items() if name not in SHELL}
    while free := [name for name, needs in remaining.items() if not needs & set(remaining)]:
        for name in free:
            del remaining[name]
    assert remaining == {}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_trainer_preflight_and_a_patch_know_of_the_transfer_queue(path: Path) -> None:
    place = path.relative_to(PACKAGE)
    if place.parts[0] != "preflight" and str(place) != "training/trainer.py":
        text = path.read_text(encoding="utf-8").lower()
        # One asks whether the package is there, the other patches it when verl has imported it.
        assert "transfer_queue" not in text or str(place) in {"demo/run.py", "cpu/faster_rollouts.py"}
        assert "transfer_queue" not in {name.split(".")[0] for name in imported_by(path)}


PURE = ("rewards", *ORDER[0][1:8])


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name.split(".")[0] in PURE))
def test_rewards_and_vocabulary_import_nothing_heavy(module: str) -> None:
    known = set(sys.stdlib_module_names) | LIGHT | {NAME}
    optional = {"math_verify"}  # The published code's first pass, where somebody asks for it.
    assert {name.split(".")[0] for name in imported_by(MODULES[module])} <= known | optional


def loaded_by(statement: str, prefix: str = "") -> set[str]:
    """The modules that a fresh interpreter has loaded after a statement."""
    code = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return {name for name in json.loads(done.stdout.splitlines()[-1]) if name.startswith(prefix)}


@pytest.mark.process
def test_scoring_loads_nothing_heavy() -> None:
    names = {"api", "explanation", "releases", "attacks", "conformance"}
    loaded = loaded_by("; ".join(f"import {NAME}.rewards.{name}" for name in sorted(names)))
    assert not {name.split(".")[0] for name in loaded} & {"torch", "verl", "ray", "transformers", "vllm", "hydra"}
    assert not {name.split(".")[0] for name in loaded} & {"omegaconf", "pyarrow", "PIL", "pandas", "typer", "rich"}


@pytest.mark.process
def test_the_package_alone_loads_nothing() -> None:
    loaded = {name.split(".")[0] for name in loaded_by(f"import {NAME}")}
    assert not loaded & {"torch", "verl", "ray", "transformers", "vllm", "numpy", "scipy", "yaml"}


RUN = f"""
import verl.trainer.main_ppo
import verl.trainer.ppo.v1
import verl.experimental.reward_loop.reward_manager
from verl.utils.import_utils import load_extern_object
from {NAME}.preflight.config_check import check
from {NAME}.training import agent_loop, freeze_vision
from {NAME}.data import dataset, parquet
from {NAME}.settings import Settings
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
with initialize_config_module("verl.trainer.config", version_base=None):
    for reward in ("vision_r1", "robust", "visual_rft", "vision_r1_release_2026", "vlm_r1_od_ap"):
        config = compose("ppo_trainer", overrides=["+recipe=vision_r1_qwen7b", f"vision_r1/reward={{reward}}"])
        Settings.from_config(OmegaConf.to_container(config.vision_r1, resolve=True))
try:
    check(config)
except (ValueError, FileNotFoundError):
    pass
"""
"""What verl's driver, trainer, reward workers, agent loops and actors load of us, in one interpreter."""


@pytest.mark.process
@pytest.mark.verl
def test_a_training_run_loads_no_tool() -> None:
    loaded = {name.removeprefix(f"{NAME}.") for name in loaded_by(RUN, f"{NAME}.")}
    assert {name.split(".")[0] for name in loaded} <= NEEDED_BY_A_RUN
    assert {name for name in loaded if name.split(".")[0] == "preflight"} == OF_PREFLIGHT
    assert {name for name in loaded if name.split(".")[0] == "data"} <= OF_DATA
    assert {name for name in loaded if name.split(".")[0] == "training"} == OF_TRAINING
    assert not loaded & {"rewards.attacks", "rewards.conformance"}
    assert not {name for name in loaded if name.startswith("rewards.explanation")}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = verl_vision_r1.nonsense
