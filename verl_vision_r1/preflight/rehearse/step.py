"""What the steps of a rehearsal share: their input, their result, and how they end.

A step runs in a process of its own, because each changes its process for good (fake process groups, vLLM's or Ray's
state): `python -m verl_vision_r1.preflight.rehearse.NAME SPEC.json`.
"""

import dataclasses
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verl_vision_r1.preflight.doctor.check import Case, FailedError, SkippedError, one_line
from verl_vision_r1.preflight.doctor.installation import recipes
from verl_vision_r1.preflight.estimate.plan import Assumptions, Plan, make_plan


@dataclass(frozen=True)
class Spec:
    """The input of a step.

    Attributes:
        overrides: The run as on verl's command line.
        folder: A folder with the `config.json` of the run's model.
        result: The file that the step writes.
        sent: A JSON list of `[name, shape, dtype]`, the weights that the actor sends; None if not known.
        nodes: The user's cluster as `[nodes, GPUs of each]`; None for what the configuration of the run says.
        gpu_memory: Memory of one GPU in GiB.
        kernels: Whether the run's machines have flash-attn; those without a GPU have not.
    """

    overrides: tuple[str, ...]
    folder: Path
    result: Path
    sent: Path | None = None
    nodes: tuple[int, int] | None = None
    gpu_memory: float = 80.0
    kernels: bool = True

    @property
    def has_tokenizer(self) -> bool:
        """Whether the folder has a tokenizer; that of a published size has none."""
        return any(self.folder.glob("tokenizer*"))


@dataclass(frozen=True)
class Step:
    """The result of a step.

    Attributes:
        ok: True if it passed, False if it failed, None if it was skipped.
        found: The result in one line, or why it was skipped.
        limit: What the result was checked against, in one line.
        advice: What to change if it failed, as an override where possible.
        figures: Numbers of the result.
    """

    ok: bool | None
    found: str
    limit: str = ""
    advice: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)


def read_spec(path: Path) -> Spec:
    """The input of a step.

    Raises:
        ValueError: The file is not that of a step.
    """
    found = json.loads(path.read_text(encoding="utf-8"))
    try:
        sent, nodes = found.get("sent"), found.get("nodes")
        return Spec(
            overrides=tuple(found["overrides"]),
            folder=Path(found["folder"]),
            result=Path(found["result"]),
            sent=Path(sent) if sent else None,
            nodes=(int(nodes[0]), int(nodes[1])) if nodes else None,
            gpu_memory=float(found.get("gpu_memory") or 80.0),
            kernels=bool(found.get("kernels", True)),
        )
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise ValueError(
            f"{path}: expected overrides, folder, result, sent and nodes of a step, got {one_line(error)}"
        ) from error


def read_result(path: Path) -> Step:
    """The result that a step has written."""
    return Step(**json.loads(path.read_text(encoding="utf-8")))


def write_result(path: Path, step: Step) -> None:
    """Write the result of a step, all of it or none."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(dataclasses.asdict(step), indent=1), encoding="utf-8")
    part.replace(path)


def composed(overrides: Sequence[str]) -> Any:
    """The configuration of a run, as verl composes it.

    Raises:
        FailedError: It does not compose.
    """
    case = Case(tuple(overrides))
    found = recipes(case)
    if not found.ok:
        raise FailedError(f"{' '.join(overrides)}: {found.found}", found.advice)
    return case.run


def plan_of(spec: Spec) -> Plan:
    """The run with its model and the lengths of its prompts, as an estimate uses it.

    Raises:
        ValueError: The run does not compose, or its rewards or samples are invalid.
    """
    config = spec.folder / "config.json"
    return make_plan(spec.overrides, Assumptions(gpu_memory=spec.gpu_memory, model_config=config))


def failed(error: BaseException) -> Step:
    """An exception as the result of a step."""
    return Step(False, one_line(error), advice=getattr(error, "advice", ""))


def attempt(take: Callable[[Spec], Step], spec: Spec) -> Step:
    """Take a step; an exception is its result.

    Example:
        >>> def take(spec):
        ...     raise FailedError("28 heads, 3 GPUs", "tensor_model_parallel_size=2")
        >>> attempt(take, Spec((), Path("model"), Path("result.json")))
        Step(ok=False, found='28 heads, 3 GPUs', limit='', advice='tensor_model_parallel_size=2', figures={})
    """
    try:
        return take(spec)
    except SkippedError as reason:
        return Step(None, str(reason))
    except (Exception, SystemExit) as error:
        traceback.print_exc()  # In the log of the step.
        return failed(error)


def main(take: Callable[[Spec], Step], arguments: Sequence[str] | None = None) -> int:
    """Take the step that the file SPEC describes, on the CPU, and write its result.

    Args:
        take: The step.
        arguments: `[SPEC]`; by default those of the process.

    Returns:
        The exit status: 0 if the result is written, whatever it is.
    """
    os.environ |= {"VERL_PLATFORM": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    (path,) = sys.argv[1:] if arguments is None else arguments
    spec = read_spec(Path(path))
    write_result(spec.result, attempt(take, spec))
    return 0
