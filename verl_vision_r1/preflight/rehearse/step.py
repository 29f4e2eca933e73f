"""What the steps of a rehearsal share: their input, their result, and how an exception becomes a result.

A step is a module, or a package, named like the step, with a function `take`.
"""

import dataclasses
import importlib
import json
import traceback
from collections.abc import Mapping, Sequence
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
        step: The name of the step, such as `rollout engine`.
        overrides: The run as on verl's command line.
        folder: A folder with the `config.json` of the run's model.
        sent: A file with the weights that the actor sends, as a JSON list of `[name, shape, dtype]`: training writes
            it, the weight transfer reads it. None if it is not needed.
        nodes: The user's cluster as `(nodes, GPUs of each)`; None for what the configuration of the run says.
        gpu_memory: Memory of one GPU in GiB.
        kernels: Whether the run's machines have flash-attn; those without a GPU have not.
    """

    step: str
    overrides: tuple[str, ...]
    folder: Path
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


def as_line(value: Spec | Step) -> str:
    """An input or a result as one line of JSON."""
    return json.dumps(dataclasses.asdict(value), default=str)


def read_spec(line: str) -> Spec:
    """The input of a step, from its line.

    Example:
        >>> spec = Spec("placement", ("+recipe=vision_r1_qwen7b",), Path("model"), nodes=(2, 8))
        >>> read_spec(as_line(spec)) == spec
        True
    """
    found = json.loads(line)
    found["overrides"], found["folder"] = tuple(found["overrides"]), Path(found["folder"])
    found["sent"] = Path(found["sent"]) if found["sent"] else None
    found["nodes"] = tuple(found["nodes"]) if found["nodes"] else None
    return Spec(**found)


def attempt(spec: Spec) -> Step:
    """Take a step; an exception is its result.

    Example:
        >>> attempt(Spec("dress", (), Path("model"))).found
        "ModuleNotFoundError: No module named 'verl_vision_r1.preflight.rehearse.dress'"
    """
    try:
        module = importlib.import_module(f"{__package__}.{spec.step.replace(' ', '_')}")
        return module.take(spec)  # type: ignore[no-any-return]
    except SkippedError as reason:
        return Step(None, str(reason))
    except (Exception, SystemExit) as error:
        traceback.print_exc()  # In the log.
        return failed(error)


def failed(error: BaseException) -> Step:
    """An exception as the result of a step.

    Example:
        >>> failed(FailedError("28 heads, 3 GPUs", "tensor_model_parallel_size=2"))
        Step(ok=False, found='28 heads, 3 GPUs', limit='', advice='tensor_model_parallel_size=2', figures={})
    """
    return Step(False, one_line(error), advice=getattr(error, "advice", ""))


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
