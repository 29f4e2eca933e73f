"""The command line `vision-r1`.

Each command imports what it needs when it runs, so that `vision-r1 --help` answers at once.
"""

from verl_vision_r1.cli import data, predict, rehearse, results, rewards, runs
from verl_vision_r1.cli.app import app

__all__ = ["app", "data", "main", "predict", "rehearse", "results", "rewards", "runs"]


def main() -> None:
    """Run the command line; the entry point `vision-r1`."""
    app()
