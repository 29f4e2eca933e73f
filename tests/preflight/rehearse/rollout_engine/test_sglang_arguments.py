"""The step of the rollout engine for SGLang: without the package, and with a stand-in for it."""

import importlib.util
import shutil
from pathlib import Path

import pytest
from take_steps import take_steps

from verl_vision_r1.preflight.rehearse.step import Spec, Step

pytestmark = pytest.mark.process

ROLLOUT = "actor_rollout_ref.rollout."
CASES: dict[str, tuple[str, ...]] = {
    "recipe": (),
    "LoRA": ("vision_r1/tuning=lora",),
    "option": (f"+{ROLLOUT}engine_kwargs.sglang.speed=3",),
    "pages": (f"+{ROLLOUT}engine_kwargs.sglang.page_size=3",),
    "long": (f"{ROLLOUT}max_model_len=200000",),
    "no GPU": (f"+{ROLLOUT}engine_kwargs.sglang.attention_backend=triton",),
}


def specs(model: Path, *names: str) -> dict[str, Spec]:
    return {name: Spec("rollout engine", ("+recipe=vision_r1_qwen7b_sglang", *CASES[name]), model) for name in names}


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory, short_model: Path) -> dict[str, Step]:
    folder = tmp_path_factory.mktemp("sglang")
    package = folder / "packages" / "sglang"
    package.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("sglang_stand_in.py"), package / "__init__.py")
    return take_steps(specs(short_model, *CASES), folder, package.parent)


@pytest.mark.parametrize("case", ["recipe", "LoRA"])
def test_sglang_accepts_the_arguments_that_verl_composes(steps: dict[str, Step], case: str) -> None:
    assert steps[case].ok, steps[case]
    assert steps[case].found == "SGLang 0.5.12 accepts: TP 2, bfloat16"
    assert steps[case].limit.startswith("prompt 1,024 + completion 512 tokens; 8 GPUs, 2 per engine")


@pytest.mark.parametrize(
    ("case", "found", "advice"),
    [
        ("option", "unexpected keyword argument 'speed'", ""),
        ("pages", "AssertionError: chunked_prefill_size must be divisible by page_size", ""),
        ("long", "max_model_len (200000) should be less than or equal to", "max_model_len=1536"),
    ],
)
def test_a_refused_run_is_told_what_is_accepted(steps: dict[str, Step], case: str, found: str, advice: str) -> None:
    assert steps[case].ok is False
    assert found in steps[case].found
    assert steps[case].advice == (ROLLOUT + advice if advice else "")


def test_what_needs_a_gpu_is_skipped(steps: dict[str, Step]) -> None:
    assert steps["no GPU"].ok is None
    assert steps["no GPU"].found == (
        "SGLang's arguments cannot be built on this machine: RuntimeError: Triton is not supported on the current"
        " platform"
    )


@pytest.mark.skipif(importlib.util.find_spec("sglang") is not None, reason="SGLang is installed")
def test_an_engine_that_is_not_installed_is_skipped(short_model: Path, tmp_path: Path) -> None:
    (found,) = take_steps(specs(short_model, "recipe"), tmp_path).values()
    assert found.ok is None
    assert found.found == "sglang is not installed here: its arguments are not checked"
