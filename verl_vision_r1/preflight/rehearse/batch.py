"""A batch of rollouts with the run's longest prompts and completions, as verl's agent loop hands it to a worker."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, cycle, islice
from typing import Any

import torch
from tensordict import TensorDict
from verl.utils import tensordict_utils

from verl_vision_r1.preflight.estimate.samples import Lengths

TOKEN = 1
"""A token that is not an image token."""


@dataclass(frozen=True)
class Rollout:
    """The lengths of a prompt and its completion.

    Attributes:
        prompt: Tokens of the prompt, with those of the image.
        completion: Tokens of the completion.
        rows: Rows of the image, in visual tokens.
        columns: Columns of the image, in visual tokens.
    """

    prompt: int
    completion: int
    rows: int
    columns: int

    @property
    def image(self) -> int:
        """Visual tokens of the image."""
        return self.rows * self.columns

    @property
    def tokens(self) -> int:
        """Tokens of prompt and completion."""
        return self.prompt + self.completion


def longest(lengths: Lengths, count: int, prompt: int, completion: int) -> list[Rollout]:
    """The longest rollouts that a worker can get.

    Args:
        lengths: Measured lengths of the run's prompts, or bounds.
        count: Number of rollouts.
        prompt: The run's longest prompt in tokens; verl drops the samples with longer ones.
        completion: The run's longest completion in tokens.

    Returns:
        Rollouts of full length: with the measured prompts, the longest first; else each as long as the run allows.

    Example:
        >>> longest(Lengths(None, (12,), (), "no samples"), 1, prompt=20, completion=5)
        [Rollout(prompt=20, completion=5, rows=3, columns=4)]
    """
    images = lengths.images
    pairs = zip(lengths.prompts or [prompt] * len(images), images, strict=True)
    kept = sorted((pair for pair in pairs if pair[0] <= prompt), reverse=True)
    return [Rollout(tokens, completion, *_grid(image)) for tokens, image in islice(cycle(kept), count)]


def _grid(tokens: int) -> tuple[int, int]:
    """Rows and columns of an image with this number of tokens, as square as possible."""
    rows = next(rows for rows in range(math.isqrt(tokens), 0, -1) if tokens % rows == 0)
    return rows, tokens // rows


def make_batch(rollouts: Sequence[Rollout], config: Any, options: dict[str, Any]) -> TensorDict:
    """The batch of one worker. Token ids, positions and image grids are real; pixels are as the mode makes them.

    Args:
        rollouts: Its B rollouts.
        config: The Hugging Face configuration of the model.
        options: What verl's trainer adds for the worker, such as the temperature.
    """
    completions = [rollout.completion for rollout in rollouts]
    tensors = {
        "input_ids": _nested([_ids(rollout, config.image_token_id) for rollout in rollouts]),
        "position_ids": _position_ids([rollout.tokens for rollout in rollouts], config),
        "prompts": _ones([rollout.prompt for rollout in rollouts]),
        **{name: _ones(completions) for name in ("responses", "response_mask", "loss_mask")},
        **{name: _ones(completions, torch.float32) for name in ("old_log_probs", "ref_log_prob", "advantages")},
        "multi_modal_inputs": [_image(rollout, config.vision_config) for rollout in rollouts],
    }
    options = {**options, "global_token_num": [rollout.tokens for rollout in rollouts]}
    batch: TensorDict = tensordict_utils.get_tensordict(tensor_dict=tensors, non_tensor_dict=options)
    return batch


def _ids(rollout: Rollout, image_token: int) -> torch.Tensor:
    ids = torch.full((rollout.tokens,), TOKEN)
    ids[: rollout.image] = image_token
    return ids


def _position_ids(lengths: Sequence[int], config: Any) -> torch.Tensor:
    """(B, L), or (B, 4, L) for M-RoPE: one axis for the text, three for the image."""
    positions = torch.cat([torch.arange(length) for length in lengths])
    if not _has_three_axes(config):
        return jagged(positions, lengths)
    return torch.nested.nested_tensor_from_jagged(positions.repeat(4, 1), offsets=_offsets(lengths), jagged_dim=2)


def _has_three_axes(config: Any) -> bool:
    return "mrope_section" in (getattr(config.get_text_config(), "rope_parameters", None) or {})


def _image(rollout: Rollout, vision: Any) -> dict[str, torch.Tensor]:
    """What the processor of a Qwen-VL or GLM-V model makes of an image: its patches, and their grid."""
    merge, channels = int(vision.spatial_merge_size), int(getattr(vision, "in_channels", 3))
    grid = (1, rollout.rows * merge, rollout.columns * merge)
    values = channels * int(vision.temporal_patch_size) * int(vision.patch_size) ** 2
    return {"pixel_values": torch.empty(math.prod(grid), values), "image_grid_thw": torch.tensor([grid])}


def _ones(lengths: Sequence[int], dtype: torch.dtype = torch.long) -> torch.Tensor:
    return jagged(torch.tensor([1] * sum(lengths), dtype=dtype), lengths)


def _nested(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    return jagged(torch.cat(list(tensors)), [len(tensor) for tensor in tensors])


def jagged(values: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
    """Values of B samples one after another as a nested tensor, (B, L)."""
    return torch.nested.nested_tensor_from_jagged(values, offsets=_offsets(lengths))


def _offsets(lengths: Sequence[int]) -> torch.Tensor:
    return torch.tensor([0, *accumulate(lengths)])
