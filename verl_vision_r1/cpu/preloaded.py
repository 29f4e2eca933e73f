"""A fork server: one process imports torch, transformers and vLLM, and the run's other processes are forks of it.

A run has a dozen Python processes. Each takes 5 to 20 CPU seconds to import the same modules, which on two cores is
most of the time to the first step. Here the driver starts one extra process (`start`), which imports the common
modules and waits for commands on a socket. Ray and multiprocessing use `interpreter.py` as their Python interpreter,
which sends its command to the socket, and a fork of the server runs the command as `python` would.

Forking is safe because the server only imports. It imports neither Ray nor verl (which imports Ray): Ray's library
reads the worker's environment once, when it is loaded.
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

# In the order in which the run's processes need them. None of them may import Ray.
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
HIGH: Final = 512  # No process here has that many open files, so descriptors from here on are free.


def use_forks(module: ModuleType) -> None:
    """Make Ray start the run's processes as forks.

    Args:
        module: `verl.trainer.constants_ppo`, which only the driver imports.
    """
    if "RAY_ADDRESS" in os.environ:
        return  # An existing cluster may have several machines.
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
    """Start the server, which runs until this process ends.

    Returns:
        Path of the interpreter that sends commands to it.
    """
    folder = Path(tempfile.mkdtemp(prefix="preloaded-"))  # Accessible only to its owner.
    interpreter = folder / "python"
    script = Path(__file__).with_name("interpreter.py")
    start_of_command = shlex.join([sys.executable, "-IS", str(script), str(folder / "socket")])
    interpreter.write_text(f'#!/bin/sh\nexec {start_of_command} "$@"\n', encoding="utf-8")
    interpreter.chmod(0o700)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "socket"))
    listener.listen(64)
    end, _kept_open = os.pipe()  # Never closed here: its end tells the server that this process has ended.
    command = [sys.executable, "-m", __name__, str(interpreter), str(listener.fileno())]
    subprocess.Popen(command, env=environment, stdin=end, pass_fds=[listener.fileno()], start_new_session=True)
    os.close(end)
    listener.close()
    return str(interpreter)


class ForkServer:
    """The server and its forks, which run the commands."""

    def __init__(self, listener: socket.socket, driver: int, interpreter: str) -> None:
        self.interpreter = interpreter
        self.listener = listener
        self.driver = driver
        self.forks: dict[int, tuple[int, socket.socket]] = {}  # Process and client, by pidfd.
        self.selector = selectors.DefaultSelector()
        self.selector.register(listener, selectors.EVENT_READ)
        self.selector.register(driver, selectors.EVENT_READ)

    def serve(self) -> None:
        """Import the modules one by one and run commands in between, until the driver ends."""
        modules = list(MODULES)
        while True:
            for key, _ in self.selector.select(timeout=0 if modules else None):
                if key.fileobj is self.listener:
                    with contextlib.suppress(OSError, ValueError):  # The client ended before it sent its command.
                        self.answer(self.listener.accept()[0])
                elif key.fileobj == self.driver:
                    for process, _ in self.forks.values():
                        os.kill(process, signal.SIGKILL)
                    return
                elif key.data is None:
                    self.forward_end_of_client(key.fileobj)
                else:
                    self.forward_end_of_fork(key.data)
            if modules:
                with contextlib.suppress(Exception):  # The fork that needs the module reports the error.
                    importlib.import_module(modules.pop(0))
                gc.freeze()  # So that the forks share the memory of the imported modules.

    def answer(self, client: socket.socket) -> None:
        """Run a client's command in a fork."""
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
        self.forks[end] = (process, client)
        self.selector.register(end, selectors.EVENT_READ, end)
        self.selector.register(client, selectors.EVENT_READ)

    def forward_end_of_client(self, client: Any) -> None:
        """End the fork of a client that was ended."""
        self.selector.unregister(client)
        process = next(process for process, its_client in self.forks.values() if its_client is client)
        os.kill(process, signal.SIGTERM)

    def forward_end_of_fork(self, end: int) -> None:
        """Send the exit status of a fork to its client."""
        process, client = self.forks.pop(end)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        self.selector.unregister(end)
        os.close(end)
        with contextlib.suppress(OSError, KeyError):
            self.selector.unregister(client)
            client.send(bytes([status & 0xFF]))
        client.close()

    def close(self) -> None:
        """Close the server's files in a fork."""
        self.selector.close()
        self.listener.close()
        os.close(self.driver)
        for end, (_, client) in self.forks.items():
            os.close(end)
            client.close()


def become(request: dict[str, Any], files: list[int], interpreter: str) -> None:
    """Run the client's command in this process. Does not return."""
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
            threading._shutdown()  # type: ignore[attr-defined]  # As the interpreter does at exit.
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def set_up(interpreter: str) -> None:
    """Repeat the set-up that imports in a new process would take from its environment."""
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

    patches.apply()  # vLLM reads its version when it is imported.
    sys.executable = interpreter  # vLLM inspects unknown models in a subprocess.
    try:
        ForkServer(socket.socket(fileno=listener), sys.stdin.fileno(), interpreter).serve()
    finally:
        shutil.rmtree(Path(interpreter).parent, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
