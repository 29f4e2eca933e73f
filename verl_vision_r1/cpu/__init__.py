"""verl without a GPU. Inert unless the environment says `VERL_PLATFORM=cpu`.

A GPU cluster's head node without a GPU must behave as before, so a host has to ask for this; no host is ever detected.
What stands in the way of verl 0.9 on a CPU, and what each module here does about it:

- `platform`: verl has no CPU platform. Ray is told of a GPU that is not there, because verl asks for one by name.
- `patches`: three calls that verl makes to torch and to the package metadata are wrong without a GPU.
- `preloaded`, `interpreter`: a dozen processes import the same modules one after the other, which takes minutes.
- `vllm_plugin`: vLLM's CPU build packs its weights at load, after which no new weights can be written into them.
"""

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

import wrapt


def requested() -> bool:
    """Whether this process is to run verl on the CPU."""
    return os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu"


def keep_bytecode(environment: MutableMapping[str, str]) -> None:
    """Have Python keep what it compiles in the user's cache where the environment forbids it beside the sources.

    Containers often do, and installers such as uv compile nothing: then each process of a run compiles torch,
    transformers, vLLM and verl anew, which is half of its start.
    """
    if environment.pop("PYTHONDONTWRITEBYTECODE", ""):
        cache = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        environment.setdefault("PYTHONPYCACHEPREFIX", str(cache / "verl_vision_r1" / "bytecode"))


def activate() -> None:
    """Register the CPU platform and mend what verl would trip over. Called by the plugin in every process."""
    # verl registers its FSDP engine for cuda and npu only and looks it up by this name (workers/engine/base.py).
    os.environ.setdefault("VERL_ENGINE_DEVICE", "cuda")
    # Compiling for a model of this size takes longer than it saves; Ray's workers inherit it.
    os.environ.setdefault("TORCH_COMPILE_DISABLE", "1")
    if sys.dont_write_bytecode and os.environ.get("PYTHONDONTWRITEBYTECODE"):
        keep_bytecode(os.environ)
        sys.dont_write_bytecode, sys.pycache_prefix = False, os.environ["PYTHONPYCACHEPREFIX"]
    # Idle workers that Ray starts in advance, without the run's environment, so that the run never uses them.
    os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
    from verl_vision_r1.cpu import patches, platform, preloaded

    platform.register()
    patches.apply()
    # Only a driver imports this module.
    wrapt.register_post_import_hook(preloaded.interpret_with_copies, "verl.trainer.constants_ppo")
