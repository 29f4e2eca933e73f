"""verl without a GPU. Inactive unless `VERL_PLATFORM=cpu` is set in the environment.

There is no automatic detection, because a GPU cluster's head node without a GPU must behave as before. Each module
solves one problem of verl 0.9 on a CPU:

- `platform`: verl has no CPU platform. Ray gets a virtual GPU, because verl requests GPUs by name.
- `patches`: some calls of verl to torch and to the package metadata are wrong or slow without a GPU.
- `faster_rollouts`: verl's work per rollout takes longer than a small model needs to generate the completion.
- `shared_images`: an update encodes the image of a prompt in each of its rollouts.
- `preloaded`, `interpreter`: a dozen processes import the same modules, which takes minutes.
- `vllm_plugin`: vLLM's CPU build packs its weights at load, so new weights cannot be written into them.
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
    """Write bytecode to the user's cache folder if `PYTHONDONTWRITEBYTECODE` is set.

    Containers often set it, and installers such as uv do not compile: then each process of a run compiles torch,
    transformers, vLLM and verl again, which is half of its start-up time.
    """
    if environment.pop("PYTHONDONTWRITEBYTECODE", ""):
        cache = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        environment.setdefault("PYTHONPYCACHEPREFIX", str(cache / "verl_vision_r1" / "bytecode"))


def activate() -> None:
    """Register the CPU platform and apply the patches. The plugin calls it in every process."""
    # verl registers its FSDP engine for cuda and npu only and looks it up by this name (workers/engine/base.py).
    os.environ.setdefault("VERL_ENGINE_DEVICE", "cuda")
    # For a model of this size, compilation takes longer than it saves. Ray's workers inherit the variable.
    os.environ.setdefault("TORCH_COMPILE_DISABLE", "1")
    if sys.dont_write_bytecode and os.environ.get("PYTHONDONTWRITEBYTECODE"):
        keep_bytecode(os.environ)
        sys.dont_write_bytecode, sys.pycache_prefix = False, os.environ["PYTHONPYCACHEPREFIX"]
    # Unless this is 0, vLLM's CPU platform replaces the executor `uni` by `mp`, whose two processes wait busily.
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    # What reward workers get is small, and torch's own serialization takes longer than the reward.
    os.environ.setdefault("VERL_DATAPROTO_SERIALIZATION_METHOD", "numpy")
    # Ray would start idle workers without the run's environment, which the run never uses.
    os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
    from verl_vision_r1.cpu import patches, platform, preloaded

    platform.register()
    patches.apply()
    # Only the driver imports this module of verl.
    wrapt.register_post_import_hook(preloaded.use_forks, "verl.trainer.constants_ppo")
