"""A minute of supervised training: the tiny model learns the form of an answer, and roughly where things are.

Reinforcement needs a start that is sometimes right: where every rollout of a group fails alike, there is no gradient.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from verl_vision_r1.answers import write_json_boxes
from verl_vision_r1.frames import to_frame
from verl_vision_r1.targets import Target

BATCH: Final = 16
"""Examples of one update."""

Example = dict[str, Any]


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a parquet file that `vision-r1 prepare` wrote."""
    import pyarrow.parquet

    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    return rows


def perfect_answer(target: Target, resized: tuple[int, int]) -> str:
    """The answer that a perfect model would give: boxes in pixels of the resized image, or a class or a number."""
    if target.task in ("classification", "counting"):
        return f"<think> </think> <answer>{target.labels[0] if target.labels else target.instances}</answer>"
    return write_json_boxes(to_frame(target.boxes, (target.width, target.height), resized), target.labels)


def teach(model_folder: Path, rows: list[dict[str, Any]], steps: int, report: Callable[[int, float], None]) -> None:
    """Train the model in place on the rows' own answers and write it back.

    Args:
        model_folder: A model that `build_tiny_model` made.
        rows: Training rows.
        steps: Updates of `BATCH` examples each.
        report: Called with the step and its loss.
    """
    from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration

    processor = AutoProcessor.from_pretrained(model_folder)
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(model_folder, dtype=torch.float32)
    examples = [_example(processor, row) for row in rows]
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=steps, pct_start=0.1)
    model.train()
    for step, batch in zip(range(1, steps + 1), _batches(examples, BATCH), strict=False):
        loss = model(**_collate(batch, processor.tokenizer.pad_token_id)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        report(step, float(loss.detach()))
    model.save_pretrained(model_folder)


def _example(processor: Any, row: dict[str, Any]) -> Example:
    from qwen_vl_utils import fetch_image

    image = fetch_image({"type": "image", **row["images"][0]})
    prompt = row["prompt"][0]["content"].removeprefix("<image>")
    message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}
    question = processor.apply_chat_template([message], add_generation_prompt=True, tokenize=False)
    inputs = processor(text=[question], images=[image], return_tensors="pt")
    target = Target.from_json(row["reward_model"]["ground_truth"])
    text = perfect_answer(target, image.size) + processor.tokenizer.eos_token
    answer = torch.tensor(processor.tokenizer(text)["input_ids"])
    ids = torch.cat([inputs["input_ids"][0], answer])
    labels = torch.cat([torch.full_like(inputs["input_ids"][0], -100), answer])
    kinds = torch.cat([inputs["mm_token_type_ids"][0], torch.zeros_like(answer)])
    picture = {"pixel_values": inputs["pixel_values"], "image_grid_thw": inputs["image_grid_thw"]}
    return {"input_ids": ids, "labels": labels, "mm_token_type_ids": kinds, **picture}


def _batches(examples: list[Example], size: int) -> Iterator[list[Example]]:
    """Without end, each example once in every pass; what is left over of a pass goes into none."""
    generator = np.random.default_rng(0)
    while True:
        order = generator.permutation(len(examples))
        for start in range(0, max(len(order) - size, 0) + 1, size):
            yield [examples[index] for index in order[start : start + size]]


def _collate(batch: list[Example], pad: int) -> dict[str, torch.Tensor]:
    def padded(key: str, value: int) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence([example[key] for example in batch], True, value)

    ids = padded("input_ids", pad)
    lengths = torch.tensor([len(example["input_ids"]) for example in batch])
    return {
        "input_ids": ids,
        "attention_mask": (torch.arange(ids.shape[1])[None, :] < lengths[:, None]).long(),
        "labels": padded("labels", -100),
        "mm_token_type_ids": padded("mm_token_type_ids", 0),
        "pixel_values": torch.cat([example["pixel_values"] for example in batch]),
        "image_grid_thw": torch.cat([example["image_grid_thw"] for example in batch]),
    }


def texts_of(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The prompts and perfect answers of rows: what a tokenizer for them is trained on."""
    for row in rows:
        yield row["prompt"][0]["content"]
        target = Target.from_json(row["reward_model"]["ground_truth"])
        yield perfect_answer(target, (target.width, target.height))
        yield json.dumps(target.categories)
