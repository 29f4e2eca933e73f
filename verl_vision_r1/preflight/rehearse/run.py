"""The steps of a rehearsal: each in a process of its own, two at a time."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from verl_vision_r1.preflight.rehearse import configuration, remedies
from verl_vision_r1.preflight.rehearse.step import Step, composed, read_result

MODULES: Final = {
    "rollout engine": "rollout_engine",
    "training": "training",
    "placement": "placement",
    "weight transfer": "transfer",
}
"""The steps after the configuration, and their modules."""
TIMEOUT: Final = 1800
"""Seconds after which a step is ended."""


@dataclass(frozen=True)
class Options:
    """What a rehearsal assumes about the machines.

    Attributes:
        gpu_memory: Memory of one GPU in GiB.
        model_config: A `config.json` used instead of the model's own.
        nodes: The cluster as number of nodes and GPUs of each; None for what the run's configuration says.
        remedies: Whether to look for the smallest change that makes a step fit.
        log: Where the output of the steps goes; by default nowhere.
        tell: Called with what is being done.
    """

    gpu_memory: float = 80.0
    model_config: Path | None = None
    nodes: tuple[int, int] | None = None
    remedies: bool = True
    log: Path | None = None
    tell: Callable[[str], None] = field(default=lambda line: None, repr=False)


def rehearse(overrides: Sequence[str], options: Options | None = None) -> Iterator[tuple[str, Step]]:
    """Rehearse a run.

    Args:
        overrides: The run as on verl's command line, `+recipe=NAME KEY=VALUE ...`.
        options: What to assume.

    Yields:
        The name and the result of each step as soon as both are known. A failed step is a result; none raises.
    """
    options = options or Options()
    with tempfile.TemporaryDirectory(prefix="rehearse-") as folder:
        model = Path(folder) / "model"
        prepared = configuration.prepare(overrides, options.model_config, model)
        yield from prepared.items()
        if all(step.ok for step in prepared.values()):
            yield from Stage(tuple(overrides), composed(overrides), options, Path(folder), model).play()


@dataclass(frozen=True)
class Stage:
    """A run that is being rehearsed.

    Attributes:
        overrides: The run.
        config: Its configuration.
        options: What is assumed.
        folder: A folder for its files.
        model: The folder with the model's configuration.
    """

    overrides: tuple[str, ...]
    config: Any
    options: Options
    folder: Path
    model: Path

    def play(self) -> Iterator[tuple[str, Step]]:
        """Take the steps after the configuration."""
        with ThreadPoolExecutor(2) as pool:
            training = pool.submit(self._train)
            others = pool.submit(lambda: {name: self.take(name) for name in ("rollout engine", "placement")})
            yield "rollout engine", others.result()["rollout engine"]
            yield "training", training.result()
            yield "weight transfer", self._transfer(training.result(), others.result()["rollout engine"])
            yield "placement", others.result()["placement"]

    def _train(self) -> Step:
        step = self.take("training")
        if not self.options.remedies:
            return step
        return remedies.advised(
            step, self.config, self.options.gpu_memory, lambda change: self.take("training", change)
        )

    def _transfer(self, training: Step, engine: Step) -> Step:
        if not (self.folder / "sent.json").exists() or not engine.ok:
            missing = "rollout engine" if training.ok else "training"
            return Step(None, f"the step {missing} did not pass")
        return self.take("weight transfer")

    def take(self, name: str, extra: Sequence[str] = ()) -> Step:
        """Take one step, in a process of its own.

        Args:
            name: The step.
            extra: Overrides added to the run's.
        """
        module = MODULES[name]
        result = self.folder / f"{module}{len(list(self.folder.glob(f'{module}*')))}.json"
        spec = {
            "overrides": [*self.overrides, *extra],
            "folder": str(self.model),
            "result": str(result),
            "sent": str(self.folder / "sent.json"),
            "nodes": self.options.nodes,
            "gpu_memory": self.options.gpu_memory,
            "kernels": self.config.trainer.device != "cpu",  # As verl assumes of GPUs.
        }
        path = result.with_suffix(".spec")
        path.write_text(json.dumps(spec), encoding="utf-8")
        self.options.tell(name + (f" with {' '.join(extra)}" if extra else ""))
        ended = self._run(module, path)
        return read_result(result) if result.exists() else Step(False, f"the process ended with {ended}", advice=HINT)

    def _run(self, module: str, spec: Path) -> str:
        command = [sys.executable, "-m", f"verl_vision_r1.preflight.rehearse.{module}", str(spec)]
        environment = os.environ | {"VERL_PLATFORM": "cpu", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
        with (self.options.log or Path(os.devnull)).open("a", encoding="utf-8") as log:
            try:
                status = subprocess.run(command, env=environment, stdout=log, stderr=log, timeout=TIMEOUT).returncode
            except subprocess.TimeoutExpired:
                return f"no result after {TIMEOUT} seconds"
        return f"exit status {status}"


HINT: Final = "see its output with --log FILE; exit status -9 is a lack of memory on this machine"
