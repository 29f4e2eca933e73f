"""Boxes in pixels of the original images, whatever the frame of the family; questions as in training."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from stand_in_engine import Answering, answering

from verl_vision_r1.demo.run import TAUGHT_MODEL
from verl_vision_r1.families import FAMILIES, TRAINED
from verl_vision_r1.frames import Size, frame_size, in_axes_of, smart_resize, to_frame
from verl_vision_r1.predict import Detector, Prediction
from verl_vision_r1.predict.upright import open_upright
from verl_vision_r1.rewards.presets import load_prompts
from verl_vision_r1.targets import Target

BOX = [30.0, 50.0, 180.0, 150.0]
SIZE = (300, 200)


def photo(size: tuple[int, int] = SIZE) -> Image.Image:
    return Image.new("RGB", size, "white")


def items(*boxes: Sequence[float], label: str = "cat") -> str:
    return json.dumps([{"bbox_2d": list(box), "label": label} for box in boxes])


def find(text: str, names: Sequence[str] = ("cat", "dog"), **options: Any) -> Prediction:
    """The prediction of a model with this completion."""
    with answering(lambda image, prompt: text):
        return Detector(TAUGHT_MODEL, **options).find(photo(), names)


def writes(frame: str, original: Size, box: Sequence[float]) -> Answering:
    """A model that writes a box of the original image in its frame, for the size at which it sees the image."""

    def answer(image: Image.Image, prompt: str) -> str:
        size = frame_size(frame, image.size)
        return items(*in_axes_of(size, to_frame(np.array([box]), original, size)).tolist())

    return answer


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A folder for a tiny model with random weights of each family."""
    folder = tmp_path_factory.mktemp("families")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[1] / "engine"))
        from families import FAMILIES as TINY
        from families import build_family

        for name in TINY:
            build_family(name, folder / name, ["cat"])
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("family", [family for family in TRAINED if family != "qwen3_vl_moe"])
def test_boxes_come_back_in_original_pixels_from_every_family(families: Path, family: str) -> None:
    with answering(writes(str(FAMILIES[family].frame), SIZE, BOX)) as engine:
        found = Detector(families / family).find(photo(), ["cat"])
    assert engine.asked[0][0] != SIZE  # It sees another size, so that the frames differ.
    assert found.boxes == pytest.approx(np.array([BOX]))
    assert (found.labels, found.scores.tolist(), found.size) == (("cat",), [1.0], SIZE)


@pytest.mark.parametrize("frame", ["resized_pixels", "relative_1000", "relative_1", "relative_1000_yxyx"])
def test_the_frame_can_be_named(frame: str) -> None:
    with answering(writes(frame, SIZE, BOX)):
        found = Detector(TAUGHT_MODEL, frame=frame).find(photo(), ["cat"])
    assert found.boxes == pytest.approx(np.array([BOX]))


def test_the_frame_of_the_preset_comes_first() -> None:
    found = find("<think></think><answer>[{'Position': [100, 250, 600, 750], 'Confidence': 0.7}]</answer>", ["cat"])
    assert not found.labels  # The preset robust does not read this form.
    text = "<think></think><answer>[{'Position': [100, 250, 600, 750], 'Confidence': 0.7}]</answer>"
    found = find(text, ["cat"], preset="visual_rft")
    assert found.boxes.tolist() == [[30.0, 50.0, 180.0, 150.0]]
    assert (found.labels, found.scores.tolist()) == (("cat",), [0.7])


@pytest.mark.parametrize(("orientation", "upright"), [(1, (300, 200)), (3, (300, 200)), (6, (200, 300))])
def test_boxes_are_those_of_the_upright_image(tmp_path: Path, orientation: int, upright: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo().save(tmp_path / "a.jpg", exif=exif)
    box = [10.0, 20.0, 110.0, 190.0]
    with answering(writes("resized_pixels", upright, box)):
        found = Detector(TAUGHT_MODEL).find(tmp_path / "a.jpg", ["cat"])
    assert found.size == upright
    assert found.boxes == pytest.approx(np.array([box]))


def test_the_image_is_resized_as_in_training() -> None:
    from qwen_vl_utils import fetch_image

    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8))
    with answering(lambda *_: "[]") as engine:
        detector = Detector(TAUGHT_MODEL, min_pixels=3136, max_pixels=50176)
        detector.find(image, ["cat"])
    expected = smart_resize(640, 480, 28, 3136, 50176)
    assert engine.asked[0][0] == expected
    bounds = {"min_pixels": 3136, "max_pixels": 50176}
    assert np.array_equal(detector.resize(image), fetch_image({"image": image, **bounds}))


