"""The receiving side of `weight_sockets`: vLLM's worker makes the name of the socket from its environment.

https://github.com/verl-project/verl/issues/6233. Remove together with it.
"""

import inspect
import os
from types import ModuleType
from typing import Any, Final

from verl_vision_r1.compat.weight_sockets import after, job_of_cluster
from verl_vision_r1.compat.workaround import Workaround

JOB: Final = "VERL_RAY_JOB_ID"
"""The environment variable in which vLLM's worker finds the job."""


def needed(module: ModuleType) -> bool:
    """Whether vLLM's worker is told the id of the job and nothing else. Read from the source."""
    source = inspect.getsource(module.vLLMHttpServer.__init__)
    return f'os.environ["{JOB}"] = ray.get_runtime_context().get_job_id()' in source


def patch(module: ModuleType) -> None:
    """Tell vLLM's worker, which the server starts later, the job with its cluster."""

    def tell(server: Any) -> None:
        os.environ[JOB] = job_of_cluster()

    module.vLLMHttpServer.__init__ = after(module.vLLMHttpServer.__init__, tell)


WORKAROUND: Final = Workaround(
    "weights of two runs, receiver",
    6233,
    ">=0.9,<0.11",
    "verl.workers.rollout.vllm_rollout.vllm_async_server",
    needed,
    patch,
)
