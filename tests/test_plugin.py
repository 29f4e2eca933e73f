"""verl and Hydra find the plugin by themselves, here and in Ray's workers, and a broken one says so."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.verl

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
    "repair": tensordict_utils.maybe_fix_3d_position_ids.__module__,
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
    assert found["repair"] == "verl_vision_r1.compat"


def test_a_host_that_does_not_ask_for_the_cpu_sees_nothing_of_it(found: dict[str, Any]) -> None:
    assert "cpu" not in found["platforms"]
    assert found["pinned"] is True
    assert found["engine"] is None


@pytest.mark.engine
def test_verl_loads_the_plugin_in_a_ray_actor() -> None:
    # Ray's socket paths must stay under 108 characters.
    with tempfile.TemporaryDirectory(prefix="vr1-", ignore_cleanup_errors=True) as folder:
        done = python(IN_AN_ACTOR, RAY_TMPDIR=folder)
    assert done.stdout.strip().endswith("VisionR1RewardManager"), done.stderr


def test_a_plugin_that_cannot_load_says_why(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['verl_vision_r1.compat'] = None\n")
    done = python("import verl", PYTHONPATH=str(tmp_path))
    assert done.returncode == 0  # verl swallows it.
    assert "the plugin could not be loaded" in done.stderr
    assert "verl_vision_r1.compat" in done.stderr
