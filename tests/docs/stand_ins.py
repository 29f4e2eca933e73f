"""What pages expect to be there: data sets under made-up paths, and a trainer that only answers validation rows."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from prediction_lines import FRAME, exact, line, perturbed, write

from verl_vision_r1 import Target
from verl_vision_r1.data.readers.odinw import SETS_13
from verl_vision_r1.demo.shapes import write_shapes
from verl_vision_r1.frames import to_frame
from verl_vision_r1.rewards.refinement import OFF
from verl_vision_r1.rewards.scoring import score_completion
from verl_vision_r1.settings import Settings

ROOT = Path(__file__).parents[2]
PHOTOGRAPHS = ROOT.parent / "shared" / "data" / "coco128"
sys.path.append(str(ROOT / "tests" / "data" / "readers"))  # Their tests know how each published set is laid out.

SETS = ("coco", "odinw", "refcoco", "ReasonSeg", "v3det", "visual_genome", "flowers", "pets", "cars", "aircraft")
POINT_SETS = ("pixmo_points", "screenspot")
REFUSAL_SETS = ("grefcoco", "groundingme")
PLACES = {
    **{f"/data/{name}": f"sets/{name}" for name in (*SETS, *POINT_SETS, *REFUSAL_SETS)},
    "instances_val2017.json": "sets/coco/annotations/instances_val2017.json",
    "list.json": "category_list.json",
    "val.parquet": "asked/val.parquet",
    "AFTER": "validation/20.jsonl",
    "BEFORE": "validation/0.jsonl",
    "predictions.jsonl": "validation/20.jsonl",
}
"""Where the workspace has what a page names by a path of its reader's."""


def placed(word: str) -> str:
    """A word of a command with the workspace's path in the place of the reader's."""
    for theirs, ours in PLACES.items():
        if word == theirs or (theirs.startswith("/") and word.startswith(f"{theirs}/")):
            return ours + word[len(theirs) :]
    return word


def write_sets(folder: Path) -> None:
    """Write every data set of the table, and a COCO folder as a reader has one."""
    from test_classification import images
    from test_grefcoco import write as write_grefcoco
    from test_groundingme import write as write_groundingme
    from test_lisa import shape
    from test_lisa import write as write_lisa
    from test_odinw import GLIP
    from test_odinw import write as write_odinw
    from test_pixmo_points import ROW
    from test_pixmo_points import written as write_pixmo_points
    from test_screenspot import ENTRY
    from test_screenspot import written as write_screenspot
    from test_v3det import write as write_v3det
    from test_visual_genome import write as write_visual_genome

    _write_coco(folder / "coco", "instances_train2017", "instances_val2017")
    _write_coco(folder.parent / "my_data", "instances_train", "instances_val")
    for name in ("Raccoon", "pothole"):
        for part in ("train", "valid"):
            write_odinw(folder / "odinw" / SETS_13[name] / part / GLIP, name)
    for part in ("train", "val", "test"):
        (folder / "ReasonSeg" / part).mkdir(parents=True)
        write_lisa(folder / "part", shape())
        for file in (folder / "part" / "train").iterdir():
            file.rename(folder / "ReasonSeg" / part / file.name)
    shutil.rmtree(folder / "part")
    for name in ("flowers", "pets", "cars", "aircraft"):
        images(folder / name, *(f"{part}/{kind}/0.jpg" for part in ("train", "test") for kind in ("this", "that")))
    write_v3det(folder / "v3det")
    write_visual_genome(_made(folder / "visual_genome"))
    _write_refcoco(_made(folder / "refcoco"))
    write_grefcoco(_made(folder / "grefcoco"))
    write_groundingme(folder / "groundingme")
    points = write_pixmo_points(_made(folder / "pixmo_points"), ROW, name="train.jsonl")
    other = {**ROW, "image_url": "https://example.com/other.jpg", "image_sha256": None}
    write_pixmo_points(points, other, name="val.jsonl", image="other.jpg")
    write_screenspot(_made(folder / "screenspot"), ENTRY)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _write_refcoco(folder: Path) -> None:
    from test_refcoco import reference
    from test_refcoco import write as write_refcoco

    parts = (("train", 7, 0), ("val", 7, 1), ("testA", 8, 2), ("testB", 8, 2))

    def every_part(references: list[Any], instances: Any) -> None:
        references[:] = [
            {**reference(number, image, part, "the left one"), "ann_id": 100 + box}
            for number, (part, image, box) in enumerate(parts)
        ]

    write_refcoco(folder, every_part)


