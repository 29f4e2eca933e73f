"""verl #5690, verl 0.9 and 0.10.0.dev with TRL 1.13 or later.

For every FSDP model verl imports a class of TRL if Python finds a module `trl`, even an empty folder of that name in
the working directory. Only a critic with TRL's value head needs the class. TRL removed it in
https://github.com/huggingface/trl/pull/7020, and every run ends with an ImportError.

https://github.com/verl-project/verl/issues/5690. Remove when a release of verl starts with a TRL that lacks the class.
"""

import functools
import importlib
import inspect
from types import ModuleType
from typing import Final

from verl_vision_r1.compat.workaround import Workaround

CLASS: Final = "AutoModelForCausalLMWithValueHead"


def needed(module: ModuleType) -> bool:
    """Whether verl imports the class where it patches a model. Read from its source: trying would import TRL."""
    source = inspect.getsource(module.apply_monkey_patch)
    return CLASS in source and "is_trl_available()" in source


def patch(module: ModuleType) -> None:
    """Make verl import the class only where TRL has it."""
    module.is_trl_available = has_value_head  # type: ignore[attr-defined]


@functools.cache
def has_value_head() -> bool:
    """Whether verl's import of the class from TRL succeeds."""
    for name in ("trl.experimental.ppo", "trl"):
        try:
            return bool(getattr(importlib.import_module(name), CLASS))
        except (ImportError, AttributeError):
            continue
        except Exception:  # TRL raises a RuntimeError if one of its modules cannot be imported.
            return False
    return False


WORKAROUND: Final = Workaround(
    "TRL without the value head", 5690, ">=0.9,<0.11", "verl.models.transformers.monkey_patch", needed, patch
)
