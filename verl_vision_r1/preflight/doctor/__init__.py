"""`vision-r1 doctor`: checks the installation and the configuration of a run, locally and on Ray workers.

Each module has the checks of one subject. A check is a function that returns one line of text with its result.
"""

from collections.abc import Iterator, Sequence

from verl_vision_r1.preflight.doctor.check import Case, Check

__all__ = ["Check", "diagnose"]


def diagnose(overrides: Sequence[str] = (), *, ray: bool = True) -> Iterator[Check]:
    """Run all checks; a check may use the results of those before it.

    Args:
        overrides: The run as on verl's command line, `+recipe=NAME KEY=VALUE ...`; empty to check the installation
            only.
        ray: Whether to check the Ray workers too.

    Yields:
        The result of each check as soon as it is known. A failed check is a result; none raises.
    """
    from verl_vision_r1.preflight.doctor import (
        installation,
        machine,
        neighbours,
        scoring,
        training_run,
        versions,
        workarounds,
        workers,
    )

    case = Case(tuple(overrides))
    of_environment = (*versions.CHECKS, *installation.CHECKS, *workarounds.CHECKS, *neighbours.CHECKS)
    for check in (*of_environment, *training_run.CHECKS, *scoring.CHECKS, *machine.CHECKS):
        yield check(case)
    yield workers.workers(case) if ray else workers.SKIPPED
