"""SGLang's verdict on the arguments that verl passes to it."""

import asyncio
import contextlib
import os
from typing import Any
from unittest import mock

from verl_vision_r1.preflight.doctor.check import SkippedError, one_line
from verl_vision_r1.preflight.rehearse.rollout_engine.server import first_server, need_installed, version

LAUNCH = "sglang.srt.entrypoints.http_server.Engine._launch_subprocesses"
"""What verl calls with the arguments that SGLang has accepted (SGLang 0.5.10 or later, as verl 0.9 installs it)."""


def accepted(config: Any) -> str:
    """What SGLang accepts of a run, in one line.

    Raises:
        SkippedError: SGLang is not installed, or cannot build its arguments without a GPU.
        ValueError, AssertionError: verl or SGLang refuses the run.
    """
    need_installed("sglang")
    try:
        made = server_arguments(config)
    except (ImportError, RuntimeError) as error:
        raise SkippedError(f"SGLang's arguments cannot be built on this machine: {one_line(error)}") from error
    return f"SGLang {version('sglang')} accepts: TP {made.tp_size}, {made.dtype}"


def server_arguments(config: Any) -> Any:
    """The arguments that verl's first server composes for a run, as SGLang accepts them; nothing is launched."""
    server, launched = first_server(config), []

    def launch(*_: object, server_args: Any, **__: object) -> Any:
        server_args.check_server_args()  # As SGLang does first.
        launched.append(server_args)
        raise InterruptedError

    on_cpu = mock.patch.dict(os.environ, SGLANG_USE_CPU_ENGINE="1")
    with on_cpu, mock.patch(LAUNCH, launch), contextlib.suppress(InterruptedError):
        asyncio.run(server.launch_server())
    return launched[0]
