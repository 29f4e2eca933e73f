"""The files of a finished run of the demo."""

import json
from pathlib import Path

import prediction_lines
from PIL import Image

from verl_vision_r1 import Target
from verl_vision_r1.data.parquet import make_row, write_rows
from verl_vision_r1.demo.plan import Demo


def finished(folder: Path) -> Demo:
    """Write the files of a run of two steps, the second validation better than the first."""
    demo, rows = Demo(folder, steps=2), []
    for index in range(8):
        image = folder / f"{index}.png"
        Image.new("RGB", (50, 50), "white").save(image)
        target = Target([[5, 5, 25, 25]], ["red circle"], width=50, height=50, categories=["red circle"])
        facts = {"image_id": str(index), "split": "val", "index": index, "question": "categories"}
        rows.append(make_row(data_source="shapes/detection", image=image, target=target, prompt="?", **facts))
    demo.rows.mkdir()
    (folder / "validation").mkdir()
    write_rows(demo.rows / "val.parquet", rows)
    for step, fraction in ((0, 0.0), (2, 1.0)):
        answer = prediction_lines.narrowed(fraction, 0.9)
        prediction_lines.write(folder / "validation" / f"{step}.jsonl", prediction_lines.lines_of(rows, answer))
    entries = [
        {"step": 0, "data": {"val-aux/shapes/detection/total/mean@1": 0.1}},
        *(
            {
                "step": step,
                "data": {f"critic/vision_r1/shapes/detection/{name}/mean": step / 4 for name in ("recall", "total")},
            }
            for step in (1, 2)
        ),
    ]
    demo.metrics.write_text("\n".join(json.dumps(entry) for entry in entries))
    return demo
