"""The reward manager, on samples in the form of verl's agent loop."""

import asyncio
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from run_on_disk import Run

from verl_vision_r1 import Target
from verl_vision_r1.frames import to_frame
from verl_vision_r1.reward_manager.image_size import pixel_bounds, size_from_position_ids
from verl_vision_r1.rewards.answers import write_json_boxes
from verl_vision_r1.rewards.answers.box_log_probs import read_log_probs

pytestmark = pytest.mark.verl

IMAGE, TEXT, END = 500, 7, 501
TARGET = Target([[64, 48, 320, 240]], ["cat"], width=640, height=480)
RESIZED = (644, 476)
HALFWAY = {"stages": [{"xi0": 0.5, "xi1": 0.5, "xi2": 0.75}, {"at": 0.5, "xi0": 0.75, "xi1": 0.75, "xi2": 0.9}]}


class Characters:
    """A tokenizer with one token per character."""

    eos_token_id = END

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        return "".join(chr(number) for number in ids if number != END)


def manager(
    monkeypatch: pytest.MonkeyPatch,
    family: str = "qwen2_5_vl",
    frame: str = "auto",
    parser: str = "json_boxes",
    tokenizer: Any = None,
) -> Any:
    from verl_vision_r1.reward_manager import manager as module

    vision = SimpleNamespace(patch_size=14, spatial_merge_size=2)
    model = SimpleNamespace(model_type=family, image_token_id=IMAGE, vision_config=vision)
    monkeypatch.setattr(module, "load_model_config", lambda config: model)
    monkeypatch.setattr(module, "load_generation_config", lambda config: SimpleNamespace(eos_token_id=[END]))
    weights = {name: {"weight": 1.0} for name in ("format", "recall", "precision")}
    rules = {"parser": parser, "matcher": "assignment", "criteria": weights}
    config = OmegaConf.create(
        {
            "vision_r1": {
                "frame": frame,
                "reward": {"tasks": {"detection": rules}},
                "prompt": {},
                "curriculum": HALFWAY,
            },
            "actor_rollout_ref": {
                "model": {"path": "unused"},
                "actor": {"optim": {"total_training_steps": 10}},
                "rollout": {"response_length": 400},
            },
            "trainer": {"v1": {"trainer_mode": "sync"}},
        }
    )
    return module.VisionR1RewardManager(config, tokenizer or Characters(), None, reward_router_address=None)


def sample(text: str, size: tuple[int, int] = RESIZED, ended: bool = True, **columns: Any) -> Any:
    from tensordict import TensorDict
    from verl import DataProto

    rows, columns_of_image = size[1] // 28, size[0] // 28
    prompt = torch.tensor([TEXT, *[IMAGE] * (rows * columns_of_image), TEXT])
    response = torch.tensor([ord(letter) for letter in text] + [END] * ended, dtype=torch.long)
    ids = torch.cat([prompt, response])
    height = torch.arange(len(ids))
    width = height.clone()
    places = torch.arange(rows * columns_of_image)
    height[1 : 1 + len(places)] = 1 + places // columns_of_image
    width[1 : 1 + len(places)] = 1 + places % columns_of_image
    positions = torch.stack([torch.arange(len(ids)), torch.ones_like(ids), height, width])
    tensors = {"prompts": prompt, "responses": response, "attention_mask": torch.ones_like(ids), "input_ids": ids}
    batch = {name: value[None] for name, value in {**tensors, "position_ids": positions}.items()}
    image = {"type": "image", "image": "cat.jpg", "min_pixels": 3136, "max_pixels": 401408}
    others = {
        "reward_model": {"ground_truth": TARGET.to_json()},
        "raw_prompt": [{"role": "user", "content": [image, {"type": "text", "text": "Where?"}]}],
        "global_steps": 1,
        **columns,
    }
    values = {name: np.array([value]) for name, value in others.items()}
    return DataProto(batch=TensorDict(batch, batch_size=1), non_tensor_batch=values)


def run(manager: Any, data: Any) -> dict[str, Any]:
    return asyncio.run(manager.run_single(data))


def answer(size: tuple[float, float], y2: float = 240) -> str:
    boxes = to_frame(np.array([[64.0, 48.0, 320.0, y2]]), (640, 480), size)
    return write_json_boxes(boxes, ("cat",))


def test_boxes_are_in_the_frame_of_the_resized_image(monkeypatch: pytest.MonkeyPatch) -> None:
    for size in ((644, 476), (252, 168)):
        assert run(manager(monkeypatch), sample(answer(size), size))["reward_score"] == 3.0


def test_boxes_of_another_family_are_on_a_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(manager(monkeypatch, family="qwen3_vl"), sample(answer((1000, 1000))))
    assert result["reward_extra_info"]["mean_iou"] > 0.99


