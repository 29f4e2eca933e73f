"""From the command to the first trained step with empty caches, of our trainer, TRL and the floor.

    python tests/speed/bench_cold_start.py [--rounds 3] [--write]   # --write: docs/benchmark_cold_start.json

Before each command Linux forgets the files it holds in memory, which needs root, and the command gets empty folders
for bytecode and for the caches of vLLM and torch. The environment of the rivals is that of bench_trainers.py.
"""

import argparse
import json
import os
import shutil
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench_trainers import OURS, RIVALS, ROOT, WARM_UP, ours, rival

from verl_vision_r1.demo.ablation_results import hardware, today
from verl_vision_r1.demo.run import prepare_shapes

RESULTS: Final = ROOT / "docs" / "benchmark_cold_start.json"
MEMORY: Final = Path("/proc/sys/vm/drop_caches")
CACHES: Final = ("PYTHONPYCACHEPREFIX", "XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR")
"""Variables that name a folder of a cache."""


def forget(folder: Path) -> None:
    """Empty the memory's copies of files, and name empty folders for the caches."""
    os.sync()
    MEMORY.write_text("3", encoding="utf-8")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for name in CACHES:
        os.environ[name] = str(folder / name)


def rounds(folder: Path, count: int) -> Iterator[dict[str, float]]:
    """Seconds to the end of the first trained step, by trainer, once per round."""
    prepare_shapes(folder / "data", 0)
    rows = folder / "data" / "rows"
    for index in range(count):
        found = {}
        for name in (OURS, *RIVALS):
            out = folder / f"{index}_{name}"
            out.mkdir()
            forget(out / "caches")
            made = rival(name, rows, out, WARM_UP + 1, 0.0) if name in RIVALS else ours(rows, out, WARM_UP + 1)
            found[name] = made["to the first step"]
        yield found


def main() -> None:
    """Run the benchmark and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write docs/benchmark_cold_start.json")
    options = parser.parse_args()
    if not os.access(MEMORY, os.W_OK):
        raise SystemExit(f"expected the right to write {MEMORY}, which root has; run this as root")
    folder = ROOT / "build" / "bench_cold_start"
    shutil.rmtree(folder, ignore_errors=True)
    made = list(rounds(folder, options.rounds))
    result = {"date": today(), "machine": hardware(), "rounds": made}
    print(json.dumps({name: statistics.median(found[name] for found in made) for name in made[0]}, indent=1))
    if options.write:
        RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
