"""Runs of verl's trainer that a test follows line by line, and may disturb."""

import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from verl_vision_r1.demo.plan import Demo

DRILLS = bool(os.environ.get("DRILLS"))
"""Whether to run the drills too, which take as long as all the other tests: `make drills`."""

LIMIT = 700
"""Seconds after which a run that still goes has hung."""


@dataclass
class Finished:
    """What a run left behind."""

    status: int
    lines: list[str] = field(default_factory=list)

    @property
    def log(self) -> str:
        return "".join(self.lines)


def run(demo: Demo, *overrides: str, disturb: Callable[[str], None] = lambda line: None) -> Finished:
    """Train, and show `disturb` every line that the run prints. A run that hangs is ended and has status -9."""
    with tempfile.TemporaryDirectory(prefix="vr1-", ignore_cleanup_errors=True) as ray_folder:
        command = [*demo.command(), *overrides]
        return follow(command, demo.environment(ray_folder), demo.folder, disturb)


def follow(
    command: list[str],
    environment: dict[str, str],
    folder: Path,
    disturb: Callable[[str], None],
    seconds: float = LIMIT,
) -> Finished:
    """Run a command, and show `disturb` every line that it prints; one that hangs is ended and has status -9."""
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    alarm = threading.Timer(seconds, os.killpg, (process.pid, signal.SIGKILL))
    alarm.start()
    lines = []
    for line in process.stdout or ():
        lines.append(line)
        disturb(line)
    alarm.cancel()
    return Finished(process.wait(), lines)


def process_of(line: str) -> int:
    """The process that printed a line, as Ray says before it: `(TaskRunnerV1 pid=123)`."""
    found = re.search(r"pid=(\d+)", line)
    assert found, line
    return int(found[1])


def worker_processes(name: str, ray_folder_of: int) -> list[int]:
    """Processes of Ray's actors of that class in the run which a process belongs to."""
    session = _session(ray_folder_of)
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _session(int(entry.name)) == session:
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
            if command.startswith(f"ray::{name}"):
                found.append(int(entry.name))
    return found


def _session(process: int) -> str:
    """The Ray folder in a process's environment: every run has its own."""
    try:
        variables = (Path("/proc") / str(process) / "environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    return next((value.decode() for value in variables if value.startswith(b"RAY_TMPDIR=")), "")
