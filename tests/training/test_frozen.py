"""Frozen vision towers: parameters without gradient, and verl uses our engine."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("qwen_vl_utils", reason="verl reads images with qwen_vl_utils")
pytestmark = pytest.mark.verl


@pytest.fixture
def model(folder: Path) -> Any:
    from transformers import Qwen2_5_VLForConditionalGeneration

    return Qwen2_5_VLForConditionalGeneration.from_pretrained(folder / "model", dtype=torch.float32)


@pytest.mark.parametrize("connector", [False, True])
def test_only_the_vision_tower_is_frozen(model: Any, connector: bool) -> None:
    from verl_vision_r1.training.frozen import freeze

    frozen = set(freeze(model, connector=connector))
    visual = {name for name, _ in model.named_parameters() if "visual." in name}
    merger = {name for name in visual if ".merger." in name}
    assert merger
    assert len(visual) > len(merger)
    assert frozen == (visual if connector else visual - merger)
    assert {name for name, part in model.named_parameters() if not part.requires_grad} == frozen


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "connector"),
    [("gemma4", "embed_vision."), ("qwen3_5", "visual.merger."), ("glm4v", "visual.merger.")],
)
def test_the_names_of_each_kind_of_tower_are_known(
    family: str, connector: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForImageTextToText

    from verl_vision_r1.training.frozen import freeze

    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "engine"))
    from families import build_family

    model = AutoModelForImageTextToText.from_pretrained(build_family(family, tmp_path, ["cat"]))
    names = {name for name, _ in model.named_parameters() if "language_model." not in name}
    assert any(connector in name for name in names)
    assert set(freeze(model, connector=False)) == {name for name in names if connector not in name}
    assert set(freeze(model, connector=True)) == names


def test_a_model_without_vision_is_refused() -> None:
    from verl_vision_r1.training.frozen import freeze

    with pytest.raises(ValueError, match=r"expected a model with a vision tower, got .* \['weight', 'bias'\]"):
        freeze(torch.nn.Linear(2, 2), connector=True)


ASK = """
import verl
from verl.workers.engine import EngineRegistry
before = EngineRegistry.get_engine_cls("language_model", "fsdp2").__name__
import verl_vision_r1.training.freeze_vision_tower
after = EngineRegistry.get_engine_cls("language_model", "fsdp2").__name__
print(before, after, EngineRegistry.get_engine_cls("value_model", "fsdp2").__name__)
"""


@pytest.mark.process
@pytest.mark.engine  # It starts no engine, but verl's imports take long.
def test_verl_uses_the_engine_after_the_import() -> None:
    # In a subprocess, because the registry is global.
    environment = {"VERL_PLATFORM": "cpu", "VERL_ENGINE_DEVICE": "cuda"}
    done = subprocess.run(
        [sys.executable, "-c", ASK], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-3:] == ["FSDPEngineWithLMHead", "FrozenVisionEngine", "FSDPEngineWithValueHead"]
