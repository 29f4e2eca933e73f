"""verl and Hydra find the plugin, locally and on Ray workers; a broken plugin and an unsupported verl are reported."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from verl_vision_r1 import supported

pytestmark = [pytest.mark.verl, pytest.mark.process]

FOUND = """
import json
import os
import verl
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from verl.experimental.reward_loop.reward_manager.registry import get_reward_manager_cls
from torch.distributed.fsdp import CPUOffloadPolicy
from verl.plugin.platform.platform_manager import PlatformRegistry
from verl.utils import tensordict_utils
print(json.dumps({
    "manager": get_reward_manager_cls("vision_r1").__name__,
    "search_path": [cls.__name__ for cls in Plugins.instance().discover(SearchPathPlugin)],
    "workaround": tensordict_utils.maybe_fix_3d_position_ids.__module__,
    "platforms": PlatformRegistry.registered_names(),
    "pinned": CPUOffloadPolicy().pin_memory,
    "engine": os.environ.get("VERL_ENGINE_DEVICE"),
}))
"""

IN_AN_ACTOR = """
import ray
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)

@ray.remote
class Actor:
    def look(self):
        import verl
        from verl.experimental.reward_loop.reward_manager.registry import get_reward_manager_cls
        return get_reward_manager_cls("vision_r1").__name__

print(ray.get(Actor.remote().look.remote()))
"""


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    own = ("VERL_PLATFORM", "VERL_ENGINE_DEVICE")
    clean = {key: value for key, value in os.environ.items() if key not in own}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env={**clean, **environment}, capture_output=True, text=True, timeout=250, check=False
    )


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    done = python(FOUND)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


def test_verl_loads_the_plugin_in_a_fresh_interpreter(found: dict[str, Any]) -> None:
    assert found["manager"] == "VisionR1RewardManager"
    assert "VisionR1SearchPath" in found["search_path"]
    assert found["workaround"] == "verl_vision_r1.compat.equal_lengths"


def test_without_a_request_nothing_of_the_cpu_platform_is_active(found: dict[str, Any]) -> None:
    assert "cpu" not in found["platforms"]
    assert found["pinned"] is True
    assert found["engine"] is None


@pytest.mark.engine
def test_verl_loads_the_plugin_in_a_ray_actor() -> None:
    # Ray's socket paths must stay under 108 characters.
    with tempfile.TemporaryDirectory(prefix="vr1-", ignore_cleanup_errors=True) as folder:
        done = python(IN_AN_ACTOR, RAY_TMPDIR=folder)
    assert done.stdout.strip().endswith("VisionR1RewardManager"), done.stderr


def test_a_plugin_that_cannot_load_prints_why(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['verl_vision_r1.compat'] = None\n")
    done = python("import verl", PYTHONPATH=str(tmp_path))
    assert done.returncode == 0  # verl swallows it.
    assert "the plugin could not be loaded" in done.stderr
    assert "verl_vision_r1.compat" in done.stderr


OTHER_VERL = """
import builtins
import importlib.metadata
import io

place = str(importlib.metadata.distribution("verl").locate_file("verl/version/version"))
plain = builtins.open

def opened(file, *arguments, **options):
    return io.StringIO("VERSION\\n") if file == place else plain(file, *arguments, **options)

builtins.open = opened
"""
"""Runs first: the file from which verl reads its own version gives another one."""


def verl_of(version: str, folder: Path) -> dict[str, str]:
    (folder / "sitecustomize.py").write_text(OTHER_VERL.replace("VERSION", version))
    return {"PYTHONPATH": str(folder), "HF_HUB_OFFLINE": "1"}


@pytest.fixture
def other_verl(tmp_path: Path) -> dict[str, str]:
    return verl_of("0.11.0", tmp_path)


@pytest.fixture
def newer_verl(tmp_path: Path) -> dict[str, str]:
    return verl_of("0.10.0.dev", tmp_path)


LOOK = """
import verl, sys
from verl.experimental.reward_loop.reward_manager.registry import REWARD_MANAGER
from verl.utils import tensordict_utils
print(verl.__version__, "vision_r1" in REWARD_MANAGER, tensordict_utils.maybe_fix_3d_position_ids.__module__)
"""


def test_an_unsupported_verl_prints_one_line_and_nothing_is_registered(other_verl: dict[str, str]) -> None:
    done = python(LOOK, **other_verl)
    assert done.stdout.split() == ["0.11.0", "False", "verl.utils.tensordict_utils"]
    assert [line for line in done.stderr.splitlines() if "verl-vision-r1" in line] == [
        "verl-vision-r1: expected verl >=0.9,<0.11, got verl 0.11.0; verl-vision-r1 is not loaded."
        " To do: pip install 'verl>=0.9,<0.11', or a version of verl-vision-r1 that supports verl 0.11.0"
    ]
    assert "Traceback" not in done.stderr


RUN = """
import sys
sys.argv = ["main_ppo", "+recipe=vision_r1_cpu", "hydra.run.dir=hydra"]
import runpy
runpy.run_module("verl.trainer.main_ppo", run_name="__main__")
"""


def test_a_recipe_stops_with_an_unsupported_verl(
    other_verl: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = python(RUN, **other_verl)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("verl-vision-r1: expected verl >=0.9,<0.11, got verl 0.11.0")


def test_a_development_version_is_accepted_without_a_word(newer_verl: dict[str, str]) -> None:
    done = python(LOOK, **newer_verl)
    assert done.stdout.split() == ["0.10.0.dev", "True", "verl_vision_r1.compat.equal_lengths"]
    assert "verl-vision-r1" not in done.stderr


def test_a_run_says_once_what_was_tried_of_a_development_version(
    newer_verl: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = python(RUN, VERL_PLATFORM="cpu", **newer_verl)
    assert done.returncode == 1  # There is no model.
    notice, error = (line for line in done.stderr.splitlines() if line.startswith("verl-vision-r1: "))
    assert notice == f"verl-vision-r1: {supported.notice('0.10.0.dev')}"
    assert "tried with 0.10.0.dev of 2026-08-22 (commit 1dda039b9)" in notice
    assert "expected an existing model folder" in error


DOCTOR = """
from verl_vision_r1.preflight.doctor.check import Case
from verl_vision_r1.preflight.doctor.installation import plugin
print(plugin(Case()))
"""


def test_doctor_refuses_an_unsupported_verl(other_verl: dict[str, str]) -> None:
    found = python(DOCTOR, **other_verl).stdout
    assert "ok=False" in found
    assert "expected verl >=0.9,<0.11, got verl 0.11.0" in found
    assert "pip install 'verl>=0.9,<0.11'" in found


def test_doctor_says_what_was_tried_of_a_development_version(newer_verl: dict[str, str]) -> None:
    found = python(DOCTOR, **newer_verl).stdout
    assert "ok=True" in found
    assert supported.notice("0.10.0.dev") in found
