"""`vision-r1 doctor`: proves, here and in Ray's workers, what verl would only trip over later, or never notice.

Each module holds the checks of one subject, each check a small function that says in one line what it found.
"""

from collections.abc import Iterator, Sequence

from verl_vision_r1.preflight.doctor.check import Case, Check

__all__ = ["Check", "diagnose"]


def diagnose(overrides: Sequence[str] = (), *, ray: bool = True) -> Iterator[Check]:
    """Make all checks, in the order in which one rests on another.

    Args:
        overrides: A run as verl's command line has it, `+recipe=NAME KEY=VALUE ...`; without any, the installation
            alone is looked at.
        ray: Whether to look into Ray's workers too.

    Yields:
        The result of each check as soon as it is known. None of them raises.
    """
    from verl_vision_r1.preflight.doctor import installation, sample, training_run, versions, workers

    case = Case(tuple(overrides))
    for check in (*versions.CHECKS, *installation.CHECKS, *training_run.CHECKS, *sample.CHECKS):
        yield check(case)
    yield workers.workers(case) if ray else workers.LEFT_OUT
