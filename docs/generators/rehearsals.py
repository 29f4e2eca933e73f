"""The generated part of docs/guides/rehearse.md: what the rehearsal of each training recipe has found.

`make rehearse` takes the steps, which is too long for a test, and keeps the results in docs/rehearsals.json.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from generators.markdown import DOCS, between_marks, table
from verl_vision_r1.preflight.estimate.figure import GIB
from verl_vision_r1.preflight.rehearse.memory import KINDS

RESULTS: Final = DOCS / "rehearsals.json"
RECIPES: Final = Path(__file__).parents[2] / "verl_vision_r1" / "config" / "recipe"
HEADING: Final = ("recipe", "GPUs", "verdict", "peak per GPU", *KINDS, "transfer", "seconds")


def page(written: str) -> str:
    """The page with the table of the results."""
    return between_marks(written, table(HEADING, rows()), "guides/rehearse.md")


def rows() -> Iterator[tuple[str, ...]]:
    """A line per recipe."""
    for name, result in sorted(json.loads(RESULTS.read_text(encoding="utf-8")).items()):
        figures = result["training"]
        peak = sum(figures.values())
        kinds = (f"{figures[kind] / GIB:.1f}" if figures else "" for kind in KINDS)
        shown = f"{peak / GIB:.1f} GiB" if figures else "not rehearsed"
        yield (
            f"`{name}`",
            str(result["gpus"]),
            result["verdict"],
            shown,
            *kinds,
            result["sent"],
            str(result["seconds"]),
        )


def trainings() -> list[str]:
    """The names of the training recipes for GPUs."""
    names = sorted(path.stem for path in RECIPES.glob("*.yaml"))
    return [name for name in names if not name.startswith("eval_") and "_sft_" not in name and name != "vision_r1_cpu"]


def rehearse(name: str) -> dict[str, Any]:
    """Rehearse a recipe, and keep what the table shows."""
    start = time.monotonic()
    command = [str(Path(sys.executable).with_name("vision-r1")), "rehearse", f"+recipe={name}", "--json"]
    command += ["--gpu", "rtx4090"] if name.endswith("_24gb") else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return {**kept(json.loads(done.stdout)), "seconds": round(time.monotonic() - start), "memory": _most_memory()}


def kept(result: Mapping[str, Any]) -> dict[str, Any]:
    """What the table shows of a rehearsal's JSON: the phase with the highest peak, by kind."""
    steps = result["steps"]
    figures: Mapping[str, float] = steps.get("training", {}).get("figures", {})
    phases = {key.partition(": ")[0] for key in figures if ": " in key}
    peaks = [{kind: figures.get(f"{phase}: {kind}", 0.0) for kind in KINDS} for phase in sorted(phases)]
    return {
        "verdict": result["verdict"],
        "gpus": int(steps.get("placement", {}).get("figures", {}).get("gpus", 0)),
        "training": max(peaks, key=lambda peak: sum(peak.values()), default={}),
        "sent": steps.get("weight transfer", {}).get("found", ""),
    }


def _most_memory() -> int:
    """The highest resident memory of any process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def write(names: Sequence[str]) -> None:
    """Rehearse recipes, or all, and keep each result as soon as it is there."""
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name in names or trainings():
        results[name] = rehearse(name)
        print(f"{name}: {results[name]['verdict']}", flush=True)
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
