"""A step of a rehearsal: the rollout engine's own configuration, built from the arguments that verl passes to it.

verl's server class composes the arguments as in a run; the engine's code then accepts or refuses them. No weights, no
tokenizer and no GPU are needed. vLLM runs on its CPU platform, which decides the block size, CUDA graphs, asynchronous
scheduling and the attention backend itself and has no sleep mode: these are not checked.
"""

import asyncio
import contextlib
import copy
import importlib
import importlib.util
import io
import math
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from unittest import mock

from verl_vision_r1.preflight.doctor.check import FailedError, SkippedError, one_line
from verl_vision_r1.preflight.rehearse.step import Spec, Step, composed, main

ROLLOUT: Final = "actor_rollout_ref.rollout"
Change = tuple[str, Any]
"""A key and its value."""
SERVERS: Final = {
    "vllm": "verl.workers.rollout.vllm_rollout.vllm_async_server:vLLMHttpServer",
    "sglang": "verl.workers.rollout.sglang_rollout.async_sglang_server:SGLangHttpServer",
}
UNCHECKED: Final = (
    "not checked on a CPU: block size, CUDA graphs, asynchronous scheduling, sleep mode, attention backend"
)


def take(spec: Spec) -> Step:
    """Build the engine's configuration; if it is refused, find the smallest override that it accepts.

    Raises:
        SkippedError: The engine of the run is not installed, and nothing else is wrong.
    """
    config = composed(spec.overrides)
    use_folder(config, spec.folder)
    try:
        found = check(config)
    except FailedError as error:
        return Step(False, str(error), _limit(config), remedy(config), _figures(config))
    return Step(True, found, _limit(config), "", _figures(config))


def use_folder(config: Any, folder: Path) -> None:
    """Make a folder with a `config.json` the model of a run, without its tokenizer."""
    from omegaconf import open_dict

    with open_dict(config):
        model = config.actor_rollout_ref.model
        model.path, model.hf_config_path, model.load_tokenizer = str(folder), None, False


def check(config: Any) -> str:
    """What the engine accepts of a run.

    Raises:
        FailedError: The engine, verl or this module refuses the run; all their reasons.
        SkippedError: The engine is not installed.
    """
    from omegaconf import OmegaConf

    config = copy.deepcopy(config)
    OmegaConf.resolve(config)  # As verl does before it divides the configuration.
    engine = str(config.actor_rollout_ref.rollout.name)
    accepted, reasons, skipped = "", [], None
    for part in (_vllm if engine == "vllm" else _sglang, check_lengths, check_gpus):
        try:
            accepted = part(config) or accepted
        except SkippedError as reason:
            skipped = reason
        except (Exception, SystemExit) as error:
            reasons.append(message(error))
    if reasons:
        raise FailedError("; ".join(reasons))
    if skipped:
        raise skipped
    return accepted


def _vllm(config: Any) -> str:
    _need("vllm")
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
    return f"{_version('vllm')} accepts: {', '.join(limits + adapters)}"


def _need(engine: str) -> None:
    if importlib.util.find_spec(engine) is None:
        raise SkippedError(f"{engine} is not installed here: its arguments are not checked")


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
    server, parsed = _server(config), []

    async def run(arguments: Any) -> None:
        parsed.append(arguments)

    server.run_server = run
    with _argparse_errors():
        asyncio.run(server.launch_server())
    return parsed[0]


def _sglang(config: Any) -> str:
    """Errors other than those of the arguments are those of a machine without a GPU."""
    _need(str(config.actor_rollout_ref.rollout.name))
    server, launched = _server(config), []

    def launch(*_: object, server_args: Any, **__: object) -> Any:
        launched.append(server_args)
        raise InterruptedError

    target = "sglang.srt.entrypoints.http_server.Engine._launch_subprocesses"
    with mock.patch(target, launch), contextlib.suppress(InterruptedError):
        try:
            asyncio.run(server.launch_server())
        except (ImportError, RuntimeError) as error:
            raise SkippedError(f"SGLang's arguments cannot be built on this machine: {one_line(error)}") from error
    made = launched[0]
    return f"{_version('sglang')} accepts: TP {made.tp_size}, {made.dtype}"


def _server(config: Any) -> Any:
    """The first rollout server of verl, outside of Ray."""
    import ray
    from verl.workers.rollout.replica import RolloutMode, get_rollout_replica_class

    part = config.actor_rollout_ref
    replica = get_rollout_replica_class(part.rollout.name)(
        0, part.rollout, part.model, gpus_per_node=part.rollout.n_gpus_per_node
    )
    module, _, name = SERVERS[part.rollout.name].partition(":")
    context = types.SimpleNamespace(get_job_id=lambda: "rehearsal")
    with mock.patch.object(ray, "get_runtime_context", return_value=context):
        return getattr(importlib.import_module(module), name)(
            config=replica.config,
            model_config=replica.model_config,
            rollout_mode=RolloutMode.HYBRID,
            workers=[None] * replica.gpus_per_replica_node,
            replica_rank=0,
            node_rank=0,
            gpus_per_node=replica.gpus_per_replica_node,
            nnodes=replica.nnodes,
            cuda_visible_devices="",
        )


