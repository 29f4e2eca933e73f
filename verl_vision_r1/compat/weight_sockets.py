"""verl #6233, verl 0.9 and 0.10.0.dev with vLLM, two runs on a machine, each with a Ray cluster of its own.

A training worker sends its weights to vLLM by a socket in /tmp. Since https://github.com/verl-project/verl/pull/6246
its name has the id of the Ray job, but Ray counts jobs per cluster: the first jobs of two clusters have the same id.
The two runs then take each other's messages: both wait forever in `update_weights`, or vLLM gets the other run's
weights. Here the name has the address of the cluster too, on both sides; `weight_receivers` is the other one.

https://github.com/verl-project/verl/issues/6233. Remove when the name in a release differs between clusters.
"""

import functools
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from verl_vision_r1.compat.workaround import Workaround


def job_of_cluster() -> str:
    """Id of the Ray job with the address of its cluster, for a file name."""
    import ray

    context = ray.get_runtime_context()
    return "-".join([context.get_job_id(), context.gcs_address.replace(":", "-").replace("/", "-")])


def after(call: Callable[..., None], then: Callable[[Any], None]) -> Callable[..., None]:
    """An `__init__` that calls `then` with the object at its end."""

    @functools.wraps(call)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        call(self, *args, **kwargs)
        then(self)

    return wrapped


def needed(module: ModuleType) -> bool:
    """Whether the name has nothing of the cluster but the id of the job. Read from the source."""
    source = inspect.getsource(module.ServerAdapter.__init__)
    return "job_id = ray.get_runtime_context().get_job_id()" in source and "zmq-{job_id}-replica" in source


def patch(module: ModuleType) -> None:
    """Rename the socket of the training worker."""

    def rename(adapter: Any) -> None:
        import ray

        job = ray.get_runtime_context().get_job_id()
        adapter.zmq_handle = adapter.zmq_handle.replace(f"zmq-{job}-", f"zmq-{job_of_cluster()}-", 1)

    module.ServerAdapter.__init__ = after(module.ServerAdapter.__init__, rename)


WORKAROUND: Final = Workaround(
    "weights of two runs, sender",
    6233,
    ">=0.9,<0.11",
    "verl.workers.rollout.vllm_rollout.vllm_rollout",
    needed,
    patch,
)