def _write_coco(folder: Path, *names: str) -> None:
    """Real photographs where they are at hand, otherwise scenes of shapes: sixteen to train on and eight others."""
    source = PHOTOGRAPHS if PHOTOGRAPHS.is_dir() else write_shapes(folder.parent / "shapes", "train", 24)
    (annotations,) = (source / "annotations").glob("*.json")
    document = json.loads(annotations.read_text(encoding="utf-8"))
    annotated = {entry["image_id"] for entry in document["annotations"]}
    chosen = [entry for entry in document["images"] if entry["id"] in annotated][:24]
    for made in ("annotations", "images"):
        (folder / made).mkdir(parents=True)
    for name, entries in zip(names, (chosen[:16], chosen[16:]), strict=True):
        for entry in entries:
            (found,) = source.glob(f"images/**/{Path(entry['file_name']).name}")
            shutil.copy(found, folder / "images" / found.name)
        ids = {entry["id"] for entry in entries}
        part = {"images": entries, "annotations": [box for box in document["annotations"] if box["image_id"] in ids]}
        (folder / "annotations" / f"{name}.json").write_text(json.dumps({**document, **part}))


def write_answers(config: Any) -> list[Path]:
    """The dumps that a run of this configuration leaves: its validation rows answered, better with every step."""
    from verl_vision_r1.training.run_file import write_run_file

    folder = Path(config.trainer.validation_data_dir)
    write_run_file(folder, config)
    steps = range(1) if config.trainer.val_only else range(0, 101, config.trainer.test_freq)
    return [write(folder / f"{step}.jsonl", _lines(config, step)) for step in steps]


def _lines(config: Any, step: int) -> Iterator[dict[str, Any]]:
    from omegaconf import OmegaConf

    settings = Settings.from_config(OmegaConf.to_container(config.vision_r1, resolve=True))  # type: ignore[arg-type]
    files = config.data.val_files
    paths = [files] if isinstance(files, str) else files
    for row in (row for path in paths for row in pq.read_table(path).to_pylist()):
        target = Target.from_json(row["reward_model"]["ground_truth"])
        rules = settings.preset.rules_of(target)
        text = _answer(target, step, tagged="<answer>" in settings.prompts.templates["expression"])
        scores = score_completion(text, target, rules, FRAME, OFF)
        facts = {name: row["extra_info"][name] for name in ("image_id", "question", "subject")}
        place = {"data_source": row["data_source"], "image": row["images"][0]["image"]}
        scored = {**scores.as_dict(settings.preset.criteria), "step": step, "box_log_probs": "[]"}
        yield {**line(target, text, **facts, **place), **scored}


def _answer(target: Target, step: int, *, tagged: bool) -> str:
    if target.task in ("classification", "counting"):
        return f"<think></think><answer>{target.labels[0] if target.labels else target.count}</answer>"
    if not tagged:
        return perturbed(step, jitter=0.3 - step / 500)(target) if target.categories else exact(target)
    boxes = to_frame(target.boxes, (target.width, target.height), FRAME).round().astype(int).tolist()
    if target.task == "grounding":
        content = "({},{}),({},{})".format(*boxes[0])
    else:
        content = str([{"Position": box, "Confidence": 0.9} for box in boxes]) if boxes else "No Objects"
    return f"<think></think><answer>{content}</answer>"
