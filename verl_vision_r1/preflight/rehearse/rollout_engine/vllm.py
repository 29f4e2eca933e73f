"""vLLM's verdict on the arguments that verl passes to it."""

import asyncio
import contextlib
import importlib
import io
from collections.abc import Iterator
from typing import Any
from unittest import mock

from verl_vision_r1.preflight.rehearse.rollout_engine.server import first_server, need_installed, version


def accepted(config: Any) -> str:
    """What vLLM accepts of a run, in one line.

    Raises:
        SkippedError: vLLM is not installed.
        ValueError: verl or vLLM refuses the run.
    """
    need_installed("vllm")
    made = engine_config(config)
    model = made.model_config
    images = model.multimodal_config and model.multimodal_config.limit_per_prompt.get("image")
    limits = [
        f"TP {made.parallel_config.tensor_parallel_size}",
        f"{model.max_model_len:,} tokens",
        str(model.dtype).removeprefix("torch."),
        f"{images.count} images per prompt" if images else "any number of images",
    ]
    adapters = [f"LoRA rank up to {made.lora_config.max_lora_rank}"] if made.lora_config else []
    return f"vLLM {version('vllm')} accepts: {', '.join(limits + adapters)}"


def engine_config(config: Any) -> Any:
    """The configuration of vLLM for a run whose model is a folder, with weights that are never loaded.

    Raises:
        ValueError: verl or vLLM refuses it.
    """
    use_cpu()
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.usage.usage_lib import UsageContext

    arguments = AsyncEngineArgs.from_cli_args(server_arguments(config))
    arguments.skip_tokenizer_init, arguments.load_format, arguments.enable_sleep_mode = True, "dummy", False
    # vLLM has no prefix caching for linear attention on a CPU with AMX; a GPU has it.
    with mock.patch("torch.cpu._is_amx_tile_supported", return_value=False):
        return arguments.create_engine_config(usage_context=UsageContext.OPENAI_API_SERVER)


def use_cpu() -> None:
    """Select vLLM's CPU platform, whatever the machine has: on another one, vLLM counts the machine's GPUs."""
    platforms = importlib.import_module("vllm.platforms")
    platforms.__dict__["current_platform"] = importlib.import_module("vllm.platforms.cpu").CpuPlatform()


def server_arguments(config: Any) -> Any:
    """The command line of `vllm serve` that verl's first server composes for a run, as vLLM parses it.

    Raises:
        ValueError: verl or vLLM's parser refuses it.
    """
    server, parsed = first_server(config), []

    async def run(arguments: Any) -> None:
        parsed.append(arguments)

    server.run_server = run
    with _argparse_errors():
        asyncio.run(server.launch_server())
    return parsed[0]


@contextlib.contextmanager
def _argparse_errors() -> Iterator[None]:
    """Turn an exit of vLLM's parser into an error with its message."""
    output = io.StringIO()
    try:
        with contextlib.redirect_stderr(output):
            yield
    except SystemExit as error:
        last = (output.getvalue().strip().splitlines() or ["refused"])[-1]
        raise ValueError(f"vLLM's command line: {last.rpartition('error: ')[2]}") from error
