"""Samples of VLM-R1, EasyR1, ms-swift and ODVG become ours: boxes in pixels, the question as the prompt."""

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from small_sets import HEIGHT, WIDTH, all_of, rows, taken, write_image, write_images, write_json, write_lines

from verl_vision_r1 import Target
from verl_vision_r1.data.readers.solutions import target_of
from verl_vision_r1.data.readers.sources import SOURCES

BOX = [1.5, 2.0, 11.0, 22.0]
QUESTION = "Please provide the bounding box coordinate of the region this sentence describes: the red car."


def first(out: Path) -> tuple[dict[str, Any], Target]:
    row = rows(out)[0]
    return row, Target.from_json(row["reward_model"]["ground_truth"])


def vlm_r1(image: Any, question: str, answer: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"id": 1, "image": image, "conversations": turns}


@pytest.mark.parametrize(
    ("answer", "task", "boxes", "labels", "count"),
    [
        (BOX, "grounding", [BOX], ("the red car",), None),
        (str(BOX), "grounding", [BOX], ("the red car",), None),
        (f"<answer>{BOX}</answer>", "grounding", [BOX], ("the red car",), None),
        (f"[{BOX}, [1, 1, 9, 9]]", "grounding", [BOX, [1, 1, 9, 9]], ("the red car",) * 2, None),
        (f'{{"bbox_2d": {BOX}}}', "grounding", [BOX], ("the red car",), None),
        (f'```json\n[{{"bbox_2d": {BOX}, "label": "cat"}}]\n```', "detection", [BOX], ("cat",), None),
        ("[]", "detection", [], (), None),
        ("3", "counting", [], (), 3),
        (3.0, "counting", [], (), 3),
        ("<think>two and one</think><answer>3</answer>", "counting", [], (), 3),
        ("siamese", "classification", [], ("siamese",), None),
    ],
)
def test_a_reference_answer_becomes_ground_truth(
    tmp_path: Path, answer: Any, task: str, boxes: Any, labels: tuple[str, ...], count: int | None
) -> None:
    write_lines(tmp_path / "set" / "refcoco_train.jsonl", vlm_r1("a.jpg", f"<image>{QUESTION}", answer))
    write_image(tmp_path / "set" / "images" / "a.jpg")
    assert all_of(tmp_path / "set", tmp_path / "out", "vlm_r1").annotations == {"used": 1}
    row, target = first(tmp_path / "out")
    assert (target.task, target.boxes.tolist(), target.labels, target.count) == (task, boxes, labels, count)
    assert row["prompt"][0]["content"] == f"<image>{QUESTION}"
    assert (row["data_source"], row["extra_info"]["question"]) == (f"vlm_r1/{task}", "own")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"image": "a.jpg"}, "line 1: expected 'conversations' to be a list"),
        (vlm_r1("a.jpg", "<image>?", " "), "line 1: expected a reference answer, got ' '"),
        (vlm_r1("a.jpg", "<image>?", [1, 2, 3]), "line 1: expected a box .* of four numbers, got 1"),
        (vlm_r1("a.jpg", "<image>?", [1, 2, 50, 9]), "line 1: expected a box inside 40x30 pixels"),
        (vlm_r1("a.jpg", "<image>?", None), "line 1: expected a box"),
        (vlm_r1("a.jpg", "<image><image>?", "1"), "line 1: expected a question about one image"),
        (vlm_r1(["a.jpg", "a.jpg"], "<image>?", "1"), "line 1: expected the path or the bytes of one image"),
        (vlm_r1("gone.jpg", "<image>?", "1"), r"line 1: expected the image gone\.jpg"),
    ],
)
def test_a_wrong_sample_is_named_and_counted(tmp_path: Path, entry: Any, message: str) -> None:
    write_lines(tmp_path / "a.jsonl", entry, vlm_r1("a.jpg", "<image>?", "1"))
    write_image(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=message):
        taken(tmp_path, tmp_path / "out", "vlm_r1")
    account = all_of(tmp_path, tmp_path / "out", "vlm_r1", strict=False)
    assert sum(account.annotations.values()) == 2
    assert account.annotations["used"] == 1


