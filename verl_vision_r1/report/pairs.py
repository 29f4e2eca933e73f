"""Two runs on one page: each prompt with the same prompt of the other run."""

from collections.abc import Sequence
from typing import Any


def pair(prompts: Sequence[dict[str, Any]]) -> None:
    """Set `pair` and `listed` of the prompts of one or two runs.

    Args:
        prompts: The prompts as `document` describes them, with `run` 0 or 1. `pair` becomes the index of the same
            prompt in the other run, of the same kind, at the same or nearest step; None if there is none. `listed`
            becomes whether the prompt has a line of its own in the list: all but those of the second run that share
            the line of their pair.

    Example:
        >>> same = {"kind": "training", "identity": "a"}
        >>> prompts = [{**same, "run": run, "step": step} for run, step in ((0, 4), (1, 2), (1, 5))]
        >>> pair(prompts)
        >>> [(prompt["pair"], prompt["listed"]) for prompt in prompts]
        [(2, True), (0, True), (0, False)]
    """
    steps: dict[tuple[int, str, str], dict[int, int]] = {}
    for index, prompt in enumerate(prompts):
        steps.setdefault((prompt["run"], prompt["kind"], prompt["identity"]), {})[prompt["step"]] = index
    for prompt in prompts:
        others = steps.get((1 - prompt["run"], prompt["kind"], prompt["identity"]), {})
        nearest = min(others, key=lambda step: (abs(step - prompt["step"]), -step), default=None)
        prompt["pair"] = None if nearest is None else others[nearest]
    for index, prompt in enumerate(prompts):
        shares = prompt["run"] and prompt["pair"] is not None and prompts[prompt["pair"]]["pair"] == index
        prompt["listed"] = not shares
