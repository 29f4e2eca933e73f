"""Memory that torch allocates, to compare estimates with."""

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile


def allocated(call: Callable[[], Any]) -> tuple[int, int]:
    """Peak bytes that torch allocates during a call, and the bytes still allocated at its end, with its result."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as seen:
        held = call()
    events = [event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    levels = list(itertools.accumulate(event.nbytes() for event in events))
    del held
    return max(levels), levels[-1]


def model_of(config: Any, *, checkpointing: bool) -> Any:
    """A model with random float32 weights and allocated gradients."""
    from transformers import AutoModelForImageTextToText

    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_config(config, attn_implementation="sdpa", dtype=torch.float32).train()
    if checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    return model


def random_text(tokens: int, vocabulary: int) -> dict[str, torch.Tensor]:
    """One sequence of random tokens."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, vocabulary - 8, (1, tokens), generator=generator)
    return {"input_ids": ids, "position_ids": torch.arange(tokens).expand(3, 1, tokens)}


def step(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """A forward and a backward pass whose loss needs almost no memory."""
    loss: torch.Tensor = model(**inputs, use_cache=False).logits.mean()
    loss.backward()
    return loss


def step_of_verl(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """A forward and a backward pass with verl's log-probabilities."""
    from verl.utils.torch_functional import logprobs_from_logits

    logits = model(**inputs, use_cache=False).logits[0]
    loss: torch.Tensor = logprobs_from_logits(logits, inputs["input_ids"][0]).mean()
    del logits
    loss.backward()
    return loss
