"""verl #6814, verl 0.9 and 0.10.0.dev with transformers 5.

verl's FLOPs counter reads sizes from GLM-4.1V's configuration that are in its text configuration.

https://github.com/verl-project/verl/issues/6814. Remove when a release reads the text configuration.
"""

from types import ModuleType
from typing import Final

from verl_vision_r1.compat.workaround import Workaround


def needed(module: ModuleType) -> bool:
    """Whether verl cannot count the FLOPs of GLM-4.1V."""
    from transformers import Glm4vConfig

    count = module.ESTIMATE_FUNC["glm4v"]
    try:
        count(Glm4vConfig(), 20, [10, 10], 1.0)
    except AttributeError:
        return True
    return False


def patch(module: ModuleType) -> None:
    """Give verl the text configuration."""
    count = module.ESTIMATE_FUNC["glm4v"]
    module.ESTIMATE_FUNC["glm4v"] = lambda config, *arguments: count(config.get_text_config(), *arguments)


WORKAROUND: Final = Workaround("FLOPs of GLM-4.1V", 6814, ">=0.9,<0.11", "verl.utils.flops_counter", needed, patch)
