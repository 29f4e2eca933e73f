"""Run the check: build a model and data, train, measure, compare with the limits, print."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from verl_vision_r1.preflight.gpu_check import machine, measured
from verl_vision_r1.preflight.gpu_check.machine import ASSUMED, in_new_process
from verl_vision_r1.preflight.gpu_check.model import build
from verl_vision_r1.preflight.gpu_check.plan import ROLLOUTS, STEPS, Expected, Plan, expect
from verl_vision_r1.preflight.gpu_check.verdict import Verdict, verdicts
from verl_vision_r1.training.process import read_line, train, trainer_command

STYLES = {True: "green", False: "bold red", None: "dim"}
MARK = ".gpu_check"
"""File that marks the folder of a check."""
STATES = {True: "ok", False: "FAILED", None: "-"}


def gpu_check(folder: Path, console: Console, *, small: bool = False, dry: bool = False) -> dict[str, Any]:
    """Run the check, or print its plan if no GPU is found.

    Args:
        folder: Output folder; the model is removed from it at the end.
        console: For progress and results.
        small: Use a model with two layers instead of one with 3.75 billion parameters.
        dry: Print the plan only, also if there is a GPU.

    Returns:
        `limits_checked`, whether seconds and memory were checked against limits; `passed`, None if nothing was run;
        machine, versions, command and limits; and the `verdicts`.

    Raises:
        ValueError: The model does not fit the GPUs, the large model is requested on a CPU, or the folder contains
            something else.
        ChildProcessError: The training run failed; the message names its log.
    """
    found = machine.find()
    plan = Plan(folder, found or ASSUMED, small)
    if found is not None and not found.gpus and not (small or dry):
        raise ValueError(
            "VERL_PLATFORM=cpu: expected --small, got a model of 3.75 billion parameters, too large for a CPU"
        )
    if found is None or dry:
        return _planned(plan, "dry run" if found else "no GPU found", console)
    _make_empty(plan.folder)
    try:
        return _checked(plan, console)
    finally:
        shutil.rmtree(plan.model, ignore_errors=True)


def _planned(plan: Plan, reason: str, console: Console) -> dict[str, Any]:
    console.print(Text(f"skipped: {reason}"), soft_wrap=True)
    console.print(Text(f"Plan for {_name(plan)}:"), soft_wrap=True)
    expected = expect(plan)
    _show_plan(plan, expected, console)
    return {"limits_checked": False, "passed": None, **_facts(plan, expected), "verdicts": []}


def _checked(plan: Plan, console: Console) -> dict[str, Any]:
    texts = _draw(plan)
    console.print(Text(f"{_name(plan)}: building the model"), soft_wrap=True)
    parameters = in_new_process(build, plan.model, texts, plan.small)
    expected = expect(plan)
    console.print(Text(f"{parameters:,} random parameters; full output: {plan.log}"), soft_wrap=True)
    _show_plan(plan, expected, console)
    _train(plan, expected, console)
    found = list(verdicts(plan, expected, measured.measure(plan.metrics, plan.rollouts)))
    for verdict in found:
        console.print(line(verdict), soft_wrap=True)
    return {
        "limits_checked": bool(plan.machine.gpus),
        "passed": all(verdict.ok is not False for verdict in found),
        **_facts(plan, expected),
        "verdicts": [asdict(verdict) for verdict in found],
    }


def _make_empty(folder: Path) -> None:
    """Create the folder, or empty that of an earlier check.

    Raises:
        ValueError: The folder contains something else.
    """
    mark = folder / MARK
    if folder.exists() and not mark.is_file() and any(folder.iterdir()):
        raise ValueError(f"--out: expected a new or empty folder or that of an earlier check, got {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mark.touch()


def _draw(plan: Plan) -> list[str]:
    """Draw and prepare scenes; return their prompts and completions."""
    from verl_vision_r1.data.options import Source, Writing
    from verl_vision_r1.data.prepare import prepare
    from verl_vision_r1.demo.shapes import write_shapes
    from verl_vision_r1.demo.teach import read_rows, texts_of

    source = write_shapes(plan.folder / "source", "train", plan.scenes)
    write_shapes(source, "val", 8)
    pixels = plan.side**2
    prepare([Source("coco", str(source))], plan.data, Writing(min_pixels=pixels, max_pixels=pixels))
    return list(texts_of(read_rows(plan.data / "train.parquet")))


def _train(plan: Plan, expected: Expected, console: Console) -> None:
    for line in train(plan, trainer_command(expected.run)):
        if note := read_line(line)[0]:
            console.print(Text(note), soft_wrap=True)


def _facts(plan: Plan, expected: Expected) -> dict[str, Any]:
    return {
        "machine": asdict(plan.machine),
        "versions": machine.versions(),
        "command": trainer_command(expected.run),
        "seconds": expected.seconds,
        "memory": expected.memory,
    }


def _name(plan: Plan) -> str:
    if not plan.machine.gpus:
        return "CPU (seconds and memory have no limits)"
    return f"{plan.machine.gpus} x {plan.machine.name} ({plan.machine.memory:.0f} GiB each)"


def _show_plan(plan: Plan, expected: Expected, console: Console) -> None:
    size = "two layers" if plan.small else "3.75 billion parameters"
    completions = f"{STEPS} steps of {plan.prompts} prompts x {ROLLOUTS} completions x {plan.response} tokens"
    console.print(Text(f"  {completions}, a model with {size}"), soft_wrap=True)
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions().items())
    console.print(Text(f"  {versions}"), soft_wrap=True)
    console.print(Text(f"  {' '.join(trainer_command(expected.run))}"), soft_wrap=True)
    for name, seconds in expected.seconds.items():
        console.print(Text(f"  {name:16} at most {seconds:8.1f} seconds"), soft_wrap=True)
    if expected.memory is not None:
        console.print(Text(f"  {'peak memory':16} at most {expected.memory:8.1f} GiB"), soft_wrap=True)


def line(verdict: Verdict) -> Text:
    """A verdict as one line of text.

    Example:
        >>> line(Verdict("gen", 4.25, 12.0, "seconds", True)).plain
        'ok       gen                              4.25 of 12 seconds'
    """
    number = "none" if verdict.measured is None else f"{verdict.measured:,.4g}"
    limit = "" if verdict.limit is None else f" of {verdict.limit:,.4g}"
    text = f"{verdict.name:24} {number:>12}{limit} {verdict.unit}".rstrip()
    return Text.assemble((f"{STATES[verdict.ok]:9}", STYLES[verdict.ok]), text)
