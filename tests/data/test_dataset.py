"""verl's dataset class with our checks: what it sends, what it drops, what it rejects."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from PIL import Image

from verl_vision_r1.data.options import Source, Writing
from verl_vision_r1.data.prepare import prepare
from verl_vision_r1.demo.shapes import NAMES, SIDE

pytest.importorskip("qwen_vl_utils", reason="verl reads images with qwen_vl_utils")
pytestmark = pytest.mark.verl


@pytest.fixture(scope="module")
def processor(folder: Path) -> Any:
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(folder / "model")


def load(path: Path, processor: Any, max_prompt_length: int = 1024, **options: Any) -> Any:
    from verl_vision_r1.data.dataset import VisionR1Dataset

    limits = {"max_prompt_length": max_prompt_length, "filter_overlong_prompts": True}
    config = OmegaConf.create({**limits, **options})
    return VisionR1Dataset([str(path)], processor.tokenizer, config, processor)


def size_of(row: Any) -> tuple[int, int]:
    target = json.loads(row["reward_model"]["ground_truth"])
    return target["width"], target["height"]


def test_images_are_sent_once_and_as_paths(folder: Path, processor: Any) -> None:
    row = load(folder / "train.parquet", processor)[0]
    assert "prompt" not in row
    assert "images" not in row
    image = row["raw_prompt"][0]["content"][0]
    assert Path(image["image"]).is_file()
    assert image["max_pixels"] == 401408


def test_the_prompt_template_is_that_of_the_configuration(folder: Path, processor: Any) -> None:
    def text(**options: Any) -> str:
        prompt: str = load(folder / "train.parquet", processor, **options)[0]["raw_prompt"][0]["content"][1]["text"]
        return prompt

    assert text().startswith("Locate every item from the category list")
    assert text(prompt_templates={}) == text()
    names = ", ".join(NAMES)
    assert text(prompt_templates={"categories": "Where are: {categories}?"}) == f"Where are: {names}?"
    with pytest.raises(ValueError, match=r"parquet row 0: expected a question with a template in vision_r1\.prompt "):
        text(prompt_templates={"category": "Where is {category}?"})


def test_an_embedded_image_is_sent_once_and_compressed(folder: Path, processor: Any, tmp_path: Path) -> None:
    from qwen_vl_utils import fetch_image
    from verl.utils.dataset.rl_dataset import RLHFDataset

    prepare([Source("coco", str(folder / "source"))], tmp_path, Writing(embed=True))
    ours = load(tmp_path / "train.parquet", processor)
    image = ours[0]["raw_prompt"][0]["content"][0]
    assert image.keys() == {"type", "image", "min_pixels", "max_pixels"}
    assert fetch_image(image).size == (SIDE, SIDE)
    # Not verl's own filter, which forks: a forked process that used several threads may hang.
    config = OmegaConf.merge(ours.config, {"filter_overlong_prompts": False})
    stock = RLHFDataset([str(tmp_path / "train.parquet")], processor.tokenizer, config, processor)
    sent, usual = (sum(len(pickle.dumps(value)) for value in rows[0].values()) for rows in (ours, stock))
    assert sent < 0.55 * usual


def test_bounds_are_narrowed_to_the_processors(folder: Path, processor: Any) -> None:
    bounds = {"min_pixels": 10_000, "max_pixels": 20_000}
    dataset = load(folder / "train.parquet", processor, mm_processor_kwargs=bounds)
    image = dataset[0]["raw_prompt"][0]["content"][0]
    assert (image["min_pixels"], image["max_pixels"]) == (10_000, 20_000)


def test_a_subset_of_the_samples_is_measured_again(folder: Path, processor: Any) -> None:
    from verl_vision_r1.data.dataset import VisionR1Dataset

    dataset = load(folder / "train.parquet", processor)
    files = [str(folder / "train.parquet")]
    assert len(VisionR1Dataset(files, processor.tokenizer, dataset.config, processor, max_samples=4)) == 4


def test_prompt_lengths_equal_those_that_verl_gets_by_decoding(folder: Path, processor: Any) -> None:
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


@pytest.mark.slow
@pytest.mark.parametrize("family", ["qwen3_5", "glm4v", "gemma4"])
def test_an_image_has_the_tokens_that_the_processor_of_each_family_gives(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qwen_vl_utils import fetch_image
    from transformers import AutoProcessor

    from verl_vision_r1.data.prompt_length import PromptLength, narrowed, processor_bounds
    from verl_vision_r1.prompts import Prompts

    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "engine"))
    from families import build_family

    processor = AutoProcessor.from_pretrained(build_family(family, tmp_path, ["cat"]))
    lengths = PromptLength(processor, Prompts({}), processor_bounds(processor), {})
    for size in ((640, 480), (333, 1117), (96, 96), (3000, 200)):
        image = narrowed({"min_pixels": 3136, "max_pixels": 401408}, lengths.bounds)
        bounds = dict(zip(("min_pixels", "max_pixels"), image, strict=True))
        row = {"prompt": [{"role": "user", "content": "<image>cat"}], "images": [bounds]}
        row["reward_model"] = {"ground_truth": "{}"}
        picture = fetch_image({"image": Image.new("RGB", size), **bounds}, processor.image_processor.patch_size)
        parts = [{"type": "image"}, {"type": "text", "text": "cat"}]
        text = processor.apply_chat_template(
            [{"role": "user", "content": parts}], add_generation_prompt=True, tokenize=False
        )
        assert lengths.count(row, *size) == len(processor(text=[text], images=[picture])["input_ids"][0]), size


def test_long_prompts_are_dropped(folder: Path, processor: Any) -> None:
    dataset = load(folder / "train.parquet", processor)
    row = dataset.dataframe[0]
    length = dataset.lengths.count(row, *size_of(row))
    assert len(load(folder / "train.parquet", processor, max_prompt_length=length)) == len(dataset) == 9
    with pytest.raises(ValueError, match=f"max_prompt_length: expected room .* got {length - 1}, which is too short"):
        load(folder / "train.parquet", processor, max_prompt_length=length - 1)


def test_a_bad_file_is_named(folder: Path, processor: Any) -> None:
    (folder / "empty.parquet").touch()
    with pytest.raises(ValueError, match=r"empty\.parquet: expected samples, got an empty file"):
        load(folder / "empty.parquet", processor)
    with pytest.raises(FileNotFoundError, match=r"missing\.parquet"):
        load(folder / "missing.parquet", processor)
