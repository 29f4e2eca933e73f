"""The floor of the benchmark: a step of GRPO by transformers and torch alone, in one process.

    python floor.py ROWS MODEL OUT STEPS SECONDS

It trains for STEPS steps, and further until the steps have taken SECONDS; the model after STEPS is saved as OUT/steps,
the last one as OUT/time.
"""

import sys
import time
from pathlib import Path
from typing import Any

import samples
import torch
from PIL import Image
from samples import PROMPTS, RATE, ROLLOUTS, TOKENS, Record
from transformers import AutoModelForImageTextToText, AutoProcessor


def train(rows: Path, folder: Path, out: Path, steps: int, seconds: float) -> None:
    """Train the model of a folder."""
    processor = AutoProcessor.from_pretrained(folder)
    processor.tokenizer.padding_side = "left"
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    chosen, record, first = samples.read_samples(rows), Record(out / "steps.json"), 0
    torch.manual_seed(0)
    while first < steps or sum(entry["step"] for entry in record.steps) < seconds:
        begin = time.time()
        batch = [chosen[(first * PROMPTS + place) % len(chosen)] for place in range(PROMPTS)]
        inputs, tokens, kept, scores = generate(model, processor, [row for row in batch for _ in range(ROLLOUTS)])
        generated = time.time()
        grouped = scores.view(PROMPTS, ROLLOUTS)
        advantages = (grouped - grouped.mean(1, keepdim=True)) / (grouped.std(1, keepdim=True) + 1e-6)
        loss = -(advantages.view(-1, 1) * log_probabilities(model, inputs, tokens, kept) * kept).sum() / kept.sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        record.add(begin, generated)
        first += 1
        if first == steps:
            save(model, processor, out / "steps")
    save(model, processor, out / "time")


def generate(model: Any, processor: Any, rows: list[dict[str, Any]]) -> tuple[Any, torch.Tensor, torch.Tensor, Any]:
    """Sample a completion for each row.

    Returns:
        The inputs, the (B, T) tokens of the completions, a (B, T) mask up to their ends, and the (B,) rewards.
    """
    template = processor.apply_chat_template
    texts = [template(samples.question(row), add_generation_prompt=True, tokenize=False) for row in rows]
    images = [Image.open(row["images"][0]["image"]) for row in rows]
    inputs = processor(text=texts, images=images, padding=True, return_tensors="pt")
    with torch.no_grad():
        sequences = model.generate(
            **inputs, max_new_tokens=TOKENS, do_sample=True, temperature=1.0, top_k=0, top_p=1.0
        )
    tokens = sequences[:, inputs["input_ids"].shape[1] :]
    ends = tokens == processor.tokenizer.eos_token_id
    kept = (ends.cumsum(1) - ends.long() == 0).long()
    completions = processor.tokenizer.batch_decode(tokens, skip_special_tokens=True)
    truths = (row["reward_model"]["ground_truth"] for row in rows)
    return inputs, tokens, kept, torch.tensor(list(map(samples.reward, completions, truths)))


def log_probabilities(model: Any, inputs: Any, tokens: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """The (B, T) log-probabilities of the completions' tokens."""
    extended = {
        "input_ids": torch.cat([inputs["input_ids"], tokens], 1),
        "attention_mask": torch.cat([inputs["attention_mask"], kept], 1),
        "mm_token_type_ids": torch.cat([inputs["mm_token_type_ids"], torch.zeros_like(tokens)], 1),
    }
    logits = model(**inputs | extended, use_cache=False, logits_to_keep=tokens.shape[1] + 1).logits[:, :-1]
    return torch.log_softmax(logits, -1).gather(-1, tokens[..., None])[..., 0]


def save(model: Any, processor: Any, folder: Path) -> None:
    """Save a model with its processor."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


if __name__ == "__main__":
    train(*map(Path, sys.argv[1:4]), int(sys.argv[4]), float(sys.argv[5]))
