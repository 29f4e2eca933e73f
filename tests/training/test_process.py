"""verl's trainer as a subprocess: progress, error message, termination."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from verl_vision_r1.training.process import RunFolder, end_group, output_of, read_line, train

pytestmark = pytest.mark.process

SLEEP = "import signal, time; signal.signal(signal.SIGTERM, {}); print('one', flush=True); time.sleep(60)"
IGNORES, ENDS = SLEEP.format("signal.SIG_IGN"), SLEEP.format("signal.SIG_DFL")


def test_progress_is_parsed_from_verls_output() -> None:
    step = "(TaskRunnerV1 pid=1) step:3 - global_seqlen/min:1.0 - critic/score/mean:0.625 - critic/score/max:3.0"
    assert read_line(step) == ("step 3, mean score of the rollouts 0.625", 3)
    assert read_line("INFO -- Started a local Ray instance.") == ("Ray is up", None)
    assert read_line("anything else") == ("", None)


def test_a_failed_command_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    code = "print('one'); print('boom'); raise SystemExit(3)"
    with pytest.raises(ChildProcessError, match=r"ended with status 3; the end of .*log:\none\nboom"):
        list(output_of([sys.executable, "-c", code], {}, tmp_path / "log"))


def test_lines_come_while_the_command_runs_and_stay_in_the_log(tmp_path: Path) -> None:
    lines = output_of([sys.executable, "-uc", "print('one')\nprint('two')"], {}, tmp_path / "log")
    assert next(lines) == "one\n"
    assert list(lines) == ["two\n"]
    assert (tmp_path / "log").read_text() == "one\ntwo\n"


def test_closing_the_iterator_ends_the_command(tmp_path: Path) -> None:
    lines = output_of(
        [sys.executable, "-uc", "import os, time; print(os.getpid()); time.sleep(60)"], {}, tmp_path / "log"
    )
    process = int(next(lines))
    os.kill(process, 0)
    lines.close()  # type: ignore[attr-defined]
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


COMMAND = """
import sys
from pathlib import Path
from verl_vision_r1 import cli
from verl_vision_r1.training.process import output_of

def app():
    child = "import os, time; print(os.getpid()); time.sleep(60)"
    for line in output_of([sys.executable, "-uc", child], {}, Path(sys.argv[1])):
        print(line, end="", flush=True)

cli.app = app
cli.main()
"""


def test_a_command_that_is_terminated_ends_its_training_run(tmp_path: Path) -> None:
    command = [sys.executable, "-c", COMMAND, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.terminate()
        assert process.wait(30) == 128 + 15
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


@pytest.mark.parametrize(("code", "status"), [(ENDS, -15), (IGNORES, -9)])
def test_a_process_that_ignores_sigterm_is_killed(code: str, status: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    process.stdout.readline()
    start = time.monotonic()
    end_group(process, polite=0.5)
    assert process.returncode == status
    assert time.monotonic() - start < 30


def test_a_training_run_has_its_own_ray_folder_and_is_offline(tmp_path: Path) -> None:
    code = "import os; [print(os.environ[n]) for n in ('RAY_TMPDIR', 'HF_HUB_OFFLINE', 'VERL_FILE_LOGGER_PATH')]"
    ray, offline, metrics = (line.strip() for line in train(RunFolder(tmp_path), [sys.executable, "-c", code]))
    assert (offline, metrics) == ("1", str(tmp_path / "metrics.jsonl"))
    assert len(ray) < 60
    assert not Path(ray).exists()
