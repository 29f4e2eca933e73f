"""Supervised training of the tiny model on the output format and on the positions of objects.

GRPO needs an initial model with some correct rollouts: if all rollouts of a group fail, there is no gradient.
"""

import functools
import json
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from verl_vision_r1.rewards.forms import correct_completion, rounded_boxes
from verl_vision_r1.rewards.presets import Preset, load_preset
from verl_vision_r1.targets import Target

BATCH: Final = 16
"""Examples per update."""
RATE: Final = 1.5e-3
WARM_UP: Final = 50
"""Steps of warm-up."""
LEAST: Final = 0.05
"""Fraction of the learning rate at the end."""
MEASURED: Final = 50
"""Steps between two measurements of the loss on held-out examples."""
PATIENCE: Final = 6
"""Measurements without a lower loss, after which the training ends."""

Example = dict[str, torch.Tensor]


class Examples:
    """Makes training examples of images, prompts and completions.

    Args:
        processor: The model's processor.
    """

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        self._prompts: dict[tuple[str, int], torch.Tensor] = {}

    def make(self, image: Any, question: str, answer: str) -> Example:
        """One example; the loss is on the tokens of the completion only.

        Args:
            image: The resized image; both sides are multiples of 28 pixels.
            question: The prompt, without `<image>`.
            answer: The completion, without the end token.
        """
        picture = self.processor.image_processor(images=[image], return_tensors="pt")
        prompt = self._prompt(question, int(picture["image_grid_thw"].prod()) // 4)
        tokenizer = self.processor.tokenizer
        completion = torch.tensor(tokenizer(answer + tokenizer.eos_token)["input_ids"])
        ids = torch.cat([prompt, completion])
        labels = torch.cat([torch.full_like(prompt, -100), completion])
        kinds = (ids == self.processor.image_token_id).long()
        by_token = {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "labels": labels,
            "mm_token_type_ids": kinds,
        }
        return {**by_token, **picture}

    def _prompt(self, question: str, image_tokens: int) -> torch.Tensor:
        key = (question, image_tokens)
        if key not in self._prompts:
            message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}
            text = self.processor.apply_chat_template([message], add_generation_prompt=True, tokenize=False)
            image = self.processor.image_token
            ids = self.processor.tokenizer(text.replace(image, image * image_tokens))["input_ids"]
            self._prompts[key] = torch.tensor(ids)
        return self._prompts[key]


