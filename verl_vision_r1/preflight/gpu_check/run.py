"""The check itself: make a model and rows, train, measure, judge, show."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from verl_vision_r1.preflight.gpu_check import machine, measured
from verl_vision_r1.preflight.gpu_check.machine import ASSUMED, apart
from verl_vision_r1.preflight.gpu_check.model import build
from verl_vision_r1.preflight.gpu_check.plan import ROLLOUTS, STEPS, Expected, Plan, expect
from verl_vision_r1.preflight.gpu_check.verdict import Finding, judge
from verl_vision_r1.training.process import read_line, train, trainer_command

STYLES = {True: "green", False: "bold red", None: "dim"}
MARK = ".gpu_check"
"""The file by which the folder of an earlier check is known."""
WORDS = {True: "ok", False: "FAILED", None: "-"}


def gpu_check(folder: Path, console: Console, *, small: bool = False, dry: bool = False) -> dict[str, Any]:
    """Run the check, or say what it would do.

    Args:
        folder: Gets all that the check makes; the model is removed after it.
        console: Where to show how it goes.
        small: A model of two layers in the place of one of 3.75 billion parameters.
        dry: Say what it would do, also where there is a GPU.

    Returns:
        `judged`, whether there was a GPU to judge; `passed`, None where nothing was run; the machine, the versions,
        the command, the limits, and the findings.

    Raises:
        ValueError: The model does not fit the GPUs, a CPU is asked to train the large one, or the folder is not ours.
        ChildProcessError: The training failed; the message names its log.
    """
    found = machine.find()
    plan = Plan(folder, found or ASSUMED, small)
    if found is not None and not found.gpus and not (small or dry):
        raise ValueError(
            "VERL_PLATFORM=cpu: expected --small, a model of 3.75 billion parameters is too large for a CPU"
        )
    if found is None or dry:
        return _planned(plan, found is not None, console)
    _make_empty(plan.folder)
    try:
        return _checked(plan, console)
    finally:
        shutil.rmtree(plan.model, ignore_errors=True)


def _planned(plan: Plan, here: bool, console: Console) -> dict[str, Any]:
    why = "a dry run" if here else "torch finds no GPU on this machine"
    console.print(Text(f"Nothing is run, {why}. No judgement is passed."), soft_wrap=True)
    console.print(Text(f"It would, on {_named(plan)}, train these and measure:"), soft_wrap=True)
    expected = expect(plan)
    _show_plan(plan, expected, console)
    return {"judged": False, "passed": None, **_facts(plan, expected), "findings": []}


def _checked(plan: Plan, console: Console) -> dict[str, Any]:
    texts = _draw(plan)
    console.print(Text(f"On {_named(plan)}: building the model"), soft_wrap=True)
    parameters = apart(build, plan.model, texts, plan.small)
    expected = expect(plan)
    console.print(Text(f"{parameters:,} random parameters; full output: {plan.log}"), soft_wrap=True)
    _show_plan(plan, expected, console)
    _train(plan, expected, console)
    findings = list(judge(plan, expected, measured.measure(plan.metrics, plan.rollouts)))
    _show(findings, console)
    passed = all(finding.ok is not False for finding in findings)
    told = [asdict(finding) for finding in findings]
    return {"judged": bool(plan.machine.gpus), "passed": passed, **_facts(plan, expected), "findings": told}


def _make_empty(folder: Path) -> None:
    """Empty the folder of an earlier check; anybody else's is left alone.

    Raises:
        ValueError: The folder holds something that no check has made.
    """
    mark = folder / MARK
    if folder.exists() and not mark.is_file() and any(folder.iterdir()):
        raise ValueError(f"--out: expected a folder that is empty or of an earlier check, got {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mark.touch()


def _draw(plan: Plan) -> list[str]:
    """Draw scenes, make rows of them, and return their questions and answers."""
    from verl_vision_r1.data.options import Source, Writing
    from verl_vision_r1.data.prepare import prepare
    from verl_vision_r1.demo.shapes import write_shapes
    from verl_vision_r1.demo.teach import read_rows, texts_of

    source = write_shapes(plan.folder / "source", "train", plan.scenes)
    write_shapes(source, "val", 8)
    pixels = plan.side**2
    prepare([Source("coco", str(source))], plan.folder / "rows", Writing(min_pixels=pixels, max_pixels=pixels))
    return list(texts_of(read_rows(plan.folder / "rows" / "train.parquet")))


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


def _named(plan: Plan) -> str:
    if not plan.machine.gpus:
        return "the CPU, whose seconds and memory are not judged"
    return f"{plan.machine.gpus} x {plan.machine.name} ({plan.machine.memory:.0f} GiB each)"


def _show_plan(plan: Plan, expected: Expected, console: Console) -> None:
    size = "two layers" if plan.small else "3.75 billion parameters"
    sizes = f"{STEPS} steps of {plan.prompts} prompts x {ROLLOUTS} answers x {plan.response} tokens, a model of {size}"
    console.print(Text(f"  {sizes}"), soft_wrap=True)
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions().items())
    console.print(Text(f"  {versions}"), soft_wrap=True)
    console.print(Text(f"  {' '.join(trainer_command(expected.run))}"), soft_wrap=True)
    for name, seconds in expected.seconds.items():
        console.print(Text(f"  {name:16} at most {seconds:8.1f} seconds"), soft_wrap=True)
    if expected.memory is not None:
        console.print(Text(f"  {'peak memory':16} at most {expected.memory:8.1f} GiB"), soft_wrap=True)


def _show(findings: list[Finding], console: Console) -> None:
    for finding in findings:
        console.print(line(finding), soft_wrap=True)


def line(finding: Finding) -> Text:
    """One finding on one line.

    Example:
        >>> line(Finding("gen", 4.25, 12.0, "seconds", True)).plain
        'ok       gen                              4.25 of 12 seconds'
    """
    number = "none" if finding.found is None else f"{finding.found:,.4g}"
    limit = "" if finding.limit is None else f" of {finding.limit:,.4g}"
    text = f"{finding.name:24} {number:>12}{limit} {finding.unit}".rstrip()
    return Text.assemble((f"{WORDS[finding.ok]:9}", STYLES[finding.ok]), text)
