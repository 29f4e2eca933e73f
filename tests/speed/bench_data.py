"""How long 50,000 rows take to prepare and to open, and what travels to the workers, beside verl's own dataset class.

    python tests/speed/bench_data.py  # or: make bench-data; writes docs/benchmark_data.json and a table

Opening is measured in a fresh process, after the imports; memory is the greatest size of that whole process.
"""

import json
import os
import pickle
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"
RESULTS, PAGE = DOCS / "benchmark_data.json", DOCS / "guides" / "data.md"
HEADING = "## Measured"
IMAGES, CATEGORIES = 50_000, 80


def write_annotations(folder: Path, images: int) -> None:
    """A COCO folder with as many categories and about as many boxes an image as COCO; its image files are empty."""
    generator = random.Random(0)
    for name in ("annotations", "images"):
        (folder / name).mkdir(parents=True)
    entries, annotations = [], []
    for index in range(images):
        name = f"{index:012d}.jpg"
        (folder / "images" / name).touch()
        entries.append({"id": index, "file_name": name, "width": 640, "height": 480})
        for _ in range(generator.choice((1, 2, 3, 5, 8, 12, 20))):
            x, y = generator.uniform(0, 600), generator.uniform(0, 440)
            box = [round(side, 2) for side in (x, y, generator.uniform(4, 635 - x), generator.uniform(4, 475 - y))]
            category = generator.randrange(CATEGORIES)
            annotations.append({"id": len(annotations), "image_id": index, "category_id": category, "bbox": box})
    categories = [{"id": index, "name": f"category {index}"} for index in range(CATEGORIES)]
    document = {"images": entries, "annotations": annotations, "categories": categories}
    (folder / "annotations" / "instances.json").write_text(json.dumps(document))


def prepare_report(source: Path, out: Path) -> dict[str, float]:
    """Seconds from annotations to rows."""
    from verl_vision_r1.data.options import Source, Writing
    from verl_vision_r1.data.prepare import prepare

    start = time.perf_counter()
    prepared = prepare([Source("coco", str(source))], out, Writing(image_check="none", val_fraction=0.0001))
    return {"rows": sum(prepared.samples.values()), "seconds": time.perf_counter() - start}


def opened(class_name: str, rows: Path, model: Path) -> tuple[Any, dict[str, float]]:
    """A dataset, with the seconds that it took and the process's size in MiB before and at most."""
    from omegaconf import OmegaConf
    from transformers import AutoProcessor
    from verl.utils.dataset.rl_dataset import RLHFDataset

    from verl_vision_r1.data.dataset import VisionR1Dataset

    kind = {"ours": VisionR1Dataset, "stock": RLHFDataset}[class_name]
    processor = AutoProcessor.from_pretrained(model)
    # verl's own class would decode every image for the filter.
    config = {
        "max_prompt_length": 2048,
        "filter_overlong_prompts": class_name == "ours",
        "cache_dir": str(rows.parent),
    }
    before, start = size(), time.perf_counter()
    dataset = kind([str(rows)], processor.tokenizer, OmegaConf.create(config), processor)
    return dataset, {"seconds": time.perf_counter() - start, "MiB before": before, "MiB": size()}


def size() -> float:
    """The process's greatest size so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_a_fresh_process(call: str, **environment: str) -> Any:
    """What a call of this module prints as JSON, in a process of its own."""
    code = f"import json, bench_data as b; from pathlib import Path; print(json.dumps({call}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def item_report(rows: Path, model: Path, count: int = 300) -> dict[str, dict[str, float]]:
    """Of ours and verl's own class: microseconds to get a row, and bytes of its fields, each sent by itself."""
    report = {}
    for name in ("ours", "stock"):
        dataset, _ = opened(name, rows, model)
        items = range(min(count, len(dataset)))
        sent = [sum(len(pickle.dumps(value)) for value in dataset[item].values()) for item in items]
        report[name] = {"bytes": statistics.fmean(sent), "us": microseconds(dataset.__getitem__, items)}
    return report


