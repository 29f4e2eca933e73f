"""verl without a GPU. Inert unless the environment says `VERL_PLATFORM=cpu`.

A GPU cluster's head node without a GPU must behave as before, so a host has to ask for this; no host is ever detected.
What stands in the way of verl 0.9 on a CPU, and what each module here does about it:

- `platform`: verl has no CPU platform. Ray is told of a GPU that is not there, because verl asks for one by name.
- `patches`: three calls that verl makes to torch and to the package metadata are wrong without a GPU.
- `vllm_plugin`: vLLM's CPU build packs its weights at load, after which no new weights can be written into them.
"""

import os


def requested() -> bool:
    """Whether this process is to run verl on the CPU."""
    return os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu"


def activate() -> None:
    """Register the CPU platform and mend what verl would trip over. Called by the plugin in every process."""
    # verl registers its FSDP engine for cuda and npu only and looks it up by this name (workers/engine/base.py).
    os.environ.setdefault("VERL_ENGINE_DEVICE", "cuda")
    # Compiling for a model of this size takes longer than it saves; Ray's workers inherit it.
    os.environ.setdefault("TORCH_COMPILE_DISABLE", "1")
    from verl_vision_r1.cpu import patches, platform

    platform.register()
    patches.apply()
