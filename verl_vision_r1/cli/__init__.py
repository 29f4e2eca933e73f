"""The command line `vision-r1`.

Each command imports what it needs when it runs, so that `vision-r1 --help` answers at once.
"""

import signal
from types import FrameType

from verl_vision_r1.cli import data, predict, rehearse, results, rewards, runs
from verl_vision_r1.cli.app import app

__all__ = ["app", "data", "main", "predict", "rehearse", "results", "rewards", "runs"]


def main() -> None:
    """Run the command line; the entry point `vision-r1`."""
    # By default SIGTERM ends Python at once, and a training run that a command has started would go on alone.
    signal.signal(signal.SIGTERM, _exit)
    app()


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
