"""verl's dataset with our checks: what travels, what is left out, what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

pytest.importorskip("qwen_vl_utils", reason="verl reads images with qwen_vl_utils")
pytestmark = pytest.mark.verl


@pytest.fixture(scope="module")
def processor(folder: Path) -> Any:
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(folder / "model")


def load(path: Path, processor: Any, max_prompt_length: int = 1024) -> Any:
    from verl_vision_r1.data.dataset import VisionR1Dataset

    config = OmegaConf.create({"max_prompt_length": max_prompt_length, "filter_overlong_prompts": True})
    return VisionR1Dataset([str(path)], processor.tokenizer, config, processor)


def size_of(row: Any) -> tuple[int, int]:
    target = json.loads(row["reward_model"]["ground_truth"])
    return target["width"], target["height"]


def test_images_travel_once_and_as_paths(folder: Path, processor: Any) -> None:
    row = load(folder / "train.parquet", processor)[0]
    assert "prompt" not in row
    assert "images" not in row
    image = row["raw_prompt"][0]["content"][0]
    assert Path(image["image"]).is_file()
    assert image["max_pixels"] == 401408


def test_prompts_are_as_long_as_verl_finds_them_by_decoding(folder: Path, processor: Any) -> None:
    from verl.utils.dataset.rl_dataset import build_multimodal_processor_inputs

    dataset = load(folder / "train.parquet", processor)
    row = dataset.dataframe[0]
    found = dataset.lengths.count(dataset.dataframe[0], *size_of(row))
    messages = dataset._build_messages(row, "prompt")
    text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    images, _, _ = dataset._process_multi_modal_info(messages, 14, dataset.config)
    inputs = build_multimodal_processor_inputs(
        processor, text=[text], images=images, videos=None, audio=None, mm_processor_kwargs={}
    )
    assert found == len(inputs["input_ids"][0])


def test_long_prompts_are_left_out(folder: Path, processor: Any) -> None:
    dataset = load(folder / "train.parquet", processor)
    row = dataset.dataframe[0]
    length = dataset.lengths.count(row, *size_of(row))
    assert len(load(folder / "train.parquet", processor, max_prompt_length=length)) == len(dataset) == 9
    with pytest.raises(ValueError, match=f"max_prompt_length: expected room .* got {length - 1}"):
        load(folder / "train.parquet", processor, max_prompt_length=length - 1)


def test_a_bad_file_is_refused_by_name(folder: Path, processor: Any) -> None:
    (folder / "empty.parquet").touch()
    with pytest.raises(ValueError, match=r"empty\.parquet: expected rows, got an empty file"):
        load(folder / "empty.parquet", processor)
    with pytest.raises(FileNotFoundError, match=r"missing\.parquet"):
        load(folder / "missing.parquet", processor)
