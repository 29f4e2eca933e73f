"""Writes `rewards/box_statistics.json`, the boxes that policies are simulated on.

    python tests/rewards/make_box_statistics.py instances.json

One entry for each category of each image that has boxes of it: `[width, height, [[x1, y1, x2, y2], ...]]`, without
names and without images. Crowds are left out. Made from the annotations of 128 images of COCO train2017 (CC BY 4.0).
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

import verl_vision_r1

TABLE = Path(verl_vision_r1.__file__).parent / "rewards" / "box_statistics.json"


def entries(annotations: Path) -> list[list[object]]:
    """The table of an annotation file."""
    content = json.loads(annotations.read_text(encoding="utf-8"))
    sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
    boxes: dict[tuple[int, int], list[list[int]]] = defaultdict(list)
    for item in content["annotations"]:
        x, y, width, height = item["bbox"]
        box = [round(x), round(y), round(x + width), round(y + height)]
        if not item.get("iscrowd") and box[0] < box[2] and box[1] < box[3]:
            boxes[item["image_id"], item["category_id"]].append(box)
    return [[*sizes[image], found] for (image, _), found in sorted(boxes.items())]


if __name__ == "__main__":
    table = entries(Path(sys.argv[1]))
    TABLE.write_text("[\n" + ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in table) + "\n]\n")
    print(f"{TABLE}: {len(table)} prompts")
