"""One process imports torch, transformers and vLLM, and the run's other processes are copies of it.

A run has a dozen Python processes, and each takes 5 to 20 CPU seconds to import the same modules, which on two cores
is most of the time to the first step. Here the driver starts one process more (`start`), which imports what they all
need and waits for commands at a socket. Ray and multiprocessing are told of an interpreter, `interpreter.py`, that
passes its command on to that socket; a fork of the waiting process then runs it as `python` would.

Forking is safe as long as the waiting process only imports. Ray, and verl, which imports it, are left to the copies:
Ray's library keeps for good what the environment says of the worker when it is loaded.
"""

import atexit
import contextlib
import fcntl
import gc
import importlib
import json
import os
import runpy
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, Final

# In the order in which the run's processes need them. None may import Ray.
MODULES: Final = (
    "torch",
    "torch._dynamo",
    "torch.distributed.fsdp",
    "tensordict",
    "transformers",
    "transformers.modeling_layers",
    "hydra",
    "aiohttp",
    "torchdata.stateful_dataloader",
    "datasets",
    "peft",
    "transformers.models.qwen2_5_vl.modeling_qwen2_5_vl",
    "torch._inductor.lowering",
    "vllm",
    "vllm.engine.arg_utils",
    "vllm.entrypoints.openai.api_server",
    "vllm.v1.engine.output_processor",
    "vllm.v1.engine.input_processor",
    "vllm.v1.core.sched.scheduler",
    "vllm.model_executor.model_loader",
    "vllm.lora.lora_model",
    "vllm.v1.worker.cpu_worker",
    "vllm.model_executor.models.qwen2_5_vl",
)
HIGH: Final = 512  # No process here has as many open files, so numbers from here on are free.


def interpret_with_copies(module: ModuleType) -> None:
    """Have Ray start the run's processes as copies.

    Args:
        module: `verl.trainer.constants_ppo`, which only a driver imports.
    """
    if "RAY_ADDRESS" in os.environ:
        return  # A cluster that runs already may reach over several machines.
    interpreter = start({**os.environ, **module.PPO_RAY_RUNTIME_ENV["env_vars"], "OPENBLAS_NUM_THREADS": "1"})
    original = module.get_ppo_ray_runtime_env

    def with_interpreter(config: Any = None) -> Any:
        init = config.ray_kwargs.ray_init
        if init.get("address") in (None, "local"):
            wanted = init.runtime_env
            wanted.py_executable = wanted.py_executable or interpreter  # verl reads it after this call.
        return original(config)

    module.get_ppo_ray_runtime_env = with_interpreter  # type: ignore[attr-defined]


def start(environment: dict[str, str]) -> str:
    """Start the process that waits for commands until this process ends.

    Returns:
        Path of the interpreter that passes commands on to it.
    """
    folder = Path(tempfile.mkdtemp(prefix="preloaded-"))  # Only its owner may enter it.
    interpreter = folder / "python"
    script = Path(__file__).with_name("interpreter.py")
    start_of_command = shlex.join([sys.executable, "-IS", str(script), str(folder / "socket")])
    interpreter.write_text(f'#!/bin/sh\nexec {start_of_command} "$@"\n', encoding="utf-8")
    interpreter.chmod(0o700)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "socket"))
    listener.listen(64)
    end, _kept_open = os.pipe()  # Never closed here: that it ends tells the other process that this one has.
    command = [sys.executable, "-m", __name__, str(interpreter), str(listener.fileno())]
    subprocess.Popen(command, env=environment, stdin=end, pass_fds=[listener.fileno()], start_new_session=True)
    os.close(end)
    listener.close()
    return str(interpreter)


