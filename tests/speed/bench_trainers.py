"""Our trainer beside TRL and the floor: the same model, samples, reward, group size, rate and number of tokens.

    python tests/speed/bench_trainers.py [--rounds 5] [--steps 12] [--write]   # --write: docs/benchmark_trainers.json

The trainers take turns on all cores, each as a command of its own. TRL and the floor run in the environment
build/trainers, which `make bench-trainers` installs. In the first round each trains on until its steps have taken as
long as ours, and both models are evaluated by vLLM as the demo's are. Of ours, the processor time by kind of process
is measured as well.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import psutil

from verl_vision_r1.demo.ablation_results import hardware, measures_of, today
from verl_vision_r1.demo.ablations import measure
from verl_vision_r1.demo.plan import Demo
from verl_vision_r1.demo.run import TAUGHT_MODEL, prepare_shapes
from verl_vision_r1.training.process import train

ROOT: Final = Path(__file__).resolve().parents[2]
RESULTS: Final = ROOT / "docs" / "benchmark_trainers.json"
TRAINERS: Final = Path(__file__).with_name("trainers")
PYTHON: Final = ROOT / "build" / "trainers" / "bin" / "python"
RIVALS: Final = {"TRL": TRAINERS / "trl_grpo.py", "floor": TRAINERS / "floor.py"}
OURS: Final = "verl-vision-r1"
PROCESSORS: Final = "processor seconds"
"""Key of the processor time of one of our steps, by kind of process."""
WARM_UP: Final = 2
"""Steps at the beginning that do not count."""
TOKENS: Final = 48
LOOK: Final = 10.0
"""Seconds between looks at the memory at least. Adding it up for our dozen processes takes tenths of a second on one
core: most steps go on undisturbed, and so does their median."""
PARTS: Final = ("step", "generation", "update")
ENGINE: Final = "engine and others"
"""Processes without a title of Ray: vLLM's engine, which computes in a process of its own, and the command itself."""

Read = TypeVar("Read")


class Watch:
    """Runs a command, and knows when it began and how much memory its processes had together at most."""

    def __init__(self) -> None:
        self.begin, self.peak, self.looked = time.time(), 0, 0.0

    def run(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        """Run it to its end."""
        with log.open("w", encoding="utf-8") as file:
            process = subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT)
        while process.poll() is None:
            self.look(process.pid)
            time.sleep(1)
        if process.returncode:
            raise ChildProcessError(f"{command[:3]} ended with status {process.returncode}; its output is {log}")

    def look(self, parent: int) -> None:
        """Add up the proportional memory of a process and its descendants, if the last look was a while ago."""
        if time.time() < self.looked + LOOK:
            return
        self.looked = time.time()
        memory = read_each(parent, lambda process: process.memory_full_info().pss)
        self.peak = max(self.peak, sum(memory))


