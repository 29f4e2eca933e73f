"""What is most worth looking at in a run: where the page opens, and why."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Highlight:
    """A prompt that is worth looking at.

    Attributes:
        name: What it is the extreme of.
        prompt: Index of the prompt on the page.
        rollout: Index of the rollout to select.
        figures: The numbers that make it the extreme, in words.
    """

    name: str
    prompt: int
    rollout: int
    figures: str


def highlights(prompts: Sequence[dict[str, Any]], other: str = "") -> list[dict[str, Any]]:
    """The most interesting prompts, the best first: greatest drop, widest spread, worst validation.

    Args:
        prompts: The prompts of the page as `document` describes them. Those of a second run only serve to compare:
            what is lost against it then comes first.
        other: The name of the second run.

    Returns:
        Those that there are, for the script of the page.

    Example:
        >>> rollouts = [{"total": 0.1}, {"total": 0.9}]
        >>> same = {"run": 0, "pair": None, "kind": "training", "identity": "a", "rollouts": rollouts}
        >>> first, last = ({**same, "step": 1, "mean": 0.8, "std": 0.0}, {**same, "step": 5, "mean": 0.5, "std": 0.4})
        >>> [(item["name"], item["prompt"], item["figures"]) for item in highlights([first, last])]
        [('the greatest drop', 1, '0.80 to 0.50 since step 1'), ('the widest spread', 1, '0.10 to 0.90 in step 5')]
    """
    own = [index for index, prompt in enumerate(prompts) if prompt["run"] == 0]
    found = [
        _greatest_loss(prompts, own, other),
        _greatest_drop(prompts, own),
        _widest_spread(prompts, _last(prompts, own, "training")),
        _worst_validation(prompts, _last(prompts, own, "validation")),
    ]
    return [asdict(highlight) for highlight in found if highlight is not None]


def _greatest_loss(prompts: Sequence[dict[str, Any]], own: Sequence[int], other: str) -> Highlight | None:
    """The prompt whose mean reward is furthest below that of the second run."""
    losses = [
        (prompts[index]["mean"] - prompts[prompts[index]["pair"]]["mean"], index)
        for index in own
        if prompts[index]["pair"] is not None
    ]
    change, index = min(losses, default=(0.0, 0))
    if change >= 0:
        return None
    own_prompt, pair = prompts[index], prompts[prompts[index]["pair"]]
    figures = (
        f"{pair['mean']:.2f} in step {pair['step']} of {other}, {own_prompt['mean']:.2f} in step {own_prompt['step']}"
    )
    return Highlight("the greatest loss", index, _lowest(own_prompt), figures)


def _greatest_drop(prompts: Sequence[dict[str, Any]], own: Sequence[int]) -> Highlight | None:
    """The prompt whose mean reward fell most since the previous step that has it."""
    before: dict[tuple[str, str], dict[str, Any]] = {}
    drops = []
    for index in sorted(own, key=lambda index: prompts[index]["step"]):
        prompt = prompts[index]
        key = (prompt["kind"], prompt["identity"])
        if key in before:
            drops.append((prompt["mean"] - before[key]["mean"], index, before[key]))
        before[key] = prompt
    change, index, earlier = min(drops, key=lambda drop: drop[:2], default=(0.0, 0, {}))
    if change >= 0:
        return None
    figures = f"{earlier['mean']:.2f} to {prompts[index]['mean']:.2f} since step {earlier['step']}"
    return Highlight("the greatest drop", index, _lowest(prompts[index]), figures)


def _widest_spread(prompts: Sequence[dict[str, Any]], last: Sequence[int]) -> Highlight | None:
    """The prompt with the greatest standard deviation of the reward over its rollouts, at the last training step."""
    index = max(last, key=lambda index: prompts[index]["std"], default=None)
    if index is None or not prompts[index]["std"]:
        return None
    totals = [rollout["total"] for rollout in prompts[index]["rollouts"]]
    figures = f"{min(totals):.2f} to {max(totals):.2f} in step {prompts[index]['step']}"
    return Highlight("the widest spread", index, _lowest(prompts[index]), figures)


def _worst_validation(prompts: Sequence[dict[str, Any]], last: Sequence[int]) -> Highlight | None:
    """The prompt with the lowest mean reward at the last validation."""
    index = min(last, key=lambda index: prompts[index]["mean"], default=None)
    if index is None:
        return None
    figures = f"{prompts[index]['mean']:.2f} in step {prompts[index]['step']}"
    return Highlight("the worst validation", index, _lowest(prompts[index]), figures)


def _last(prompts: Sequence[dict[str, Any]], own: Sequence[int], kind: str) -> list[int]:
    """The prompts of the last step of a kind."""
    step = max((prompts[index]["step"] for index in own if prompts[index]["kind"] == kind), default=None)
    return [index for index in own if (prompts[index]["kind"], prompts[index]["step"]) == (kind, step)]


def _lowest(prompt: dict[str, Any]) -> int:
    """The rollout with the lowest reward."""
    totals = [rollout["total"] for rollout in prompt["rollouts"]]
    return totals.index(min(totals))
