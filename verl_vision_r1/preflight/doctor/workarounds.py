"""The check of the workarounds for bugs in verl: which are applied, and which the installed verl does not need."""

import sys
from typing import Final

from verl_vision_r1.preflight.doctor.check import Case, FailedError, SkippedError, check
from verl_vision_r1.preflight.doctor.installation import PLUGIN


@check("workarounds", "this verl differs from those that were tried: install a released verl 0.9, or report the line")
def workarounds(case: Case) -> str:
    """The installed verl has each bug and is patched, or is without it."""
    if PLUGIN not in sys.modules:
        raise SkippedError("verl has not loaded the plugin")
    from verl_vision_r1.compat import APPLIED, NOT_NEEDED, WORKAROUNDS

    named: dict[str, list[str]] = {APPLIED: [], NOT_NEEDED: []}
    for workaround in WORKAROUNDS:
        named.setdefault(workaround.state(), []).append(f"{workaround.name} (#{workaround.thread})")
    lines = {state: f"{state}: {', '.join(names)}" for state, names in named.items() if names}
    if failed := [line for state, line in lines.items() if state not in (APPLIED, NOT_NEEDED)]:
        raise FailedError("; ".join(failed))
    return "; ".join(lines.values())


CHECKS: Final = (workarounds,)
