"""Workarounds for bugs in verl, each until a release fixes it.

Each module has one bug: its thread, when to remove the workaround, how to see that a module of verl has the bug, and
the patch. A workaround is applied when verl imports the module, if the module has the bug. For each, a test fails once
verl no longer needs it.
"""

import functools
from typing import Final

import wrapt

from verl_vision_r1.compat import (
    equal_lengths,
    fused_head,
    glm_flops,
    trl_import,
    vision_output,
    weight_receivers,
    weight_sockets,
)
from verl_vision_r1.compat.workaround import APPLIED, NOT_NEEDED

__all__ = ["APPLIED", "NOT_NEEDED", "WORKAROUNDS", "apply"]

WORKAROUNDS: Final = (
    equal_lengths.WORKAROUND,
    vision_output.OF_QWEN,
    vision_output.OF_GLM,
    glm_flops.WORKAROUND,
    fused_head.WORKAROUND,
    trl_import.WORKAROUND,
    weight_sockets.WORKAROUND,
    weight_receivers.WORKAROUND,
)


def apply(version: str) -> None:
    """Apply the workarounds that verl needs, each as soon as its module is imported. Once per process.

    Args:
        version: `verl.__version__`.
    """
    for workaround in WORKAROUNDS:
        wrapt.register_post_import_hook(functools.partial(workaround.apply, version), workaround.module)