def test_the_prompt_is_that_of_training(tmp_path: Path) -> None:
    from verl_vision_r1.data.options import Source, Writing
    from verl_vision_r1.data.prepare import prepare
    from verl_vision_r1.demo.shapes import NAMES, write_shapes
    from verl_vision_r1.demo.teach import read_rows

    prepare([Source("coco", str(write_shapes(tmp_path / "set", "train", 2)))], tmp_path, Writing(val_fraction=1))
    (asked, _) = [row["prompt"][0]["content"] for row in read_rows(tmp_path / "val.parquet")]
    with answering(lambda *_: "[]") as engine:
        Detector(TAUGHT_MODEL).find(photo(), NAMES)
    assert asked == "<image>" + engine.asked[0][1]


def test_without_a_prompt_for_all_categories_each_is_asked_for_alone() -> None:
    names = ["cat", "dog"]
    with answering(lambda image, prompt: "<answer>No Objects</answer>") as engine:
        found = Detector(TAUGHT_MODEL, preset="visual_rft").find(photo(), names)
    prompts = load_prompts("visual_rft")
    target = Target([], [], 1, 1)  # type: ignore[arg-type]
    assert [text for _, text in engine.asked] == [prompts.text("category", target, name) for name in names]
    assert [reply.question.subject for reply in found.replies] == names


def test_other_prompts() -> None:
    with answering(lambda *_: "[]") as engine:
        for prompt in ("vision_r1_release_2026", "Find {categories}, as JSON like {'bbox_2d': []}."):
            Detector(TAUGHT_MODEL, prompt=prompt).find(photo(), ["cat", "dog"])
    texts = [text for _, text in engine.asked]
    assert "belongs to the following categories: 'cat, dog'" in texts[0]
    assert texts[1] == "Find cat, dog, as JSON like {'bbox_2d': []}."


def test_batches_keep_the_order() -> None:
    sizes = [(140 + 28 * number, 140) for number in range(5)]

    def answer(image: Image.Image, prompt: str) -> str:
        box = [0, 0, image.width, 500 + 100 * ("dog" in prompt)]
        return f"<answer>[{{'Position': {box}, 'Confidence': 1}}]</answer>"

    with answering(answer, batch=2) as engine:
        detector = Detector(TAUGHT_MODEL, preset="visual_rft")
        found = list(detector.find_all(map(photo, sizes), ["cat", "dog"]))
    assert engine.calls == [4, 4, 2]
    assert [prediction.size for prediction in found] == sizes
    for prediction, size in zip(found, sizes, strict=True):
        assert prediction.labels == ("cat", "dog")
        assert prediction.boxes[:, 2] == pytest.approx(np.full(2, size[0] * size[0] / 1000))
        assert prediction.boxes[:, 3] == pytest.approx(np.array([70.0, 84.0]))


@pytest.mark.parametrize(
    ("label", "expected"), [("cat", "cat"), ("CAT ", "cat"), ("tabby", "tabby"), ("traffic_light", "traffic light")]
)
def test_a_label_is_the_name_that_was_asked_for(label: str, expected: str) -> None:
    assert find(items([1, 2, 30, 40], label=label), ["cat", "traffic light"]).labels == (expected,)


def test_a_box_without_label_is_what_was_asked_for_alone() -> None:
    text = '[{"bbox_2d": [1, 2, 30, 40]}]'
    assert find(text, ["cat"], preset="vision_r1").labels == ("cat",)
    assert find(text, ["cat", "dog"], preset="vision_r1").labels == ("",)


@pytest.mark.parametrize("text", ["", "I see nothing of that kind.", '[{"bbox_2d": ["a"', "\ud800", "[" * 5000])
def test_a_completion_that_cannot_be_parsed_is_an_empty_prediction_with_a_flag(text: str) -> None:
    found = find(text)
    assert (found.boxes.shape, found.labels, found.parsed) == ((0, 4), (), False)
    assert str(found).startswith("not parsed: ")
    json.dumps(found.as_dict())


def test_no_object_is_no_failure() -> None:
    found = find("[]")
    assert (found.boxes.shape, found.parsed, str(found)) == ((0, 4), True, "no box")