def teach(
    folder: Path,
    batches: Callable[[Examples], Iterator[list[Example]]],
    steps: int,
    report: Callable[[int, float], None],
    rate: float = RATE,
    held_out: Callable[[Examples], list[Example]] | None = None,
) -> int:
    """Train a model in place with supervision: AdamW with a short warm-up and a cosine schedule.

    Args:
        folder: A model of `build_tiny_model`.
        batches: Returns endless batches, made by the `Examples` of this model.
        steps: Number of updates, one batch each.
        report: Called with each step and its loss.
        rate: The maximum learning rate.
        held_out: Returns examples that no batch contains. With it, the weights with the lowest loss on them are kept,
            and the training ends early once that loss has not fallen for `PATIENCE` measurements.

    Returns:
        The number of updates that were made.
    """
    from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration

    processor = AutoProcessor.from_pretrained(folder)
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.95), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate_factor(step, steps))
    examples, pad = Examples(processor), processor.tokenizer.pad_token_id
    best = Best(model, held_out(examples), pad) if held_out else None
    step = 0
    model.train()
    for step, batch in zip(range(1, steps + 1), batches(examples), strict=False):
        loss = model(**collate(batch, pad)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        report(step, float(loss.detach()))
        if best and (step % MEASURED == 0 or step == steps) and best.is_final():
            break
    if best:
        best.restore()
    model.save_pretrained(folder)
    return step


class Best:
    """The weights with the lowest loss on held-out examples.

    Args:
        model: The model in training.
        examples: The examples.
        pad: Id of the padding token.
    """

    def __init__(self, model: Any, examples: list[Example], pad: int) -> None:
        self.model = model
        self.batches = [collate(examples[start : start + BATCH], pad) for start in range(0, len(examples), BATCH)]
        self.loss, self.waited = math.inf, 0
        self.weights: dict[str, torch.Tensor] = {}

    def is_final(self) -> bool:
        """Measure the loss and keep the weights if it is the lowest; whether it has not fallen for too long."""
        loss = self._loss()
        if loss < self.loss:
            self.loss, self.waited = loss, 0
            self.weights = {name: weight.clone() for name, weight in self.model.state_dict().items()}
        else:
            self.waited += 1
        return self.waited >= PATIENCE

    def _loss(self) -> float:
        self.model.eval()
        with torch.no_grad():
            losses = [float(self.model(**batch).loss) for batch in self.batches]
        self.model.train()
        return sum(losses) / len(losses)

    def restore(self) -> None:
        """Give the model the kept weights."""
        self.model.load_state_dict(self.weights)


def _rate_factor(step: int, steps: int) -> float:
    cosine = (1 + math.cos(math.pi * step / steps)) / 2
    return min(1.0, (step + 1) / min(WARM_UP, max(steps // 10, 1))) * (LEAST + (1 - LEAST) * cosine)


def collate(batch: list[Example], pad: int, left: bool = False) -> Example:
    """Examples as one batch, padded on the right, or on the left for generation.

    Args:
        batch: The examples.
        pad: Id of the padding token.
        left: Whether to pad on the left.
    """
    side = "left" if left else "right"

    def padded(key: str, value: int) -> torch.Tensor:
        sequences = [example[key] for example in batch]
        return torch.nn.utils.rnn.pad_sequence(sequences, True, value, padding_side=side)

    filling = {"input_ids": pad, "labels": -100, "mm_token_type_ids": 0}
    return {
        **{key: padded(key, value) for key, value in filling.items() if key in batch[0]},
        "attention_mask": padded("attention_mask", 0),
        "pixel_values": torch.cat([example["pixel_values"] for example in batch]),
        "image_grid_thw": torch.cat([example["image_grid_thw"] for example in batch]),
    }


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a parquet file of `vision-r1 prepare`."""
    import pyarrow.parquet

    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    return rows


def batches_of_rows(examples: Examples, rows: list[dict[str, Any]], batch: int = BATCH) -> Iterator[list[Example]]:
    """Endless batches with correct completions; each sample once per epoch, without an incomplete last batch."""
    from qwen_vl_utils import fetch_image

    made = []
    for row in rows:
        image = fetch_image({"type": "image", **row["images"][0]})
        target = Target.from_json(row["reward_model"]["ground_truth"])
        question = row["prompt"][0]["content"].removeprefix("<image>")
        made.append(examples.make(image, question, perfect_answer(target, image.size)))
    generator = np.random.default_rng(0)
    while True:
        order = generator.permutation(len(made))
        for start in range(0, max(len(order) - batch, 0) + 1, batch):
            yield [made[index] for index in order[start : start + batch]]


def perfect_answer(target: Target, resized: tuple[int, int]) -> str:
    """The correct completion for a target: boxes in pixels of the resized image, or a class or a number.

    Args:
        target: The ground truth.
        resized: (width, height) of the resized image in pixels.
    """
    parser = _preset().rules_of(target).parser
    return str(correct_completion(target, parser, rounded_boxes(target, resized)))


@functools.cache
def _preset() -> Preset:
    return load_preset("robust")  # It reads the answers to all tasks.


def texts_of(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The prompts and correct completions of parquet rows, to train a tokenizer on."""
    for row in rows:
        yield row["prompt"][0]["content"]
        target = Target.from_json(row["reward_model"]["ground_truth"])
        yield perfect_answer(target, (target.width, target.height))
        yield json.dumps(target.categories)
