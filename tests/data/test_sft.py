"""Samples for verl's supervised trainer: their answers have the highest reward, and their images the run's size."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from verl_vision_r1.cli.app import app
from verl_vision_r1.data.parquet import make_row, write_rows
from verl_vision_r1.data.sft import PRESET_OF_PROMPT, Writer, write_sft
from verl_vision_r1.data.validate import sample_files
from verl_vision_r1.frames import FRAMES, frame_size, smart_resize
from verl_vision_r1.rewards.presets import load_preset
from verl_vision_r1.rewards.refinement import OFF
from verl_vision_r1.rewards.scoring import score_completion
from verl_vision_r1.targets import Target

MODEL = Path(__file__).parents[2] / "verl_vision_r1" / "demo" / "model"
SIZE = (640, 427)
BOXES = [[10.0, 20.0, 200.0, 220.0], [301.0, 33.0, 633.0, 420.0]]
TARGETS = {
    "detection": Target(BOXES, ("cat", "dog"), *SIZE, ("cat", "dog", "fox")),
    "negative": Target([], (), *SIZE, ("fox",)),
    "grounding": Target(BOXES[:1], ("the cat",), *SIZE, task="grounding"),
    "classification": Target([], ("garden phlox",), *SIZE, task="classification"),
    "counting": Target([], (), *SIZE, task="counting", count=3),
}


def writer(prompt: str, frame: str) -> Writer:
    return Writer(load_preset(PRESET_OF_PROMPT[prompt]), frame, 28, (3136, 1_003_520))


def row(target: Target, image: Path = Path("/a.png"), **options: Any) -> Any:
    given = {"data_source": "a/b", "prompt": "Find all.", "image_id": "1", "split": "train", "index": 0}
    return make_row(image=image, target=target, **{**given, **options})


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("prompt", PRESET_OF_PROMPT)
@pytest.mark.parametrize("name", TARGETS)
def test_an_answer_has_the_highest_reward(name: str, prompt: str, frame: str) -> None:
    if (prompt, frame) == ("vlm_r1", "relative_1"):
        pytest.skip("VLM-R1's release reads whole numbers only")
    target, made = TARGETS[name], writer(prompt, frame)
    if target.task not in made.preset.tasks:
        with pytest.raises(ValueError, match="expected rules for one of"):
            made.answer(row(target), target)
        return
    rules, text = made.preset.rules_of(target), made.answer(row(target), target)
    resized = smart_resize(*SIZE, 28, *(row(target)["images"][0][key] for key in ("min_pixels", "max_pixels")))
    scores = score_completion(text, target, rules, frame_size(rules.frame or frame, resized), OFF)
    assert not any(scores.flags[flag] for flag in ("unparsed", "criterion_failed") if flag in scores.flags), text
    worst = {part: value for part, value in scores.parts.items() if value < 0.95}
    if name == "negative":  # The criteria of the papers give a negative sample less, whatever the completion.
        return
    assert not worst, (text, worst)


def test_each_format_is_that_of_the_presets_own_prompt() -> None:
    folder = Path(__file__).parents[2] / "verl_vision_r1" / "config" / "vision_r1" / "reward"
    for prompt, preset in PRESET_OF_PROMPT.items():
        (default,) = yaml.safe_load((folder / f"{preset}.yaml").read_text(encoding="utf-8"))["defaults"][:1]
        assert prompt in default.values()


def test_a_family_with_y_first_gets_its_own_form() -> None:
    made = Writer(load_preset("robust"), "relative_1000_yxyx", None, None)
    text = made.answer(row(TARGETS["detection"]), TARGETS["detection"])
    assert '{"box_2d": [47, 16, 515, 312], "label": "cat"}' in text


@pytest.fixture
def source(tmp_path: Path) -> Path:
    image = tmp_path / "a.png"
    Image.new("RGB", SIZE, "grey").save(image)
    rows = [row(target, image, index=index) for index, target in enumerate(TARGETS.values())]
    write_rows(tmp_path / "train.parquet", rows[:3])
    return tmp_path / "train.parquet"


def test_samples_keep_prompt_and_image_and_gain_an_answer(source: Path) -> None:
    out = source.parent / "sft.parquet"
    assert write_sft(source, out, writer("vision_r1", "resized_pixels")) == 3
    made, given = pq.read_table(out).to_pylist(), pq.read_table(source).to_pylist()
    for sample, before in zip(made, given, strict=True):
        assert [message["role"] for message in sample["messages"]] == ["user", "assistant"]
        assert sample["messages"][0] == before["prompt"][0]
        assert sample["images"] == before["images"]
    assert '{"bbox_2d": [10, 20, 201, 216], "label": "cat"}' in made[0]["messages"][1]["content"]


def test_the_other_commands_pass_over_them(source: Path) -> None:
    write_sft(source, source.parent / "sft_train.parquet", writer("vision_r1", "resized_pixels"))
    assert sample_files(source.parent) == [source]


def test_embedded_images_stay_embedded(source: Path) -> None:
    image = source.parent / "a.png"
    write_rows(source, [row(TARGETS["detection"], image, embed=True)], embedded=True)
    write_sft(source, source.parent / "sft.parquet", writer("vision_r1", "relative_1000"))
    (sample,) = pq.read_table(source.parent / "sft.parquet").to_pylist()
    assert sample["images"][0]["bytes"] == image.read_bytes()


def test_the_bounds_are_narrowed_to_the_processors(source: Path) -> None:
    narrow = replace(writer("vision_r1", "resized_pixels"), bounds=(3136, 50_176))
    write_sft(source, source.parent / "sft.parquet", narrow)
    sample = pq.read_table(source.parent / "sft.parquet").to_pylist()[0]
    assert sample["images"][0]["max_pixels"] == 50_176
    width, height = smart_resize(*SIZE, 28, 3136, 50_176)
    left = round(BOXES[0][0] * width / SIZE[0]), round(BOXES[0][1] * height / SIZE[1])
    assert f'"bbox_2d": [{left[0]}, {left[1]}, ' in sample["messages"][1]["content"]


@pytest.mark.verl
def test_verls_dataset_reads_them_as_the_model_sees_the_grpo_run(source: Path) -> None:
    from omegaconf import OmegaConf
    from transformers import AutoProcessor
    from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset

    out = source.parent / "sft.parquet"
    write_sft(source, out, Writer.of_model(str(MODEL), "vision_r1"))
    processor = AutoProcessor.from_pretrained(MODEL)
    config = OmegaConf.create({"pad_mode": "no_padding", "max_length": 4096, "ignore_input_ids_mismatch": True})
    sample = MultiTurnSFTDataset([str(out)], processor.tokenizer, config, processor)[0]
    answer = processor.tokenizer.decode(sample["input_ids"][sample["loss_mask"].bool()])
    assert '{"bbox_2d": [10, 20, 201, 216], "label": "cat"}' in answer
    assert answer.rstrip().endswith(processor.tokenizer.eos_token)
    width, height = smart_resize(*SIZE, 28, 3136, 401_408)
    image_tokens = int((sample["input_ids"] == processor.image_token_id).sum())
    assert image_tokens == width * height // 28**2
    message = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Find all."}]}]
    text = processor.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
    image = Image.new("RGB", (width, height), "grey")
    prompt = processor(text=[text], images=[image], return_tensors="pt")["input_ids"][0].tolist()
    assert sample["input_ids"].tolist()[: len(prompt)] == prompt


@pytest.mark.verl
def test_prepare_writes_them_beside_the_others(source: Path) -> None:
    lines = '{"image": "a.png", "boxes": [[10, 20, 200, 220]], "labels": ["cat"]}\n'
    (source.parent / "boxes.jsonl").write_text(lines, encoding="utf-8")
    given = ["prepare", "jsonl", "--source", str(source.parent / "boxes.jsonl"), "--out", str(source.parent / "data")]
    done = CliRunner().invoke(app, [*given, "--val-fraction", "1", "--sft", str(MODEL)])
    assert done.exit_code == 0, done.output
    assert "sft_val.parquet: 1 samples" in done.output.replace("\n", "")
    (sample,) = pq.read_table(source.parent / "data" / "sft_val.parquet").to_pylist()
    assert "cat" in sample["messages"][1]["content"]


@pytest.mark.parametrize(
    ("model", "prompt", "message"),
    [
        (str(MODEL), "none", "sft: expected --prompt to be one of vision_r1, "),
        ("/no/model", "vision_r1", "sft: expected a model folder .* got /no/model: there is no such folder"),
        ("no/model", "vision_r1", "sft: expected a model of a family .* got no/model"),
    ],
)
@pytest.mark.verl
def test_mistakes_are_named(model: str, prompt: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Writer.of_model(model, prompt)
