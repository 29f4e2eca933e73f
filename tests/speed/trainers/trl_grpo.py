"""GRPO by TRL on the samples of the benchmark.

    python trl_grpo.py ROWS MODEL OUT STEPS SECONDS

As `floor.py`: the model after STEPS is saved as OUT/steps, that after SECONDS of steps as OUT/time.
"""

import sys
import time
from pathlib import Path
from typing import Any

import samples
import torch
from datasets import Dataset
from datasets import Image as ImageColumn
from samples import PROMPTS, RATE, ROLLOUTS, TOKENS, Record
from transformers import AutoProcessor, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

LIMIT = 1_000
"""Most steps; the time ends the run before."""


class TimedTrainer(GRPOTrainer):
    """The trainer, which remembers when it has generated and scored."""

    generated = 0.0

    def _generate_and_score_completions(self, *arguments: Any, **options: Any) -> Any:
        batch = super()._generate_and_score_completions(*arguments, **options)
        self.generated = time.time()
        return batch


class Clock(TrainerCallback):
    """Records the steps, saves the two models and ends the run."""

    def __init__(self, out: Path, steps: int, seconds: float) -> None:
        self.record, self.out, self.steps, self.seconds = Record(out / "steps.json"), out, steps, seconds
        self.trainer: Any = None
        self.begin = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A step begins."""
        self.begin = time.time()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A step ends."""
        self.record.add(self.begin, self.trainer.generated)
        if state.global_step == self.steps:
            self.trainer.save_model(self.out / "steps")
        spent = sum(entry["step"] for entry in self.record.steps)
        control.should_training_stop = state.global_step >= self.steps and spent >= self.seconds


def train(rows: Path, folder: Path, out: Path, steps: int, seconds: float) -> None:
    """Train the model of a folder."""
    entries = [
        {
            "prompt": samples.question(row),
            "image": row["images"][0]["image"],
            "truth": row["reward_model"]["ground_truth"],
        }
        for row in samples.read_samples(rows)
    ]
    dataset = Dataset.from_list(entries).cast_column("image", ImageColumn())
    settings = GRPOConfig(
        output_dir=str(out / "trl"),
        max_steps=LIMIT,
        per_device_train_batch_size=PROMPTS * ROLLOUTS,
        num_generations=ROLLOUTS,
        max_completion_length=TOKENS,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        weight_decay=0.01,
        beta=0.0,
        temperature=1.0,
        bf16=False,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        gradient_checkpointing=False,
        shuffle_dataset=False,
        seed=0,
    )
    clock = Clock(out, steps, seconds)
    processor = AutoProcessor.from_pretrained(folder)
    clock.trainer = TimedTrainer(
        model=str(folder),
        reward_funcs=rewards,
        args=settings,
        train_dataset=dataset,
        processing_class=processor,
        callbacks=[clock],
    )
    torch.manual_seed(0)
    clock.trainer.train()
    clock.trainer.save_model(out / "time")


def rewards(completions: list[Any], truth: list[str], **_: Any) -> list[float]:
    """The rewards of a batch of completions, which are texts or messages."""
    texts = (made if isinstance(made, str) else made[0]["content"] for made in completions)
    return list(map(samples.reward, texts, truth))


if __name__ == "__main__":
    train(*map(Path, sys.argv[1:4]), int(sys.argv[4]), float(sys.argv[5]))