def test_a_truncated_completion_keeps_its_whole_boxes() -> None:
    found = find(items([1, 2, 30, 40])[:-1] + ', {"bbox_2d": [5')
    assert (len(found.boxes), found.parsed, found.as_dict()["truncated"]) == (1, True, True)


def test_swapped_corners_have_no_negative_side() -> None:
    boxes = find(items([30, 40, 1, 2]), preset="vision_r1").boxes
    assert (boxes[:, 2:] >= boxes[:, :2]).all()


def test_expressions_classes_and_counts() -> None:
    found = find(items([0, 0, 28, 28], label="it"), ["the left cat"], ask="expression")
    assert (found.labels, len(found.boxes)) == (("the left cat",), 1)
    counted = find("<think>1, 2</think><answer>2</answer>", ["cat", "dog"], ask="count")
    assert (counted.texts, str(counted)) == ({"cat": "2", "dog": "2"}, "cat 2; dog 2")
    assert find("<think></think><answer>beagle</answer>", ["dog"], ask="class").texts == {"dog": "beagle"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "tgi"}, "engine: expected transformers, vllm or the http address of a server, got 'tgi'"),
        ({"preset": "robuster"}, "vision_r1/reward: expected one of"),
        ({"ask": "dance"}, "ask: expected one of categories, category, expression, class, count with the preset"),
        ({"preset": "vision_r1", "ask": "count"}, "ask: expected one of categories, category, expression with"),
        ({"prompt": "vision_r2"}, "prompt: expected one of glm, none, vision_r1"),
        ({"frame": "pixels"}, "vision_r1.frame: expected auto or one of"),
        ({"min_pixels": 10, "max_pixels": 5}, "max_pixels: expected at least min_pixels, 10, got 5"),
        ({"max_tokens": 0}, "max_tokens: expected a number of at least 1, got 0"),
    ],
)
def test_wrong_options_raise_before_a_model_is_loaded(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="^" + message):
        Detector(TAUGHT_MODEL, **options)


@pytest.mark.parametrize("names", [[], [""], "cat", ["cat", " "]])
def test_names_are_a_list_of_texts(names: Any) -> None:
    with pytest.raises(ValueError, match=r"^names: expected a list of names"):
        find("[]", names)


def test_a_wrong_model_folder_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected a model folder, got no such folder"):
        Detector(str(tmp_path / "model"))
    with pytest.raises(FileNotFoundError, match="expected a model folder, got no such folder"):
        Detector("demo_model")
    with pytest.raises(ValueError, match=r"expected a model folder with config.json, got none"):
        Detector(tmp_path)
    actor = tmp_path / "global_step_2" / "actor"
    actor.mkdir(parents=True)
    (actor / "fsdp_config.json").write_text("{}")
    for folder in (actor, actor.parent, tmp_path):
        with pytest.raises(ValueError, match=f"got a checkpoint of verl; .*vision-r1 export {folder} --out MODEL"):
            Detector(folder)


def test_an_image_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    photo((2010, 10)).save(tmp_path / "narrow.png")
    for name, message in (("bad.jpg", "expected an image"), ("narrow.png", "expected sides of at most 200:1")):
        with pytest.raises(ValueError, match=f"{tmp_path / name}: {message}"):
            open_upright(tmp_path / name)


@pytest.mark.slow
def test_the_demo_model_finds_shapes() -> None:
    """Greedily, through transformers: it was taught where shapes are, and to name too few of them."""
    from verl_vision_r1.boxes import pairwise_iou
    from verl_vision_r1.demo.shapes import draw_scene

    generator = np.random.default_rng(3)
    scenes = [draw_scene(generator) for _ in range(16)]
    detector = Detector(TAUGHT_MODEL, max_tokens=160)
    true = predicted = objects = 0
    for found, (_, target) in zip(
        detector.find_all((image for image, _ in scenes), scenes[0][1].categories), scenes, strict=True
    ):
        iou = pairwise_iou(found.boxes, target.boxes)
        same = np.array([[a == b for b in target.labels] for a in found.labels]).reshape(iou.shape)
        true += int(((iou * same).max(axis=1, initial=0) > 0.5).sum())
        predicted += len(found.boxes)
        objects += len(target.boxes)
        assert found.parsed
    assert true / predicted > 0.8
    assert 2 * true / (predicted + objects) > 0.5