def test_easyr1_names_or_embeds_its_images(tmp_path: Path) -> None:
    data = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT)).save(data, "PNG")
    entry = {"problem": "<image>How many cats are there?", "answer": "2"}
    write_json(tmp_path / "named" / "train.json", [{**entry, "images": ["a.jpg"]}])
    write_image(tmp_path / "named" / "a.jpg")
    table = pa.Table.from_pylist([{**entry, "images": [{"bytes": data.getvalue(), "path": "/x/b.png"}]}])
    (tmp_path / "embedded").mkdir()
    pq.write_table(table, tmp_path / "embedded" / "train.parquet")
    for name in ("named", "embedded"):
        taken(tmp_path / name, tmp_path / "out", "easyr1", val_fraction=1)
        _, target = first(tmp_path / "out")
        assert (target.task, target.count) == ("counting", 2)


def swift(answer: str, refs: list[str], *boxes: Any, asked: str = "Find all", **objects: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"<image>{asked}"}, {"role": "assistant", "content": answer}]
    return {"messages": messages, "images": ["a.jpg"], "objects": {"ref": refs, "bbox": list(boxes), **objects}}


OTHER, CORNER = [20.0, 3.0, 30.0, 9.0], [1.0, 1.0, 5.0, 5.0]


@pytest.mark.parametrize(
    ("entry", "task", "labels"),
    [
        (swift("<ref-object><bbox> and <ref-object><bbox>", ["a dog", "cat"], BOX, OTHER), "detection", "a dog,cat"),
        (swift("<bbox><bbox>", ["sheep"], BOX, OTHER, asked="Find the <ref-object>"), "grounding", "sheep,sheep"),
        (swift('[{"bbox_2d": <bbox>, "label": "<ref-object>"}]', ["cat"], BOX), "detection", "cat"),
        (swift("<ref-object><bbox><bbox><ref-object><bbox>", ["a", "b"], BOX, OTHER, CORNER), "detection", "a,a,b"),
        (swift("", ["cat", "cat"], BOX, OTHER), "detection", "cat,cat"),
    ],
)
def test_ms_swift_names_the_boxes_in_order(tmp_path: Path, entry: Any, task: str, labels: str) -> None:
    write_lines(tmp_path / "a.jsonl", entry)
    write_image(tmp_path / "a.jpg")
    all_of(tmp_path, tmp_path / "out", "swift")
    row, target = first(tmp_path / "out")
    assert (target.task, ",".join(target.labels)) == (task, labels)
    assert target.boxes.tolist() == entry["objects"]["bbox"]
    assert row["prompt"][0]["content"] == f"<image>{'Find the sheep' if task == 'grounding' else 'Find all'}"


@pytest.mark.parametrize(
    ("kind", "scale"),
    [("real", (1, 1)), ("norm1", (1 / WIDTH, 1 / HEIGHT)), ("norm1000", (1000 / WIDTH, 1000 / HEIGHT))],
)
def test_ms_swift_says_the_unit_of_the_boxes(tmp_path: Path, kind: str, scale: tuple[float, float]) -> None:
    given = [side * factor for side, factor in zip(BOX, scale * 2, strict=True)]
    write_lines(tmp_path / "a.jsonl", swift("<bbox>", ["cat"], given, bbox_type=kind, image_id=[0]))
    write_image(tmp_path / "a.jpg")
    all_of(tmp_path, tmp_path / "out", "swift")
    assert first(tmp_path / "out")[1].boxes.ravel().tolist() == pytest.approx(BOX)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (swift("<bbox>", ["cat"], [3, 4]), "expected a box .* of four numbers, got"),
        (swift("<bbox>", ["cat"], BOX, bbox_type="pixels"), "expected 'bbox_type' to be real, norm1 or norm1000"),
        (swift("<bbox>", ["cat"], BOX, image_id=[1]), "expected boxes in the first image"),
        (swift("<bbox><bbox>", ["a", "b", "c"], BOX, OTHER), "expected one name in 'ref', or one for each box"),
        (swift("<bbox>", ["a"], BOX, asked="Find <ref-object> and <ref-object>"), "expected a 'ref' for each"),
        ({"messages": [], "images": ["a.jpg"]}, "expected one question and at most one answer"),
        ({"messages": [{"role": "user", "content": ["x"]}], "images": ["a.jpg"]}, "expected messages with 'role'"),
    ],
)
def test_a_wrong_sample_of_ms_swift_is_named(tmp_path: Path, entry: Any, message: str) -> None:
    write_lines(tmp_path / "a.jsonl", entry)
    write_image(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=f"line 1: {message}"):
        taken(tmp_path, tmp_path / "out", "swift")


