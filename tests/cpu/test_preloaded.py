"""Forks of the preloaded process behave like processes of the interpreter."""

import contextlib
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from omegaconf import OmegaConf

from verl_vision_r1.cpu import keep_bytecode

pytestmark = [pytest.mark.verl, pytest.mark.process]

DRIVER = """
import os
from verl_vision_r1.cpu import preloaded
print(preloaded.start({**os.environ, "VERL_PLATFORM": "cpu"}), flush=True)
input()
"""
LOOK = """
import json, os, sys
print(json.dumps({
    "torch": "torch" in sys.modules,
    "arguments": sys.argv,
    "variable": os.environ.get("ONLY_HERE"),
    "folder": os.getcwd(),
    "main": sys.modules["__main__"].__dict__ is globals(),
    "input": sys.stdin.read(),
}))
sys.exit(3)
"""
IN_AN_ACTOR = """
import sys
import ray
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, runtime_env={"py_executable": sys.argv[1]})

@ray.remote
def look():
    return "torch" in sys.modules, ray.get_runtime_context().get_job_id() != ""

print(ray.get(look.remote()))
"""


@pytest.fixture(scope="module")
def driver() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def interpreter(driver: subprocess.Popen[str]) -> str:
    assert driver.stdout
    return driver.stdout.readline().strip()


def python(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=250, check=False, **options)


@pytest.mark.parametrize("form", ["code", "module", "script"])
def test_a_fork_runs_a_command_like_the_interpreter(interpreter: str, form: str, tmp_path: Path) -> None:
    script = tmp_path / "look.py"
    script.write_text(LOOK)
    command = {"code": ["-u", "-c", LOOK], "module": ["-m", "look"], "script": [str(script)]}[form]
    environment = {**os.environ, "ONLY_HERE": "1", "PYTHONPATH": str(tmp_path)}
    done = python(interpreter, *command, "a b", env=environment, cwd=tmp_path, input="hello")
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout) == {
        "torch": True,
        "arguments": ["-c" if form == "code" else str(script), "a b"],
        "variable": "1",
        "folder": str(tmp_path),
        "main": True,
        "input": "hello",
    }


def test_a_fork_has_the_open_files_of_its_client(interpreter: str) -> None:
    reading, writing = os.pipe()
    python(interpreter, "-c", f"import os; os.write({writing}, b'hello')", pass_fds=[writing])
    assert os.read(reading, 9) == b"hello"


def test_an_error_in_a_fork_is_printed_and_sets_the_exit_status(interpreter: str) -> None:
    done = python(interpreter, "-c", "raise ValueError('expected 1, got 2')")
    assert done.returncode == 1
    assert "ValueError: expected 1, got 2" in done.stderr


def test_multiprocessing_starts_forks_too(interpreter: str) -> None:
    code = """
import multiprocessing, os, sys
process = multiprocessing.get_context("spawn").Process(target=os._exit, args=(7,))
process.start()
process.join()
print(process.exitcode, os.fsdecode(multiprocessing.spawn.get_executable()))
"""
    done = python(interpreter, "-c", code)
    assert done.stdout.split() == ["7", interpreter], done.stderr


def test_random_numbers_differ_between_forks(interpreter: str) -> None:
    code = "import numpy, random; print(numpy.random.random(), random.random())"
    first, second = (python(interpreter, "-c", code).stdout.split() for _ in range(2))
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_ending_the_client_ends_the_fork(interpreter: str) -> None:
    with sleeping(interpreter) as (client, fork):
        client.kill()
    assert ends(fork)


@contextlib.contextmanager
def sleeping(interpreter: str | Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A client whose fork sleeps, and the pid of the fork."""
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(100)"
    with subprocess.Popen([interpreter, "-c", code], stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout
        yield client, int(client.stdout.readline())


def ends(process: int) -> bool:
    """Whether a process ends within a minute; the server checks only between two imports, which may take long."""
    for _ in range(600):
        if not psutil.pid_exists(process):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.engine
def test_a_ray_worker_can_be_a_fork(interpreter: str) -> None:
    done = python(sys.executable, "-c", IN_AN_ACTOR, interpreter)
    assert done.stdout.strip() == "(True, True)", done.stderr


def test_everything_ends_with_the_driver_and_then_the_real_interpreter_runs() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdout
        interpreter = Path(driver.stdout.readline().strip())
        start = interpreter.read_text()
        with sleeping(interpreter) as (_, fork):
            driver.kill()
            assert ends(fork)
    for _ in range(600):
        if not interpreter.parent.exists():
            break
        time.sleep(0.1)
    assert not interpreter.parent.exists()
    done = python("sh", "-c", start, "python", "-c", "import sys; print('torch' in sys.modules)")
    assert done.stdout.strip() == "False", done.stderr


def test_the_preloaded_modules_exist_and_do_not_import_ray() -> None:
    code = """
import importlib, sys
from verl_vision_r1.cpu import patches, preloaded
patches.apply()
for name in preloaded.MODULES:
    importlib.import_module(name)
    assert "ray" not in sys.modules, name
"""
    pytest.importorskip("vllm")
    done = python(sys.executable, "-c", code, env={**os.environ, "VERL_PLATFORM": "cpu"})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("address", "users_own", "used"),
    [
        (None, None, "/forks/python"),
        ("local", None, "/forks/python"),
        (None, "/users/python", "/users/python"),
        ("10.0.0.1:6379", None, None),
    ],
)
def test_ray_uses_the_interpreter_unless_the_user_sets_one_or_a_cluster(
    monkeypatch: pytest.MonkeyPatch, address: str | None, users_own: str | None, used: str | None
) -> None:
    preloaded = importlib.import_module("verl_vision_r1.cpu.preloaded")
    monkeypatch.setattr(preloaded, "start", lambda environment: "/forks/python")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    module: Any = SimpleNamespace(PPO_RAY_RUNTIME_ENV={"env_vars": {}}, get_ppo_ray_runtime_env=lambda config: {})
    preloaded.use_forks(module)
    init: dict[str, Any] = {"runtime_env": {"py_executable": users_own}, "address": address}
    config = OmegaConf.create({"ray_kwargs": {"ray_init": init}})
    module.get_ppo_ray_runtime_env(config)
    assert config.ray_kwargs.ray_init.runtime_env.py_executable == used


def test_an_existing_cluster_keeps_its_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    preloaded = importlib.import_module("verl_vision_r1.cpu.preloaded")
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    module: Any = SimpleNamespace()
    preloaded.use_forks(module)
    assert not vars(module)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {}),
        ({"PYTHONPYCACHEPREFIX": "/p"}, {"PYTHONPYCACHEPREFIX": "/p"}),
        ({"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": "/p"}, {"PYTHONPYCACHEPREFIX": "/p"}),
        (
            {"PYTHONDONTWRITEBYTECODE": "1", "XDG_CACHE_HOME": "/c"},
            {"XDG_CACHE_HOME": "/c", "PYTHONPYCACHEPREFIX": "/c/verl_vision_r1/bytecode"},
        ),
    ],
)
def test_bytecode_is_written_to_the_users_cache(before: dict[str, str], after: dict[str, str]) -> None:
    keep_bytecode(before)
    assert before == after
