"""Tokens of images and prompts, against what the run allows."""

from collections.abc import Iterator

from verl_vision_r1.preflight.estimate.figure import Figure
from verl_vision_r1.preflight.estimate.plan import Plan
from verl_vision_r1.preflight.estimate.samples import at_share


def figures(plan: Plan) -> Iterator[Figure]:
    """The section on prompts."""
    lengths, limit = plan.lengths, int(plan.config.data.max_prompt_length)
    side = f"{plan.model.side} by {plan.model.side} pixels to a token"
    if lengths.rows is None:
        yield Figure("image tokens, at most", lengths.images[0], "tokens", f"{side}; {lengths.basis}")
    else:
        yield Figure("image tokens", _spread(lengths.images), "", f"median, 95%, most; {side}; {lengths.basis}")
    if lengths.prompts:
        out = sum(length > limit for length in lengths.prompts)
        yield Figure(
            "prompt tokens", _spread(lengths.prompts), "", f"median, 95%, most; text and images; {lengths.basis}"
        )
        yield Figure(
            "prompts too long",
            out,
            f"of {len(lengths.prompts):,}",
            f"above max_prompt_length {limit:,}; verl leaves them out",
        )
    else:
        most = max(lengths.images)
        room = (
            f"{limit - most:,} of max_prompt_length {limit:,} are left for words"
            if most < limit
            else "images alone are too long"
        )
        yield Figure("prompt tokens", None, "", f"{room}; taken as {limit:,} below")


def _spread(lengths: tuple[int, ...]) -> str:
    return ", ".join(f"{at_share(lengths, share):,}" for share in (0.5, 0.95, 1.0))
