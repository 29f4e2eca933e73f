"""Compositions and models are shared: each reads three dozen files, or builds a whole model."""

from collections.abc import Iterator
from typing import Any

import hydra
import pytest
from compose_once import compose_once

from verl_vision_r1.preflight.estimate import plan
from verl_vision_r1.preflight.estimate.model import Model, measure

models: dict[tuple[str, ...], Model] = {}


def measure_once(config: Any, source: str, actor: Any) -> Model:
    key = config.to_json_string(), source, str(actor["model"])
    if key not in models:
        models[key] = measure(config, source, actor)
    return models[key]


@pytest.fixture(scope="module", autouse=True)
def shared() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hydra, "compose", compose_once)
        patch.setattr(plan, "measure", measure_once)
        yield
