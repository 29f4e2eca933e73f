"""Every symbol and every key of verl that the package uses is in the installed verl."""

import ast
import contextlib
import importlib
from pathlib import Path
from typing import Any

import pytest
from generators import verl_symbols
from generators.verl_keys import keys_in_use, nearest
from generators.verl_symbols import symbols_by_room, symbols_of

from verl_vision_r1 import supported

pytestmark = pytest.mark.verl

SYMBOLS = sorted({symbol for symbols in symbols_by_room().values() for symbol in symbols})
OF_AN_ENGINE = (
    "verl.utils.vllm.",
    "verl.workers.rollout.vllm_rollout.",
    "verl.workers.rollout.sglang_rollout.",
)
PASSED_ON = (
    "actor_rollout_ref.actor.fsdp_config.mixed_precision.",
    "actor_rollout_ref.actor.megatron.override_transformer_config.",
    "actor_rollout_ref.model.override_config.",
    "actor_rollout_ref.ref.fsdp_config.mixed_precision.",
    "actor_rollout_ref.rollout.engine_kwargs.",
    "data.apply_chat_template_kwargs.",
    "ray_kwargs.ray_init.",
    "trainer.v1.sampler.sampler_kwargs.",
)
"""What verl passes on to torch, Megatron, transformers, the engine or Ray: it names none of these keys."""
DECLARED = (
    "actor_rollout_ref.rollout.agent.agent_loop_manager_class",
    "actor_rollout_ref.rollout.enable_sleep_mode",
    "algorithm.gdpo_reward_keys",
    "algorithm.gdpo_reward_weights",
)
"""Keys that verl reads, but that are not in its YAML files."""
OURS = ("actor_rollout_ref.freeze_connector", "data.prompt_templates")
"""Keys that only this package reads."""


def found(symbol: str) -> bool:
    """Whether the installed verl has a symbol."""
    names = symbol.split(".")
    if symbol.startswith(OF_AN_ENGINE):
        return written(names)
    for depth in range(len(names), 0, -1):
        with contextlib.suppress(ModuleNotFoundError):
            value = importlib.import_module(".".join(names[:depth]))
            return has(value, names[depth:])
    return False


def has(value: Any, names: list[str]) -> bool:
    """Whether a value has an attribute, and that the next, and so on."""
    return not names or (hasattr(value, names[0]) and has(getattr(value, names[0]), names[1:]))


def written(names: list[str]) -> bool:
    """Whether verl's source has a module, and what it is to have: importing it needs an engine."""
    import verl

    place = Path(verl.__file__).parent.joinpath(*names[1:])
    for depth in range(len(names), 1, -1):
        if place.is_dir() or place.with_suffix(".py").is_file():
            files = [*place.glob("*.py"), *place.parent.glob(f"{place.name}.py")]
            return {*names[depth:]} <= {name for file in files for name in defined(file)}
        place = place.parent
    return False


def defined(file: Path) -> set[str]:
    """The classes and functions of a file, methods included."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)}


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_installed_verl_has_every_symbol(symbol: str) -> None:
    assert found(symbol), (
        f"{symbol}: used in {[name for name in verl_symbols.modules() if symbol in symbols_of(name)]}"
    )


@pytest.mark.parametrize(
    "symbol",
    [
        "verl.nowhere",
        "verl.utils.fsdp_utils.nothing",
        "verl.trainer.ppo.v1.PPOTrainer._nothing",
        "verl.workers.rollout.sglang_rollout.async_sglang_server.Nothing",
        "verl.utils.vllm.VLLMHijack.nothing",
        "verl.workers.rollout.vllm_rollout.nowhere",
    ],
)
def test_a_symbol_that_is_not_there_is_noticed(symbol: str) -> None:
    assert not found(symbol)


@pytest.mark.parametrize(
    ("module", "symbol"),
    [
        ("training.trainer", "verl.trainer.ppo.v1.register_trainer"),
        ("training.trainer", "verl.trainer.ppo.v1.PPOTrainer._compute_advantage"),
        ("compat.fused_head", "verl.utils.fsdp_utils._select_fsdp2_wrap_targets"),
        ("plugin", "verl.experimental.reward_loop.reward_manager"),
        ("plugin", "verl.__version__"),
        (
            "preflight.rehearse.rollout_engine.server",
            "verl.workers.rollout.vllm_rollout.vllm_async_server.vLLMHttpServer",
        ),
    ],
    ids=["import", "super()", "patch", "import hook", "attribute", "pair of strings"],
)
def test_symbols_are_read_from_the_code(module: str, symbol: str) -> None:
    assert symbol in symbols_of(module)


def test_a_group_of_entry_points_is_no_symbol() -> None:
    assert "verl.plugins" not in SYMBOLS


@pytest.mark.parametrize("key", sorted(set(keys_in_use()) - {*DECLARED, *OURS}))
def test_the_installed_verl_has_every_key(key: str) -> None:
    assert nearest(key) == key or key.startswith(PASSED_ON), f"{key}: verl has {nearest(key)} alone"


def test_a_key_that_the_code_reads_is_found() -> None:
    assert "preflight" in keys_in_use()["algorithm.use_pf_ppo"]
    assert nearest("trainer.use_v2") == "trainer"


def test_the_page_has_the_line_that_a_run_prints() -> None:
    page = Path(__file__).parents[2] / "docs" / "development" / "versions.md"
    line = f"verl-vision-r1: {supported.notice('0.10.0.dev')}"
    assert line in " ".join(page.read_text(encoding="utf-8").split())
