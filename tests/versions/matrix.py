"""`make versions`: the tests that touch verl, with every verl of our range, each in a fresh environment.

    python tests/versions/matrix.py [CELL ...] [--verl PATH] [--train] [--keep] [--write]

Without a CELL all of them are run, one after the other; a CELL may be the end of a name, as pinned-3.11. Each
environment lies in build/versions while it is in use and is then removed; uv's cache keeps the files. What came out
stays in build/versions/CELL.json.
"""

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from cells import PYTHONS, ROOT, Cell, cells, named, releases_in
from development import version_of, wheel_of
from environments import make_environment, versions_of
from versions_page import Result, table, write_page

from verl_vision_r1.supported import VERL

BUILD: Final = ROOT / "build" / "versions"
TESTS: Final = (
    *(
        "tests/plugin",
        "tests/recipes/test_recipes.py",
        "tests/recipes/test_matrix.py",
        "tests/preflight/config_check",
    ),
    *("tests/data/test_dataset.py", "tests/reward_manager", "tests/training", "tests/cpu/test_cpu.py"),
    "tests/docs/test_new_verl.py",
)
"""What uses verl: plugin, recipes, checks, samples, rewards, trainers, metrics, the CPU; its symbols and keys."""
LIMIT: Final = 1800
"""Seconds for the tests of one cell."""


def run_cell(cell: Cell, *, train: bool = False, keep: bool = False) -> Result:
    """Make a cell's environment, and see what works in it. What cannot be installed is a result too."""
    begin, folder = time.monotonic(), BUILD / cell.name
    result: Result = {"verl": cell.verl, "Python": cell.python, "set": cell.packages}
    try:
        versions = versions_of(cell)
        python = make_environment(cell, versions, folder)
        result |= {**versions, **tested(python), "doctor": doctored(python)}
        if train:
            result["trained"] = trained(python)
    except (ValueError, ChildProcessError, subprocess.TimeoutExpired) as error:
        result["error"] = str(error)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    return {**result, "seconds": round(time.monotonic() - begin), "on": today}


def tested(python: Path) -> Result:
    """How many tests passed, failed and were skipped, and the names of those that failed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [str(python), "-m", "pytest", "-q", "-m", "verl and not engine", "-p", "no:cacheprovider", *TESTS]
        done = _run([*command, f"--junitxml={report}"], LIMIT)
        if not report.is_file():
            raise ChildProcessError(f"pytest: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return counted(report.read_text(encoding="utf-8"))


def counted(report: str) -> Result:
    """What a report of pytest in JUnit's XML says."""
    cases = list(ElementTree.fromstring(report).iter("testcase"))
    wrong = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = sum(case.find("skipped") is not None for case in cases)
    passed = len(cases) - len(wrong) - skipped
    names = [f"{case.get('classname')}::{case.get('name')}" for case in wrong]
    return {"passed": passed, "failed": len(wrong), "skipped": skipped, "failures": names}


def doctored(python: Path) -> str:
    """What `vision-r1 doctor` finds wrong there; "ok" for nothing."""
    done = _run([str(python.parent / "vision-r1"), "doctor", "--no-ray", "--json"], 300)
    try:
        checks = json.loads(done.stdout)
    except json.JSONDecodeError:
        return f"no answer: {done.stderr.strip()[-300:]}"
    wrong = [f"{check['name']}: {check['found']}" for check in checks if check["state"] == "failed"]
    return "; ".join(wrong) or "ok"


def trained(python: Path) -> str:
    """Whether a tiny model takes three steps of verl's trainer there, on the CPU; "ok", or the end of the output."""
    with tempfile.TemporaryDirectory() as folder:
        command = [str(python.parent / "vision-r1"), "gpu-check", "--small", "--json", "--out", folder]
        done = _run(command, 900, VERL_PLATFORM="cpu")
    return "ok" if done.returncode == 0 else (done.stdout + done.stderr).strip()[-300:]


def _run(command: Sequence[str], seconds: float, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "HF_HUB_OFFLINE": "1", **environment}
    return subprocess.run(
        command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=seconds, check=False
    )


def results_so_far() -> list[Result]:
    """What came out of all cells that were run."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in BUILD.glob("*.json")]


def releases() -> list[str]:
    """The releases of verl in our range that the package index has."""
    command = [sys.executable, "-m", "pip", "index", "versions", "verl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"pip index versions verl: {done.stderr.strip()}")
    return releases_in(done.stdout, VERL)


def known_cells(verl: Path | None, pythons: Sequence[str]) -> list[Cell]:
    """The cells of the releases, or of a verl that is not released.

    Args:
        verl: A folder with its source, or a wheel.
        pythons: The Pythons to try.

    Raises:
        ValueError: The path is neither.
    """
    if verl is None:
        return cells(releases(), pythons)
    version = version_of(verl)
    return cells([version], pythons, wheel_of(verl, BUILD))


def main() -> int:
    """Run the cells that are named, or all; 1 if anything is wrong in one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="*", metavar="CELL", help="such as 0.9.1-newest-3.11; all without one")
    parser.add_argument("--verl", type=Path, metavar="PATH", help="a folder or wheel of a verl that is not released")
    parser.add_argument("--pythons", default=",".join(PYTHONS), help="which to try, comma-separated")
    parser.add_argument("--train", action="store_true", help="train a tiny model on the CPU in each")
    parser.add_argument("--keep", action="store_true", help="leave the environments in build/versions")
    parser.add_argument("--write", action="store_true", help="write the table into docs/development/versions.md")
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    try:
        chosen = named(options.cells, known_cells(options.verl, options.pythons.split(",")))
    except (ValueError, ChildProcessError) as error:
        parser.error(str(error))
    done = []
    for cell in chosen:
        print(f"{cell.name} ...", flush=True)
        done.append(run_cell(cell, train=options.train, keep=options.keep))
        (BUILD / f"{cell.name}.json").write_text(json.dumps(done[-1], indent=2) + "\n", encoding="utf-8")
        print(json.dumps(done[-1]), flush=True)
    print(table(done))
    if options.write:
        write_page(results_so_far())
    return int(any(is_wrong(result) for result in done))


def is_wrong(result: Result) -> bool:
    """Whether a cell is not as it should be: not installed, a test failed, the doctor found something, no training."""
    doctor, training = result.get("doctor"), result.get("trained", "ok")
    return "error" in result or bool(result.get("failed")) or doctor != "ok" or training != "ok"


if __name__ == "__main__":
    sys.exit(main())
