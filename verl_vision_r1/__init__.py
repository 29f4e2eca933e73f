"""GRPO fine-tuning of vision-language models for detection, grounding, counting and classification: a plugin for verl.

Nothing heavy is imported here: verl loads this package in every process and swallows its exceptions (see `plugin.py`).
Public names are imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verl_vision_r1.rewards.api import score
    from verl_vision_r1.rewards.presets import load_curriculum, load_preset
    from verl_vision_r1.rewards.scoring import Scores
    from verl_vision_r1.targets import Target

__version__ = "0.1.0"
__all__ = ["Scores", "Target", "__version__", "load_curriculum", "load_preset", "score"]

_HOME = {
    "Scores": "verl_vision_r1.rewards.scoring",
    "Target": "verl_vision_r1.targets",
    "load_curriculum": "verl_vision_r1.rewards.presets",
    "load_preset": "verl_vision_r1.rewards.presets",
    "score": "verl_vision_r1.rewards.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'verl_vision_r1' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
