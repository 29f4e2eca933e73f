"""The entry point that verl loads in every process (group `verl.plugins`).

verl swallows exceptions raised while a plugin loads (`verl/__init__.py` logs them at DEBUG), and `+recipe=NAME` then
silently becomes a plain configuration key. Errors are therefore printed here before they are raised again.

With an unsupported verl, one line is printed and nothing is registered: other runs continue without the plugin, and
`preflight` stops a run that uses one of our recipes.
"""

import sys
import traceback
from typing import Any

import wrapt

from verl_vision_r1 import supported


def load() -> None:
    """Register the recipes, reward manager, trainers, agent loop and, if requested, the CPU platform with verl.

    Raises:
        UnsupportedError: The installed verl is not supported.
    """
    import verl

    supported.require(verl.__version__)
    from hydra.core.plugins import Plugins

    from hydra_plugins.verl_vision_r1 import VisionR1SearchPath
    from verl_vision_r1 import compat, cpu

    Plugins.instance().register(VisionR1SearchPath)
    if cpu.requested():
        cpu.activate()
    compat.apply(verl.__version__)

    # These take seconds to import, and only one of a run's many processes needs them.
    wrapt.register_post_import_hook(_register_reward_manager, "verl.experimental.reward_loop.reward_manager")
    wrapt.register_post_import_hook(_register_trainers, "verl.trainer.ppo.v1")
    wrapt.register_post_import_hook(_register_agent_loop, "verl.experimental.agent_loop")


def _register_reward_manager(module: object) -> None:
    import verl_vision_r1.reward_manager  # noqa: F401  Importing it registers it.


def _register_trainers(module: object) -> None:
    from verl_vision_r1.training.trainer import RewardMetrics  # Importing it registers the trainers.

    def log_images(*arguments: Any) -> None:
        from verl_vision_r1.report.image_log import log_validation

        log_validation(*arguments)

    RewardMetrics.log_images = staticmethod(log_images)


def _register_agent_loop(module: object) -> None:
    import verl_vision_r1.training.single_turn_loop  # noqa: F401  Importing it registers it.


try:
    load()
except supported.UnsupportedError as refusal:
    print(f"verl-vision-r1: {refusal}", file=sys.stderr)
    raise
except BaseException:
    print("verl-vision-r1: the plugin could not be loaded; its recipes are not available:", file=sys.stderr)
    traceback.print_exc()
    raise