@contextlib.contextmanager
def _argparse_errors() -> Iterator[None]:
    """Turn an exit of vLLM's parser into an error with its message."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            yield
    except SystemExit as error:
        last = (said.getvalue().strip().splitlines() or ["refused"])[-1]
        raise ValueError(f"vLLM's command line: {last.rpartition('error: ')[2]}") from error


def check_lengths(config: Any) -> None:
    """The engine takes the longest prompt and completion together.

    Raises:
        FailedError: `max_model_len` is smaller; completions would end early, which no engine refuses.
    """
    longest, limit = _longest(config), config.actor_rollout_ref.rollout.max_model_len
    if limit is not None and int(limit) < longest:
        raise FailedError(
            f"{ROLLOUT}.max_model_len: expected at least {longest:,}, the longest prompt and completion, got"
            f" {int(limit):,}; completions would be cut"
        )


def check_gpus(config: Any) -> None:
    """The GPUs of each pool that generates divide into engines, as verl's workers assert.

    Raises:
        FailedError: They do not.
    """
    size = engine_size(config)
    for name, gpus in _pools(config).items():
        if gpus % size:
            raise FailedError(f"{name}: expected GPUs divisible by the {size} of a rollout engine, got {gpus}")


def engine_size(config: Any) -> int:
    """GPUs of one rollout engine."""
    rollout = config.actor_rollout_ref.rollout
    sizes = (rollout.tensor_model_parallel_size, rollout.data_parallel_size, rollout.pipeline_model_parallel_size)
    return math.prod(int(size) for size in sizes)


def _pools(config: Any) -> dict[str, int]:
    """GPUs of each pool with rollout engines."""
    rollout, trainer = config.actor_rollout_ref.rollout, config.trainer
    pools = {}
    separate = str(trainer.v1.trainer_mode).endswith("separate_async")
    if not separate or config.actor_rollout_ref.get("hybrid_engine", True):
        pools["trainer.nnodes * trainer.n_gpus_per_node"] = int(trainer.nnodes * trainer.n_gpus_per_node)
    if separate:
        pools[f"{ROLLOUT}.nnodes * {ROLLOUT}.n_gpus_per_node"] = int(rollout.nnodes * rollout.n_gpus_per_node)
    return pools


def _longest(config: Any) -> int:
    return int(config.data.max_prompt_length + config.data.max_response_length)


def message(error: BaseException) -> str:
    """The message of an error on one line; of pydantic's and Hydra's errors, only what was refused."""
    if callable(errors := getattr(error, "errors", None)):
        return "; ".join(str(part["msg"]).removeprefix("Value error, ").rstrip(".") for part in errors())
    if type(error).__name__ == "InstantiationException" and error.__cause__:
        return one_line(error.__cause__)
    return one_line(error)


def remedy(config: Any) -> str:
    """The smallest override with which a refused run is accepted, or two; empty if none of those tried is."""
    refused, choices = _refusal(config), list(_choices(config))
    others = []  # Changes after which something else is wrong.
    for choice in choices:
        answer = _refusal(config, choice)
        if not answer:
            return _words(choice)
        if answer != refused:
            others.append(choice)
    pairs = ((first, second) for first in others for second in choices if first[0] != second[0])
    return _words(*next((pair for pair in pairs if not _refusal(config, *pair)), ()))


def _words(*changes: Change) -> str:
    return " ".join(f"{key}={value}" for key, value in changes)


def _refusal(config: Any, *changes: Change) -> str:
    """Why a changed run is refused; empty if it is not."""
    from omegaconf import OmegaConf

    changed = copy.deepcopy(config)
    for key, value in changes:
        OmegaConf.update(changed, key, value)
    try:
        check(changed)
    except FailedError as error:
        return str(error)
    except SkippedError:
        pass  # Of what can be checked here, nothing is wrong.
    return ""


def _choices(config: Any) -> Iterator[Change]:
    """Overrides that an engine may accept, the nearest to the run first."""
    rollout = config.actor_rollout_ref.rollout
    size = int(rollout.tensor_model_parallel_size)
    gpus = int(rollout.n_gpus_per_node)
    yield f"{ROLLOUT}.max_num_batched_tokens", int(rollout.max_model_len or _longest(config))
    yield f"{ROLLOUT}.max_model_len", _longest(config)
    for other in sorted(range(1, gpus + 1), key=lambda other: (abs(other - size), -other)):
        if other != size and gpus % other == 0:
            yield f"{ROLLOUT}.tensor_model_parallel_size", other
    for key, value in DEFAULTS.items():
        if rollout.get(key) not in (None, value):
            yield f"{ROLLOUT}.{key}", value


DEFAULTS: Final = {
    "pipeline_model_parallel_size": 1,
    "data_parallel_size": 1,
    "expert_parallel_size": 1,
    "dtype": "bfloat16",
    "gpu_memory_utilization": 0.6,
    "max_num_seqs": 256,
}
"""Values that work, tried in place of a run's own."""


def _version(engine: str) -> str:
    name = {"vllm": "vLLM", "sglang": "SGLang"}[engine]
    return f"{name} {importlib.import_module(engine).__version__.partition('+')[0]}"


def _limit(config: Any) -> str:
    data = config.data
    lengths = f"prompt {int(data.max_prompt_length):,} + completion {int(data.max_response_length):,} tokens"
    gpus = " and ".join(f"{gpus:,} GPUs" for gpus in _pools(config).values())
    return f"{lengths}; {gpus}, {engine_size(config)} per engine; {UNCHECKED}"


def _figures(config: Any) -> dict[str, float]:
    return {
        "tensor_parallel": float(config.actor_rollout_ref.rollout.tensor_model_parallel_size),
        "tokens": float(_longest(config)),
        "engines": float(sum(gpus // engine_size(config) for gpus in _pools(config).values())),
    }


if __name__ == "__main__":
    sys.exit(main(take))
