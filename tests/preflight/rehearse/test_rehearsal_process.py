"""The processes of a rehearsal: they take steps in turn, and the death of one is a failed step."""

import os
from pathlib import Path

import pytest

from verl_vision_r1.preflight.rehearse import process as processes
from verl_vision_r1.preflight.rehearse.process import HINT, Process
from verl_vision_r1.preflight.rehearse.step import Spec, Step

pytestmark = pytest.mark.process

FAULTS = '''"""Steps that end in every way but well."""

import os
import sys
import time
from types import ModuleType

from verl_vision_r1.preflight.rehearse.step import Step


def take(spec):
    print("printed by the step")
    os.write(1, b"printed by a library\\n")
    if spec.overrides[0] == "die":
        os._exit(7)
    if spec.overrides[0] == "hang":
        time.sleep(60)
    return Step(True, str(os.getpid()))
'''


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Process:
    """A process in which the step `faults` is there."""
    package = "verl_vision_r1.preflight.rehearse.faults"
    (tmp_path / "faulty_steps.py").write_text(FAULTS)
    # Python runs it at the start of each process.
    (tmp_path / "sitecustomize.py").write_text(f"import sys, faulty_steps\nsys.modules['{package}'] = faulty_steps\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    return Process(tmp_path / "log")


def faults(word: str) -> Spec:
    return Spec("faults", (word,), Path("unused"))


def test_steps_share_a_process_and_only_results_come_back(process: Process, tmp_path: Path) -> None:
    with process:
        first, second = process.take(faults("none")), process.take(faults("none"))
    assert first.ok
    assert first == second
    assert (tmp_path / "log").read_text().count("printed by the step\nprinted by a library\n") == 2


def test_a_step_that_raises_leaves_the_process_alive(process: Process, tmp_path: Path) -> None:
    with process:
        before = process.take(faults("none"))
        failed = process.take(Spec("no such step", (), Path("unused")))
        assert process.take(faults("none")) == before
    assert failed.ok is False
    assert failed.found.startswith("ModuleNotFoundError: No module named")
    assert "Traceback" in (tmp_path / "log").read_text()


def test_the_death_of_a_process_is_a_failed_step_and_the_next_starts_another(process: Process) -> None:
    with process:
        before = process.take(faults("none"))
        died = process.take(faults("die"))
        after = process.take(faults("none"))
    assert died == Step(False, "the process ended with exit status 7", advice=HINT)
    assert after.ok
    assert after.found != before.found


def test_a_process_that_was_killed_between_two_steps_is_a_failed_step(process: Process) -> None:
    with process:
        os.kill(int(process.take(faults("none")).found), 9)
        assert process.take(faults("none")).found == "the process ended with exit status -9"


def test_a_step_that_takes_too_long_is_ended(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    with process:
        process.take(faults("none"))
        monkeypatch.setattr(processes, "TIMEOUT", 1.0)
        monkeypatch.setattr(processes, "PATIENCE", 0.1)
        assert process.take(faults("hang")) == Step(False, "no result after 1 seconds", advice=HINT)


def test_no_process_starts_after_the_rehearsal(process: Process) -> None:
    with process:
        number = int(process.take(faults("none")).found)
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
    assert process.take(faults("none")) == Step(None, "interrupted")
