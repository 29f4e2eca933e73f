"""Predictions for folders and COCO files: COCO results, predictions files, drawings, and images that are bad."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from stand_in_engine import answering

from verl_vision_r1.demo.run import TAUGHT_MODEL
from verl_vision_r1.demo.shapes import NAMES, SIDE, write_shapes
from verl_vision_r1.evaluation.evaluate import evaluate
from verl_vision_r1.evaluation.measure import Effort
from verl_vision_r1.predict import Detector, Prediction
from verl_vision_r1.predict.images import Item, annotated_items, items_of, readable
from verl_vision_r1.predict.run import Outcome, Request, predict


def perturbed(number: int) -> str:
    """A completion that differs from image to image: two boxes, one of a name that was not asked for."""
    generator = np.random.default_rng(number)
    corners = np.sort(generator.integers(0, SIDE, (3, 2, 2)), axis=1).reshape(-1, 4).tolist()
    labels = [str(generator.choice(NAMES)), str(generator.choice(NAMES)), "pink circle"]
    return json.dumps([{"bbox_2d": box, "label": label} for box, label in zip(corners, labels, strict=True)])


def answered(set_folder: Path) -> list[str]:
    """Completions for every scene of a set: the true boxes of some, and random ones of others."""
    document = json.loads((set_folder / "annotations" / "instances_val.json").read_text())
    names = {entry["id"]: entry["name"] for entry in document["categories"]}
    texts = []
    for image in document["images"]:
        boxes = [entry for entry in document["annotations"] if entry["image_id"] == image["id"]]
        corners = [(*e["bbox"][:2], e["bbox"][0] + e["bbox"][2], e["bbox"][1] + e["bbox"][3]) for e in boxes]
        labels = [names[entry["category_id"]] for entry in boxes]
        true = [{"bbox_2d": list(box), "label": label} for box, label in zip(corners, labels, strict=True)]
        texts.append(json.dumps(true) if image["id"] % 3 else perturbed(image["id"]))
    return texts


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("set"), "val", 9)


def run(
    request: Request, texts: list[str] | None = None, **options: Any
) -> tuple[Outcome, list[tuple[Item, Prediction]]]:
    """Predict with these completions, in turn."""
    found: list[tuple[Item, Prediction]] = []
    left: Iterator[str] = iter(texts or [])
    with answering(lambda *_: next(left, "[]")):
        outcome = predict(request, Detector(TAUGHT_MODEL, **options), lambda *both: found.append(both))
    return outcome, found


def test_evaluate_and_cocos_own_tools_agree_on_what_is_written(shapes: Path, tmp_path: Path) -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    annotations = shapes / "annotations" / "instances_val.json"
    written = {"coco": tmp_path / "results.json", "predictions": tmp_path / "0.jsonl"}
    request = Request(shapes / "images" / "val", annotations=annotations, **written)
    outcome, _ = run(request, answered(shapes))
    assert (outcome.images, outcome.unparsed, outcome.unknown) == (9, 0, 3)

    truth = COCO(str(annotations))
    evaluator = COCOeval(truth, truth.loadRes(str(written["coco"])), "bbox")
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    (measured,) = evaluate(written["predictions"], annotations, "plain", effort=Effort(permutations=0)).sets
    assert measured.coverage.complete
    assert measured.reading.unknown_labels == 3
    assert 0.3 < measured.values["AP"] < 1
    assert measured.values["AP"] == pytest.approx(evaluator.stats[0], abs=1e-6)
    assert measured.values["AR100"] == pytest.approx(evaluator.stats[8], abs=1e-6)


def test_with_annotations_the_ids_are_theirs(shapes: Path, tmp_path: Path) -> None:
    annotations = shapes / "annotations" / "instances_val.json"
    request = Request(shapes / "images" / "val", ("green circle",), annotations, coco=tmp_path / "results.json")
    text = '[{"bbox_2d": [10, 20, 40, 60], "label": "Green circle"}]'
    run(request, ["[]", text])
    expected = {"image_id": 1, "category_id": NAMES.index("green circle"), "bbox": [10, 20, 30, 40], "score": 1}
    assert json.loads((tmp_path / "results.json").read_text()) == [expected]


def test_without_annotations_the_file_has_its_own_images_and_categories(shapes: Path, tmp_path: Path) -> None:
    from pycocotools.coco import COCO

    request = Request(shapes / "images", ("cat", "dog"), coco=tmp_path / "made" / "results.json")
    outcome, _ = run(request, ["[]", '[{"bbox_2d": [10, 20, 40, 60], "label": "dog"}]'])
    assert outcome.written == [str(tmp_path / "made" / "results.json")]
    read = COCO(outcome.written[0])
    assert [entry["name"] for entry in read.loadCats(read.getCatIds())] == ["cat", "dog"]
    assert [entry["file_name"] for entry in read.loadImgs(read.getImgIds())][:2] == ["val/0000.png", "val/0001.png"]
    (box,) = read.loadAnns(read.getAnnIds())
    assert (box["image_id"], box["category_id"], box["bbox"], box["score"]) == (2, 2, [10, 20, 30, 40], 1)
    assert (box["area"], box["iscrowd"], read.loadImgs(2)[0]["width"]) == (1200, 0, SIDE)


def test_an_image_annotated_as_stored_stays_as_stored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (300, 200)).save(tmp_path / "a.jpg", exif=exif)
    document: dict[str, Any] = {"categories": [{"id": 5, "name": "cat"}]}
    for size, opened in (((300, 200), (300, 200)), ((200, 300), (200, 300)), ((20, 30), None)):
        document["images"] = [{"id": 7, "file_name": "a.jpg", "width": size[0], "height": size[1]}]
        box = {"id": 1, "image_id": 7, "category_id": 5, "bbox": [1, 1, 9, 9], "area": 81, "iscrowd": 0}
        (tmp_path / "a.json").write_text(json.dumps({**document, "annotations": [box]}))
        ((item,), categories) = annotated_items(tmp_path, tmp_path / "a.json", pytest.fail)
        assert (item.key, item.image_id, categories) == (7, "a", {"cat": 5})
        if opened is None:
            with pytest.raises(ValueError, match=r"a\.jpg: expected \(20, 30\) pixels as annotated, got \(200, 300\)"):
                item.open()
        else:
            assert item.open().size == opened


def test_of_annotations_one_image_can_be_asked_for(shapes: Path, tmp_path: Path) -> None:
    annotations, image = shapes / "annotations" / "instances_val.json", shapes / "images" / "val" / "0004.png"
    ((item,), _) = annotated_items(image, annotations, pytest.fail)
    assert (item.path, item.key, item.name) == (image, 4, "0004.png")
    image.with_name("0004.png").rename(tmp_path / "other.png")
    (tmp_path / "other.png").rename(image)
    other = tmp_path / "9.png"
    Image.new("RGB", (SIDE, SIDE)).save(other)
    with pytest.raises(ValueError, match=f"expected a file that lists images of {other}, got 9 others"):
        annotated_items(other, annotations, pytest.fail)


def test_drawings_lie_as_the_images_do(shapes: Path, tmp_path: Path) -> None:
    request = Request(shapes / "images", ("cat",), draw=tmp_path / "drawn")
    run(request, ['[{"bbox_2d": [35, 35, 105, 105], "label": "cat"}]'])
    drawn = sorted(path.relative_to(tmp_path / "drawn").as_posix() for path in (tmp_path / "drawn").rglob("*.png"))
    assert drawn == [f"val/{number:04d}.png" for number in range(9)]
    before = Image.open(shapes / "images" / "val" / "0000.png").convert("RGB").resize((640, 640))
    changed = np.argwhere(
        (np.array(Image.open(tmp_path / "drawn" / "val" / "0000.png")) != np.array(before)).any(axis=2)
    )
    ((top, left), (bottom, right)) = changed.min(axis=0), changed.max(axis=0)
    scale = 640 / SIDE
    assert (left, right, bottom) == pytest.approx((35 * scale, 105 * scale, 105 * scale), abs=2)
    assert 35 * scale - 20 < top < 35 * scale  # The label is above the box.


def test_a_bad_image_is_named_or_skipped(shapes: Path, tmp_path: Path) -> None:
    Image.new("RGB", (140, 140)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"b\.png: expected an image, got a file that does not decode"):
        run(Request(tmp_path, ("cat",)))
    outcome, found = run(Request(tmp_path, ("cat",), skip_bad=True))
    assert [item.name for item, _ in found] == ["a.png"]
    assert (outcome.images, len(outcome.skipped)) == (1, 1)
    assert outcome.skipped[0].startswith(f"{tmp_path / 'b.png'}: expected an image")
    (tmp_path / "a.png").unlink()
    with pytest.raises(ValueError, match="expected at least one image that can be used, got none"):
        run(Request(tmp_path, ("cat",), skip_bad=True))


def test_an_image_that_the_annotations_list_and_the_folder_lacks_is_bad_too(shapes: Path, tmp_path: Path) -> None:
    annotations, folder = shapes / "annotations" / "instances_val.json", tmp_path / "images"
    folder.mkdir()
    for path in sorted((shapes / "images" / "val").iterdir())[1:]:
        (folder / path.name).write_bytes(path.read_bytes())
    with pytest.raises((ValueError, OSError), match=r"0000\.png"):
        run(Request(folder, annotations=annotations))
    outcome, found = run(Request(folder, annotations=annotations, skip_bad=True))
    assert (len(found), len(outcome.skipped)) == (8, 1)


def test_no_image_at_all(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ValueError, match=r"expected a folder with images \(\.bmp, .*\), got notes\.txt"):
        items_of(tmp_path)
    with pytest.raises(FileNotFoundError, match="expected a file, got no such file"):
        items_of(tmp_path / "nothing.png")


def test_hidden_files_and_other_files_are_passed_over(tmp_path: Path) -> None:
    for name in ("b.JPG", ".a.png", "c.txt", "d/e.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [item.name for item in items_of(tmp_path)] == ["b.JPG", "d/e.webp"]
    problems = Counter(type(problem).__name__ for problem in _problems(items_of(tmp_path)))
    assert problems == {"ValueError": 2}


def _problems(items: list[Item]) -> list[Exception]:
    found: list[Exception] = []
    assert readable(items, found.append) == []
    return found


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "--find: expected names, or --annotations"),
        ({"names": ("cat",), "predictions": Path("0.jsonl")}, "--predictions: expected --annotations"),
        ({"names": ("cat",), "draw": Path("images")}, "--draw: expected another place than the images"),
    ],
)
def test_wrong_requests_raise_at_once(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="^" + message):
        Request(Path("images"), **fields)


def test_what_does_not_fit_the_question_raises(shapes: Path, tmp_path: Path) -> None:
    image = shapes / "images" / "val" / "0000.png"
    with pytest.raises(ValueError, match=r"^--draw: expected a file that ends in \.bmp"):
        Request(image, ("cat",), draw=tmp_path / "drawn")
    with pytest.raises(ValueError, match=r"^--ask count: expected no --draw, --coco or --predictions"):
        run(Request(image, ("cat",), coco=tmp_path / "a.json"), ask="count")
    annotations = shapes / "annotations" / "instances_val.json"
    with pytest.raises(
        ValueError, match=r"^--find: expected categories of the annotations, red circle, .*, got 'cat'"
    ):
        run(Request(shapes / "images" / "val", ("cat",), annotations))