def test_without_m_rope_the_pixel_bounds_of_the_sample_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    data = sample(answer(RESIZED))
    data.batch["position_ids"] = data.batch["position_ids"][:, 0]
    assert run(manager(monkeypatch), data)["reward_score"] == 3.0


def test_a_family_with_y_first_is_scored_in_its_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    text = '[{"box_2d": [100, 100, 500, 500], "label": "cat"}]'
    target = Target([[64, 96, 320, 480]], ["cat"], width=640, height=960)
    column = {"reward_model": {"ground_truth": target.to_json()}}
    result = run(manager(monkeypatch, family="gemma4"), sample(text, **column))
    assert result["reward_score"] == 3.0
    assert result["reward_extra_info"]["frame"] == "1000x1000 yxyx"


def test_a_family_that_verl_does_not_train_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"got internvl .*: .*hf_processor. has no case for its processor"):
        manager(monkeypatch, family="internvl")


def special_tokenizer() -> Any:
    from verl_vision_r1.demo.tiny_model import make_tokenizer

    tokens = ("<|endoftext|>", "<|im_end|>", "<|box_start|>", "<|box_end|>")
    return make_tokenizer(["a cat(1,2),(3,4)"], (*tokens, "<|object_ref_start|>", "<|object_ref_end|>"))


def tokenized(tokenizer: Any, text: str) -> Any:
    """A sample whose response are the tokens of a text."""
    data = sample("")
    ids = torch.tensor(tokenizer.encode(text, add_special_tokens=False))
    prompt = data.batch["prompts"][0]
    joined = {"responses": ids, "attention_mask": torch.ones(len(prompt) + len(ids), dtype=torch.long)}
    for name, value in joined.items():
        data.batch[name] = value[None]
    return data


@pytest.mark.parametrize(("parser", "format"), [("marked_boxes", 1.0), ("json_boxes", 0.0)])
def test_a_form_of_special_tokens_is_scored_with_them(
    monkeypatch: pytest.MonkeyPatch, parser: str, format: float
) -> None:
    tokenizer = special_tokenizer()
    text = "<|object_ref_start|>cat<|object_ref_end|><|box_start|>(100,100),(500,500)<|box_end|>"
    data = tokenized(tokenizer, text + "<|im_end|><|endoftext|>")
    extra = run(manager(monkeypatch, "qwen2_vl", parser=parser, tokenizer=tokenizer), data)["reward_extra_info"]
    assert (extra["format"], extra["matched_boxes"]) == (format, format)
    assert extra["output"] == (text if parser == "marked_boxes" else "cat(100,100),(500,500)")


@pytest.mark.parametrize(
    ("columns", "stage"),
    [
        ({"global_steps": 0}, 0),
        ({"global_steps": 5}, 0),
        ({"global_steps": 6}, 1),
        ({"global_steps": 1, "is_validate": True}, 1),  # Validation always uses the last stage.
        ({"global_steps": 6, "is_validate": False}, 1),
        ({"global_steps": 1, "stage_reached": 1}, 1),  # The stage that the trainer sends with the batch.
        ({"global_steps": 6, "stage_reached": 0}, 1),
    ],
)
def test_the_stage_follows_the_step(monkeypatch: pytest.MonkeyPatch, columns: dict[str, Any], stage: int) -> None:
    result = run(manager(monkeypatch), sample(answer(RESIZED, y2=211), **columns))  # IoU 0.85
    assert result["reward_extra_info"]["stage"] == stage
    assert result["reward_score"] == pytest.approx((3.0, 2.85)[stage], abs=0.01)
    assert result["reward_extra_info"]["precision_raw"] == pytest.approx(0.85, abs=0.01)


@pytest.mark.parametrize("text", ["", "[]", "\x00\xff", "no", "[" * 399, answer(RESIZED)])
def test_the_keys_never_change(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    result = run(manager(monkeypatch), sample(text))
    expected = run(manager(monkeypatch), sample("anything"))
    assert result.keys() == {"reward_score", "reward_extra_info"}
    assert list(result["reward_extra_info"]) == list(expected["reward_extra_info"])
    assert all(isinstance(value, str) or np.isfinite(value) for value in result["reward_extra_info"].values())


def test_the_rollout_file_has_the_sample_and_the_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"image_id": "000042", "question": "category", "subject": "cat", "index": 3}
    facts = run(manager(monkeypatch), sample("", extra_info=row, data_source="coco/detection"))["reward_extra_info"]
    expected = {"data_source": "coco/detection", "image_id": "000042", "question": "category", "subject": "cat"}
    assert {name: facts[name] for name in expected} == expected
    assert (facts["image"], facts["frame"]) == ("cat.jpg", "644x476")
    grid = run(manager(monkeypatch, family="qwen3_vl"), sample(""))["reward_extra_info"]
    assert (grid["frame"], grid["image_id"]) == ("1000x1000", "")