class Waiting:
    """The process that waits for commands, and its copies that run them."""

    def __init__(self, listener: socket.socket, driver: int, interpreter: str) -> None:
        self.interpreter = interpreter
        self.listener = listener
        self.driver = driver
        self.copies: dict[int, tuple[int, socket.socket]] = {}  # The process and its client, by what tells of its end.
        self.selector = selectors.DefaultSelector()
        self.selector.register(listener, selectors.EVENT_READ)
        self.selector.register(driver, selectors.EVENT_READ)

    def serve(self) -> None:
        """Import one module after the other and answer commands in between, until the driver ends."""
        modules = list(MODULES)
        while True:
            for key, _ in self.selector.select(timeout=0 if modules else None):
                if key.fileobj is self.listener:
                    with contextlib.suppress(OSError, ValueError):  # A client that ended before it had asked.
                        self.answer(self.listener.accept()[0])
                elif key.fileobj == self.driver:
                    for process, _ in self.copies.values():
                        os.kill(process, signal.SIGKILL)
                    return
                elif key.data is None:
                    self.forward_end_of_client(key.fileobj)
                else:
                    self.forward_end_of_copy(key.data)
            if modules:
                with contextlib.suppress(Exception):  # Whoever needs the module will say what is wrong with it.
                    importlib.import_module(modules.pop(0))
                gc.freeze()  # Copies then share the memory of what was imported.

    def answer(self, client: socket.socket) -> None:
        """Run a client's command in a copy."""
        head, files, _, _ = socket.recv_fds(client, 8, 253)
        with client.makefile("rb") as stream:
            request = json.loads(stream.read(int.from_bytes(head, "big")))
        sys.stdout.flush()
        process = os.fork()
        if not process:
            client.close()
            self.close()
            become(request, files, self.interpreter)
        for file in files:
            os.close(file)
        end = os.pidfd_open(process)
        self.copies[end] = (process, client)
        self.selector.register(end, selectors.EVENT_READ, end)
        self.selector.register(client, selectors.EVENT_READ)

    def forward_end_of_client(self, client: Any) -> None:
        """A client that is gone was ended by someone who means the copy."""
        self.selector.unregister(client)
        process = next(process for process, its_client in self.copies.values() if its_client is client)
        os.kill(process, signal.SIGTERM)

    def forward_end_of_copy(self, end: int) -> None:
        """Tell the client with what status its command ended."""
        process, client = self.copies.pop(end)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        self.selector.unregister(end)
        os.close(end)
        with contextlib.suppress(OSError, KeyError):
            self.selector.unregister(client)
            client.send(bytes([status & 0xFF]))
        client.close()

    def close(self) -> None:
        """Close, in a copy, what belongs to the waiting process."""
        self.selector.close()
        self.listener.close()
        os.close(self.driver)
        for end, (_, client) in self.copies.items():
            os.close(end)
            client.close()


def become(request: dict[str, Any], files: list[int], interpreter: str) -> None:
    """Turn this process into the one that the client was to be. Does not return."""
    status = 1
    try:
        os.setsid()
        high = [fcntl.fcntl(file, fcntl.F_DUPFD, HIGH) for file in files]
        for file in files:
            os.close(file)
        for source, target in zip(high, request["files"], strict=True):
            os.dup2(source, target)
            os.close(source)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        set_up(interpreter)
        run(request["command"])
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            threading._shutdown()  # type: ignore[attr-defined]  # As the interpreter does at its end.
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def set_up(interpreter: str) -> None:
    """Repeat what the imports of an own process would have taken from its environment."""
    import multiprocessing

    import numpy
    import torch

    multiprocessing.set_executable(interpreter)  # For vLLM's engine and its worker.
    numpy.random.seed()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))  # Ray's default for an actor is 1.


def run(command: list[str]) -> None:
    """Run `-c CODE ...`, `-m MODULE ...` or `SCRIPT.py ...` as the interpreter would."""
    first = {"-c": "", "-m": os.getcwd()}.get(command[0], str(Path(command[0]).parent))
    own = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry and entry not in sys.path]
    sys.path[:1] = [first, *own]
    sys.modules["__main__"] = main = ModuleType("__main__")
    if command[0] == "-c":
        sys.argv = ["-c", *command[2:]]
        exec(command[1], main.__dict__)
    elif command[0] == "-m":
        sys.argv = ["-m", *command[2:]]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = command
        runpy.run_path(command[0], run_name="__main__")


def main(interpreter: str, listener: int) -> None:
    """Wait for commands until the driver ends."""
    from verl_vision_r1.cpu import patches

    patches.apply()  # vLLM asks for its version when it is imported.
    sys.executable = interpreter  # vLLM runs a process of its own to look at a model that it does not know yet.
    try:
        Waiting(socket.socket(fileno=listener), sys.stdin.fileno(), interpreter).serve()
    finally:
        shutil.rmtree(Path(interpreter).parent, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