def microseconds(call: Callable[[int], Any], items: range) -> float:
    """Of one call: the median of several passes."""
    taken = []
    for _ in range(5):
        start = time.perf_counter()
        for item in items:
            call(item)
        taken.append((time.perf_counter() - start) * 1e6 / len(items))
    return statistics.median(taken)


def photographs(folder: Path) -> Path:
    """Photograph-like images: noise, so that a JPEG of them is as large as one of the real world."""
    import numpy as np
    from PIL import Image

    write_annotations(folder, 64)
    generator = np.random.default_rng(0)
    for path in (folder / "images").iterdir():
        coarse = Image.fromarray(generator.integers(0, 256, (60, 80, 3), dtype=np.uint8)).resize((640, 480))
        coarse.save(path, quality=90)
    return folder


def rendered(results: dict[str, Any]) -> str:
    """The results as the last section of the page."""
    made, opening, items = results["prepare"], results["open"], results["items"]
    lines = [
        *(HEADING, "", f"{results['machine']}. `make bench-data` measures anew and writes this section.", ""),
        *("| what | measured |", "|---|---:|"),
        f"| {made['rows']:,} rows prepared from COCO annotations, images not looked at | {made['seconds']:.0f} s |",
        f"| the same opened by the dataset class, all rows checked and measured | {opening['seconds']:.1f} s |",
        f"| memory of that process; {opening['MiB before']:.0f} MiB of it verl's imports | {opening['MiB']:.0f} MiB |",
    ]
    for kind, values in items.items():
        ours, stock = values["ours"], values["stock"]
        ratio = ours["bytes"] / stock["bytes"]
        lines += [
            f"| {kind}: bytes of a row to the workers, verl's own class {stock['bytes']:,.0f} |"
            f" {ours['bytes']:,.0f} ({ratio:.2f}) |",
            f"| {kind}: time to get a row, verl's own class {stock['us']:.0f} us | {ours['us']:.0f} us |",
        ]
    return "\n".join(lines) + "\n"


def measure(folder: Path) -> dict[str, Any]:
    """All of it."""
    from verl_vision_r1.data.options import Source, Writing
    from verl_vision_r1.data.prepare import prepare
    from verl_vision_r1.demo.teach import read_rows, texts_of
    from verl_vision_r1.demo.tiny_model import build_tiny_model

    write_annotations(folder / "many", IMAGES)
    made = prepare_report(folder / "many", folder / "rows")
    few = Source("coco", str(photographs(folder / "few")))
    for name, embed in (("paths", False), ("images", True)):
        prepare([few], folder / name, Writing(embed=embed))
    build_tiny_model(folder / "model", texts_of(read_rows(folder / "paths" / "train.parquet")))
    environment = {"HF_HOME": str(folder / "cache")}
    where = f"Path({str(folder / 'rows' / 'train.parquet')!r}), Path({str(folder / 'model')!r})"
    items = {
        kind: in_a_fresh_process(f"b.item_report(Path({str(rows)!r}), Path({str(folder / 'model')!r}))", **environment)
        for kind, rows in (
            ("rows that name their image", folder / "paths" / "train.parquet"),
            ("rows that hold their image", folder / "images" / "train.parquet"),
        )
    }
    opening = in_a_fresh_process(f"b.opened('ours', {where})[1]", **environment)
    machine = f"{platform.machine()}, {os.cpu_count()} cores; Python {platform.python_version()}"
    return {"machine": machine, "prepare": made, "open": opening, "items": items}


def main() -> None:
    """Measure, write the results and the page, and print them."""
    with tempfile.TemporaryDirectory() as folder:
        results = measure(Path(folder))
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8").partition(HEADING)[0] + rendered(results)
    PAGE.write_text(page, encoding="utf-8")
    print(rendered(results))


if __name__ == "__main__":
    main()
