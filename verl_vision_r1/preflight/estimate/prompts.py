"""Section on prompts: tokens of images and prompts, and the limits of the run."""

from collections.abc import Iterator

from verl_vision_r1.preflight.estimate.figure import Figure
from verl_vision_r1.preflight.estimate.plan import Plan
from verl_vision_r1.preflight.estimate.samples import quantile


def figures(plan: Plan) -> Iterator[Figure]:
    """The section on prompts."""
    lengths, limit = plan.lengths, int(plan.config.data.max_prompt_length)
    side = f"{plan.model.side} by {plan.model.side} pixels per token"
    if lengths.samples is None:
        yield Figure("image tokens, at most", lengths.images[0], "tokens", f"{side}; {lengths.basis}")
    else:
        basis = f"median, 95 %, maximum; {side}; {lengths.basis}"
        yield Figure("image tokens", _quantiles(lengths.images), "", basis)
    if not lengths.prompts:
        yield Figure("prompt tokens", None, "", f"{_rest(limit, max(lengths.images))}; assumed {limit:,} below")
        return
    basis = f"median, 95 %, maximum; text and images; {lengths.basis}"
    yield Figure("prompt tokens", _quantiles(lengths.prompts), "", basis)
    too_long = sum(length > limit for length in lengths.prompts)
    basis = f"longer than max_prompt_length {limit:,}; verl drops them"
    yield Figure("prompts too long", too_long, f"of {len(lengths.prompts):,}", basis)


def _rest(limit: int, images: int) -> str:
    if images >= limit:
        return f"the images alone exceed max_prompt_length {limit:,}"
    return f"{limit - images:,} of max_prompt_length {limit:,} remain for text"


def _quantiles(lengths: tuple[int, ...]) -> str:
    return ", ".join(f"{quantile(lengths, fraction):,}" for fraction in (0.5, 0.95, 1.0))
