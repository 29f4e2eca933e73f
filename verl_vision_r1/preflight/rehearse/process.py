"""The processes of a rehearsal, from outside.

A step changes its process for good (torch's process group, vLLM's platform), and may end it. Steps that go together
share a process, because importing torch, verl and vLLM takes longer than most of them.
"""

import contextlib
import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from verl_vision_r1.preflight.rehearse.step import Spec, Step, as_line

TIMEOUT: Final = 1800.0
"""Seconds after which a step is ended."""
PATIENCE: Final = 10.0
"""Seconds that a process has to end by itself."""
ENVIRONMENT: Final = {"VERL_PLATFORM": "cpu", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
HINT: Final = "see its output with --log FILE; exit status -9 is a lack of memory on this machine"


class Process:
    """A process that takes one step after another.

    It starts with its first step, and again with the step after one that ended it.

    Args:
        log: Where the output of the steps goes; None for nowhere.
    """

    def __init__(self, log: Path | None = None) -> None:
        self._log = log or Path(os.devnull)
        self._running: subprocess.Popen[str] | None = None
        self._closed = False

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *error: object) -> None:
        self._closed = True
        self._end()

    def take(self, spec: Spec) -> Step:
        """Take a step, and wait for its result. A process that dies, or takes too long, is a failed step."""
        if self._closed:
            return Step(None, "interrupted")
        running = self._running = self._running or self._start()
        results: Any = running.stdout
        with contextlib.suppress(BrokenPipeError):
            print(as_line(spec), file=running.stdin, flush=True)
        in_time, _, _ = select.select([results], [], [], TIMEOUT)
        if line := results.readline() if in_time else "":
            return Step(**json.loads(line))
        status = self._end()
        ended = f"the process ended with exit status {status}" if in_time else f"no result after {TIMEOUT:.0f} seconds"
        return Step(False, ended, advice=HINT)

    def _start(self) -> "subprocess.Popen[str]":
        with self._log.open("a", encoding="utf-8") as log:
            return subprocess.Popen(
                [sys.executable, "-m", __package__],
                env=os.environ | ENVIRONMENT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def _end(self) -> int | None:
        """End the process; returns its exit status."""
        running, self._running = self._running, None
        if running is None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired, BrokenPipeError):
            running.communicate(timeout=PATIENCE)  # It ends with its input.
        running.kill()
        return running.wait()
