"""The entry point that verl loads in every process (group `verl.plugins`).

verl swallows what goes wrong while a plugin is loaded (`verl/__init__.py` logs it at DEBUG), and `+recipe=NAME` then
silently becomes a plain key of the configuration. Therefore a failure is printed here before it is passed on.

A verl outside the range is refused in one line, and nothing is registered: a run that does not want us goes on without
us, one of our recipes is ended by `preflight`.
"""

import sys
import traceback

import wrapt

from verl_vision_r1 import supported


def load() -> None:
    """Register what verl is to find: recipes, the reward manager, trainers and, where asked for, the CPU platform.

    Raises:
        UnsupportedError: This verl is one that we are not made for.
    """
    import verl

    supported.require(verl.__version__)
    from hydra.core.plugins import Plugins

    from hydra_plugins.verl_vision_r1 import VisionR1SearchPath
    from verl_vision_r1 import compat, cpu

    Plugins.instance().register(VisionR1SearchPath)
    if cpu.requested():
        cpu.activate()
    compat.apply()

    # They take seconds to import, and one process of a run's many needs them.
    wrapt.register_post_import_hook(_register_reward_manager, "verl.experimental.reward_loop.reward_manager")
    wrapt.register_post_import_hook(_register_trainers, "verl.trainer.ppo.v1")


def _register_reward_manager(module: object) -> None:
    import verl_vision_r1.reward_manager  # noqa: F401  Importing it registers it.


def _register_trainers(module: object) -> None:
    import verl_vision_r1.training.trainer  # noqa: F401  Importing it registers it.


try:
    load()
except supported.UnsupportedError as refusal:
    print(f"verl-vision-r1: {refusal}", file=sys.stderr)
    raise
except BaseException:
    print("verl-vision-r1: the plugin could not be loaded, none of its recipes will work:", file=sys.stderr)
    traceback.print_exc()
    raise
