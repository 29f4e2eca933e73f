"""Stands in for SGLang, which needs a GPU to be installed: the names that verl's server imports, and arguments.

A test copies this file into a folder as the package `sglang`. The arguments are those of SGLang 0.5.12 that verl sets;
any other one is a TypeError, as with SGLang.
"""

import dataclasses
import os
import sys
from types import ModuleType
from typing import Any

__version__ = "0.5.12"

MODULES = (
    *("srt", "srt.entrypoints", "srt.entrypoints.EngineBase", "srt.entrypoints.engine", "srt.entrypoints.http_server"),
    *("srt.managers", "srt.managers.io_struct", "srt.managers.tokenizer_manager", "srt.server_args", "srt.utils"),
    *("srt.weight_sync", "srt.weight_sync.utils"),
)


@dataclasses.dataclass
class ServerArgs:
    """Arguments that are refused as SGLang's are."""

    model_path: str
    dtype: str = "auto"
    mem_fraction_static: float | None = None
    disable_cuda_graph: bool = False
    enable_memory_saver: bool = False
    base_gpu_id: int = 0
    gpu_id_step: int = 1
    tp_size: int = 1
    dp_size: int = 1
    ep_size: int = 1
    node_rank: int = 0
    nnodes: int = 1
    load_format: str = "auto"
    trust_remote_code: bool = False
    max_running_requests: int | None = None
    log_level: str = "info"
    attention_backend: str | None = None
    mm_attention_backend: str | None = None
    skip_tokenizer_init: bool = False
    skip_server_warmup: bool = False
    quantization: str | None = None
    json_model_override_args: str = "{}"
    custom_weight_loader: list[str] | None = None
    enable_weights_cpu_backup: bool = False
    enable_lora: bool | None = None
    max_lora_rank: int | None = None
    lora_target_modules: list[str] | None = None
    pp_size: int = 1
    chunked_prefill_size: int = 8192
    page_size: int = 1

    def __post_init__(self) -> None:
        if os.environ.get("SGLANG_USE_CPU_ENGINE") != "1":
            raise RuntimeError("No accelerator (CUDA, XPU, HPU, NPU, MUSA, MPS) is available.")
        if self.attention_backend == "triton":
            raise RuntimeError("Triton is not supported on the current platform")

    def check_server_args(self) -> None:
        assert self.chunked_prefill_size % self.page_size == 0, "chunked_prefill_size must be divisible by page_size"


class Engine:
    @classmethod
    def _launch_subprocesses(cls, **arguments: Any) -> None:
        raise SystemExit("the engine is launched")


class AnyNames(ModuleType):
    """A module in which every name is a class."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = {"ServerArgs": ServerArgs, "Engine": Engine}.get(name) or type(name, (), {})
        setattr(self, name, made)
        return made


if __name__ == "sglang":
    for module in MODULES:
        sys.modules[f"sglang.{module}"] = AnyNames(f"sglang.{module}")
        above, _, last = f"sglang.{module}".rpartition(".")
        setattr(sys.modules[above], last, sys.modules[f"sglang.{module}"])
