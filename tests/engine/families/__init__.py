"""A tiny model with random weights of each family that verl trains, one file a family."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from families import gemma4, glm4v, glm4v_moe, glm46v, qwen2_5_vl, qwen2_vl, qwen3_5, qwen3_5_moe, qwen3_vl
from families.shared import Tiny, write_tiny

FAMILIES: Final[dict[str, Tiny]] = {
    "qwen2_vl": qwen2_vl.TINY,
    "qwen2_5_vl": qwen2_5_vl.TINY,
    "qwen3_vl": qwen3_vl.TINY,
    "qwen3_5": qwen3_5.TINY,
    "glm4v": glm4v.TINY,
    "gemma4": gemma4.TINY,
    "glm46v": glm46v.TINY,
    "glm46v_flash": glm46v.FLASH,
    "qwen3_5_moe": qwen3_5_moe.TINY,
    "glm4v_moe": glm4v_moe.TINY,
}


def build_family(name: str, folder: Path, texts: Iterable[str]) -> Path:
    """Write a tiny model of a family."""
    return write_tiny(FAMILIES[name], folder, texts)
