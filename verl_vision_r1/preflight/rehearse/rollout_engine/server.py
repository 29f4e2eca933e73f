"""verl's first rollout server of a run, outside of Ray: it composes the arguments of its engine."""

import importlib
import importlib.util
import types
from pathlib import Path
from typing import Any, Final
from unittest import mock

from verl_vision_r1.preflight.doctor.check import SkippedError

SERVERS: Final = {
    "vllm": ("verl.workers.rollout.vllm_rollout.vllm_async_server", "vLLMHttpServer"),
    "sglang": ("verl.workers.rollout.sglang_rollout.async_sglang_server", "SGLangHttpServer"),
}


def use_folder(config: Any, folder: Path) -> None:
    """Make a folder with a `config.json` the model of a run, without its tokenizer."""
    from omegaconf import open_dict

    with open_dict(config):
        model = config.actor_rollout_ref.model
        model.path, model.hf_config_path, model.load_tokenizer = str(folder), None, False


def first_server(config: Any) -> Any:
    """The server of the first node of the first engine.

    Raises:
        ValueError: verl refuses the run.
    """
    import ray
    from verl.workers.rollout.replica import RolloutMode, get_rollout_replica_class

    part = config.actor_rollout_ref
    rollout, name = part.rollout, str(part.rollout.name)
    replica = get_rollout_replica_class(name)(0, rollout, part.model, gpus_per_node=rollout.n_gpus_per_node)
    gpus = {"base_gpu_id": 0} if name == "sglang" else {"gpus_per_node": replica.gpus_per_replica_node}
    module, server = SERVERS[name]
    context = types.SimpleNamespace(get_job_id=lambda: "rehearsal", gcs_address="")
    with mock.patch.object(ray, "get_runtime_context", return_value=context):
        return getattr(importlib.import_module(module), server)(
            config=replica.config,
            model_config=replica.model_config,
            rollout_mode=RolloutMode.HYBRID,
            workers=[None] * replica.gpus_per_replica_node,
            replica_rank=0,
            node_rank=0,
            nnodes=replica.nnodes,
            cuda_visible_devices="",
            **gpus,
        )


def need_installed(engine: str) -> None:
    """Check that the package of an engine is installed.

    Raises:
        SkippedError: It is not.
    """
    if importlib.util.find_spec(engine) is None:
        raise SkippedError(f"{engine} is not installed here: its arguments are not checked")


def version(engine: str) -> str:
    """The version of an installed engine, without its build.

    Example:
        >>> with mock.patch.dict("sys.modules", sglang=types.SimpleNamespace(__version__="0.5.12+cpu")):
        ...     version("sglang")
        '0.5.12'
    """
    return str(importlib.import_module(engine).__version__).partition("+")[0]