def read_each(parent: int, read: Callable[[psutil.Process], Read]) -> Iterator[Read]:
    """What a process and its descendants tell of themselves, without those that have ended meanwhile."""
    for process in (psutil.Process(parent), *psutil.Process(parent).children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            yield read(process)


def processor_seconds(parent: int) -> Counter[str]:
    """Processor time of a process and its descendants so far, by the class of the Ray actor."""
    found: Counter[str] = Counter()
    for words, used in read_each(parent, lambda process: (process.cmdline(), process.cpu_times())):
        title = " ".join(words).strip()
        kind = title.removeprefix("ray::").split(".")[0] if title.startswith("ray::") else ENGINE
        found[kind] += used.user + used.system
    return found


def rival(name: str, rows: Path, out: Path, steps: int, seconds: float) -> dict[str, Any]:
    """Train by TRL or the floor, for the steps and until the steps have taken the seconds."""
    arguments = [rows / "train.parquet", TAUGHT_MODEL, out, steps, seconds]
    quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": ""}
    watch = Watch()
    watch.run([str(PYTHON), str(RIVALS[name]), *map(str, arguments)], {**os.environ, **quiet}, out / "log")
    return summary(json.loads((out / "steps.json").read_text(encoding="utf-8"))[:steps], watch)


def ours(rows: Path, out: Path, steps: int) -> dict[str, Any]:
    """Train by verl with the recipe of the demo."""
    more = ("trainer.val_before_train=false", "trainer.save_freq=-1", f"data.max_response_length={TOKENS}")
    demo = Demo(out, steps, overrides=more, rows=rows, model=TAUGHT_MODEL)
    watch, entries, used = Watch(), [], []
    for line in train(demo, demo.command()):
        if " - global_seqlen" in line:
            entries.append(time.time())
            if len(entries) in (WARM_UP, steps):
                used.append(processor_seconds(os.getpid()))
            watch.look(os.getpid())
    logged = [json.loads(line)["data"] for line in demo.metrics.read_text(encoding="utf-8").splitlines()]
    timings = [entry for entry in logged if "timing_s/step" in entry]
    parts = {"step": "step", "generation": "gen", "update": "update_actor"}
    found = [{part: entry[f"timing_s/{key}"] for part, key in parts.items()} for entry in timings]
    measured = summary([{**step, "end": end} for step, end in zip(found, entries, strict=True)], watch)
    return {**measured, PROCESSORS: per_step(*used, steps - WARM_UP)}


def per_step(before: Counter[str], after: Counter[str], steps: int) -> dict[str, float]:
    """Processor seconds of a step by kind of process, from what each had used before and after some steps."""
    return {kind: (total - before[kind]) / steps for kind, total in after.items()}


def summary(steps: list[dict[str, float]], watch: Watch) -> dict[str, Any]:
    """Medians of the steps after the warm-up, seconds to the end of the first one, memory."""
    median = {part: statistics.median(step[part] for step in steps[WARM_UP:]) for part in PARTS}
    return {
        **median,
        "rest": median["step"] - median["generation"] - median["update"],
        "to the first step": steps[0]["end"] - watch.begin,
        "GiB": watch.peak / 2**30,
        "all steps": sum(step["step"] for step in steps),
    }


def accuracy(rows: Path, model: Path, folder: Path) -> float:
    """AP of a model on the held-out scenes, all categories in one question."""
    folder.mkdir(parents=True)
    demo = Demo(folder, 1, overrides=(f"data.max_response_length={TOKENS}",), rows=rows, model=model)
    return measure(demo)["shapes_categories"]["AP"]


def rounds(folder: Path, count: int, steps: int) -> Iterator[dict[str, dict[str, Any]]]:
    """One result of each trainer per round."""
    prepare_shapes(folder / "data", 0)
    rows = folder / "data" / "rows"
    for index in range(count):
        out = {name: folder / f"{index}_{name}" for name in (OURS, *RIVALS)}
        for path in out.values():
            path.mkdir(parents=True)
        found = {OURS: ours(rows, out[OURS], steps)}
        for name in RIVALS:
            found[name] = rival(name, rows, out[name], steps, 0.0 if index else found[OURS]["all steps"])
        if not index:
            found[OURS]["AP"] = measures_of(Demo(out[OURS], steps, rows=rows), steps)["shapes_categories"]["AP"]
            for name in RIVALS:
                for kind in ("steps", "time"):
                    found[name][f"AP, same {kind}"] = accuracy(rows, out[name] / kind, out[name] / f"{kind}_measured")
        yield found


def main() -> None:
    """Run the benchmark and print the medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--write", action="store_true", help="write docs/benchmark_trainers.json")
    options = parser.parse_args()
    folder = ROOT / "build" / "bench_trainers"
    shutil.rmtree(folder, ignore_errors=True)
    made = []
    for found in rounds(folder, options.rounds, options.steps):
        made.append(found)
        print(json.dumps(found), flush=True)
    result = {
        "date": today(),
        "machine": hardware(),
        "steps": options.steps,
        "rounds": made,
    }
    print(json.dumps(medians(made), indent=1))
    if options.write:
        RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def medians(made: list[dict[str, dict[str, Any]]]) -> dict[str, dict[str, float]]:
    """The median over the rounds of each figure, by trainer; without the processor time by process."""
    names = {name: {key: None for found in made for key in found[name] if key != PROCESSORS} for name in made[0]}
    return {
        name: {key: statistics.median(found[name][key] for found in made if key in found[name]) for key in keys}
        for name, keys in names.items()
    }


if __name__ == "__main__":
    main()