def test_the_runs_of_the_report_tests_have_the_facts_of_the_manager(tmp_path: Path) -> None:
    from verl_vision_r1.reward_manager.manager import row_facts

    made = Run(tmp_path)
    made.add(["[]"], TARGET, image="cat.jpg", source="coco/detection", image_id="000042")
    columns = {
        "data_source": "coco/detection",
        "extra_info": {"image_id": "000042", "question": "categories"},
        "raw_prompt": [{"role": "user", "content": [{"type": "image", "image": "cat.jpg"}]}],
    }
    facts = row_facts(columns, made.frame)
    ((line,),) = made.lines.values()
    assert {name: line[name] for name in facts} == facts


@pytest.mark.parametrize(
    ("length", "ended", "clipped"), [(400, False, 1), (399, True, 0), (10, False, 0), (0, True, 0)]
)
def test_clipped_flags_truncation_at_the_length_limit(
    monkeypatch: pytest.MonkeyPatch, length: int, ended: bool, clipped: float
) -> None:
    result = run(manager(monkeypatch), sample("x" * length, ended=ended))
    assert result["reward_extra_info"]["clipped"] == clipped


def test_a_second_resize_is_warned_about_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = manager(monkeypatch)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            run(chosen, sample(answer((252, 168)), (252, 168)))
        run(manager(monkeypatch), sample(answer(RESIZED)))
    warnings = [record.getMessage() for record in caplog.records if "position ids say" in record.getMessage()]
    assert len(warnings) == 1
    assert "(252, 168)" in warnings[0]
    assert "(644, 476)" in warnings[0]


def test_the_first_of_several_images_counts() -> None:
    ids = torch.tensor([IMAGE] * 4 + [TEXT] + [IMAGE] * 2)
    height = torch.tensor([0, 0, 1, 1, 2, 3, 3])
    width = torch.tensor([0, 1, 0, 1, 2, 3, 4])
    assert size_from_position_ids(ids, torch.stack([height, height, width]), IMAGE, factor=28) == (56, 56)


def test_no_image_has_no_size_and_no_bounds() -> None:
    ids = torch.tensor([TEXT] * 3)
    assert size_from_position_ids(ids, torch.zeros(4, 3), IMAGE, factor=28) is None
    assert pixel_bounds([{"role": "user", "content": "Where?"}]) is None
    assert pixel_bounds([{"role": "user", "content": [{"type": "image", "image": "cat.jpg"}]}]) is None


class Letters(Characters):
    """The same, a batch at a time."""

    def batch_decode(self, batch: list[list[int]], skip_special_tokens: bool) -> list[str]:
        return [self.decode(ids, skip_special_tokens) for ids in batch]


def test_boxes_of_a_validation_have_the_log_probabilities_of_their_own_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    text = answer(RESIZED)
    own = [*_places(text, "64, 48, 322, 238"), *_places(text, "cat")]
    log_probs = [-9.0] * (len(text) + 1)
    for place in own:
        log_probs[place] = -0.25 if place % 2 else -0.75
    mean = sum(log_probs[place] for place in own) / len(own)
    made = manager(monkeypatch, tokenizer=Letters())
    fields = {"token_log_probs": log_probs, "turn_scores": []}
    extra = run(made, sample(text, tool_extra_fields=fields))["reward_extra_info"]
    assert read_log_probs(extra["box_log_probs"]) == {own[0]: pytest.approx(mean, abs=1e-5)}
    for fields in ({"token_log_probs": log_probs[:-3]}, {"token_log_probs": log_probs * 2}):
        assert run(made, sample(text, tool_extra_fields=fields))["reward_extra_info"]["box_log_probs"] == "[]"


def _places(text: str, part: str) -> range:
    assert text.count(part) == 1, text
    return range(text.index(part), text.index(part) + len(part))


def test_training_has_no_log_probabilities_of_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    for columns in ({}, {"tool_extra_fields": {"turn_scores": []}}):
        extra = run(manager(monkeypatch), sample(answer(RESIZED), **columns))["reward_extra_info"]
        assert "box_log_probs" not in extra


def test_no_boxes_have_no_log_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"token_log_probs": [-1.0] * 9}
    extra = run(manager(monkeypatch, tokenizer=Letters()), sample("no boxes", tool_extra_fields=fields))
    assert extra["reward_extra_info"]["box_log_probs"] == "[]"
