"""Evaluate predictions with known errors: half of the objects, each with an IoU of 0.82, and no false positives.

So recall is 0.5 at the seven thresholds up to 0.8 and 0 at the three above, precision is 1, and COCO AP is 7/10 of the
51 of its 101 recall points that 0.5 reaches.
"""

import json
import tempfile
from pathlib import Path

from verl_vision_r1 import Target
from verl_vision_r1.data.parquet import make_row, write_rows
from verl_vision_r1.evaluation.evaluate import evaluate

SIDE, IOU = 100, 0.82
OBJECTS = [[0, 0, 40, 40], [50, 50, 90, 90]]


def main() -> None:
    target = Target(OBJECTS, ["cat", "cat"], width=SIDE, height=SIDE, categories=["cat"])
    box = [10 * OBJECTS[0][0], 0, 10 * OBJECTS[0][2] * IOU, 10 * OBJECTS[0][3]]  # In the frame 1000x1000.
    rows, lines = [], []
    for index in range(20):
        facts = {"data_source": "cats/detection", "image_id": str(index), "question": "categories"}
        rows.append(
            make_row(**facts, image=Path(f"{index}.jpg"), target=target, prompt="Where?", split="val", index=index)
        )
        answer = {"input": "Where?", "output": json.dumps([{"bbox_2d": box, "label": "cat"}]), "gts": target.to_json()}
        lines.append({**facts, **answer, "subject": "", "image": "", "frame": "1000x1000"})
    with tempfile.TemporaryDirectory() as folder:
        annotations, dump = Path(folder, "val.parquet"), Path(folder, "0.jsonl")
        write_rows(annotations, rows)
        dump.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        values = evaluate(dump, annotations, "plain").sets[0].values
    expected = {
        "AP": 0.7 * 51 / 101,
        "F1_50": 2 * 0.5 / 1.5,
        "precision_50": 1.0,
        "recall_50": 0.5,
        "count_error": 1.0,
    }
    for name, value in expected.items():
        print(f"{name:13} expected {value:.4f}, measured {values[name]:.4f}")


if __name__ == "__main__":
    main()
