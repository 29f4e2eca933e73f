"""The steps of a rehearsal, in two processes at once: one for training, the other for the rest."""

import functools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from verl_vision_r1.preflight.rehearse import configuration, remedies
from verl_vision_r1.preflight.rehearse.process import Process
from verl_vision_r1.preflight.rehearse.step import Spec, Step, composed

TRANSFER: Final = "weight transfer"
STEPS: Final[tuple[str, ...]] = ("configuration", "model", "rollout engine", "training", TRANSFER, "placement")
"""The steps, in the order of the report."""


@dataclass(frozen=True)
class Options:
    """What a rehearsal assumes about the machines.

    Attributes:
        gpu_memory: Memory of one GPU in GiB.
        model_config: A `config.json` used instead of the model's own.
        nodes: The cluster as number of nodes and GPUs of each; None for what the run's configuration says.
        remedies: Whether to look for the smallest change that makes a step fit.
        log: Where the output of the steps goes; by default nowhere.
        tell: Called with a line as a step begins.
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
        The name and the result of each step as soon as the result is known. A failed step is a result; none raises.
    """
    options = options or Options()
    with tempfile.TemporaryDirectory(prefix="rehearse-") as folder:
        prepared = configuration.prepare(overrides, options.model_config, Path(folder) / "model")
        yield from prepared.items()
        if all(step.ok for step in prepared.values()):
            yield from Stage(overrides, options, Path(folder)).play()


class Stage:
    """A run that is being rehearsed.

    Args:
        overrides: The run.
        options: What is assumed.
        folder: A folder with the model's configuration in `model`.
    """

    def __init__(self, overrides: Sequence[str], options: Options, folder: Path) -> None:
        self._overrides = tuple(overrides)
        self._config = composed(overrides)
        self._options = options
        self._model, self._sent = folder / "model", folder / "sent.json"

    def play(self) -> Iterator[tuple[str, Step]]:
        """Take the steps after the configuration."""
        log = self._options.log
        with (
            ThreadPoolExecutor(1) as one,
            ThreadPoolExecutor(1) as other,
            Process(log) as first,
            Process(log) as second,
        ):
            tried = one.submit(self._take, first, "training", sent=self._sent)
            training = one.submit(self._advised, first, tried)
            engine = other.submit(self._take, second, "rollout engine")
            placement = other.submit(self._take, second, "placement")
            transfer = other.submit(self._transfer, second, tried, engine)
            names = {training: "training", engine: "rollout engine", placement: "placement", transfer: TRANSFER}
            for step in as_completed(names):
                yield names[step], step.result()

    def _advised(self, process: Process, tried: Future[Step]) -> Step:
        """The training step with a remedy, tried in its process: `model.external_lib` may have changed verl there."""
        if not self._options.remedies:
            return tried.result()
        memory = self._options.gpu_memory
        retry = functools.partial(self._take, process, "training")
        return remedies.advised(tried.result(), self._config, memory, retry)

    def _transfer(self, process: Process, training: Future[Step], engine: Future[Step]) -> Step:
        if not engine.result().ok:
            return Step(None, "the step rollout engine did not pass")
        training.result()
        if not self._sent.exists():
            return Step(None, "the step training did not pass")
        return self._take(process, TRANSFER, sent=self._sent)

    def _take(self, process: Process, name: str, change: Sequence[str] = (), sent: Path | None = None) -> Step:
        self._options.tell(f"{name}: begins" + (f" with {' '.join(change)}" if change else ""))
        spec = Spec(
            step=name,
            overrides=(*self._overrides, *change),
            folder=self._model,
            sent=sent,
            nodes=self._options.nodes,
            gpu_memory=self._options.gpu_memory,
            kernels=self._config.trainer.device != "cpu",  # As verl assumes of GPUs.
        )
        return process.take(spec)