def test_a_path_of_another_machine_is_searched_for_in_the_given_folder(tmp_path: Path) -> None:
    entry = swift("<bbox>", ["cat"], BOX) | {"images": ["/mnt/data/photos/a.jpg"]}
    file = write_lines(tmp_path / "samples" / "a.jsonl", entry)
    write_image(tmp_path / "photos" / "a.jpg")
    account = all_of("", tmp_path / "out", "swift", annotations=file, images=tmp_path / "photos")
    assert account.annotations == {"used": 1}
    write_lines(file, entry, swift("<bbox>", ["cat"], BOX) | {"images": ["/other/a.jpg"]})
    with pytest.raises(ValueError, match=r"line 2: expected one path for each image, got '/other/a\.jpg' and"):
        taken("", tmp_path / "out", "swift", annotations=file, images=tmp_path / "photos")


def test_odvg_has_objects_and_phrases(tmp_path: Path) -> None:
    size = {"height": HEIGHT, "width": WIDTH}
    instances = [{"bbox": BOX, "label": 1, "category": "dog"}]
    regions = [
        {"bbox": [1, 1, 9, 9], "phrase": "a wire hanger"},
        {"bbox": [[2, 2, 9, 9], [3, 3, 9, 9]], "phrase": "a paper cover."},
    ]
    lines = [
        {"filename": "000.jpg", **size, "detection": {"instances": instances}},
        {"filename": "001.jpg", **size, "grounding": {"caption": "x", "regions": regions}},
        {"filename": "002.jpg", **size, "detection": {"instances": []}},
    ]
    write_lines(tmp_path / "set" / "coco2017_train_odvg.jsonl", *lines)
    write_json(tmp_path / "set" / "coco2017_label_map.json", {"0": "cat", "1": "dog"})
    write_images(tmp_path / "set" / "images")
    account = all_of(tmp_path / "set", tmp_path / "out", "odvg")
    assert (account.annotations, account.left_out) == ({"used": 4}, {"no boxes": 1})
    read = rows(tmp_path / "out")
    found = {row["extra_info"]["subject"]: Target.from_json(row["reward_model"]["ground_truth"]) for row in read}
    assert (found[""].categories, found[""].labels) == (("cat", "dog"), ("dog",))
    assert found["a paper cover"].boxes.tolist() == [[2, 2, 9, 9], [3, 3, 9, 9]]
    assert len(found["a wire hanger"].boxes) == 1


@pytest.mark.parametrize("name", ["vlm_r1", "easyr1", "swift", "odvg"])
def test_another_folder_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"got a folder that contains notes\.txt"):
        SOURCES[name](str(tmp_path))
    with pytest.raises(FileNotFoundError, match="gone: expected the folder of a dataset"):
        SOURCES[name](str(tmp_path / "gone"))
    with pytest.raises(ValueError, match=r"notes\.txt: expected .*samples.* in a file that ends in \.jsonl or \.json"):
        SOURCES[name](str(tmp_path / "notes.txt"))


def test_our_own_ground_truth_is_a_reference_answer() -> None:
    from verl_vision_r1.data.readers.problems import Reading

    target = Target([BOX], ["cat"], WIDTH, HEIGHT, ("cat", "dog"))
    found = target_of(target.to_json(), "?", (WIDTH, HEIGHT), "a", Reading())
    assert found.to_json() == target.to_json()
    with pytest.raises(ValueError, match="a: expected a ground truth for 9x9 pixels"):
        target_of(target.to_json(), "?", (9, 9), "a", Reading())
