"""verl's single-turn agent loop, which prepares a prompt once for its rollouts and passes on what a validation needs.

verl's loop reads the images of a prompt and tokenizes it anew in each of its rollouts. These start together and share
the messages: here the first one does it, and the others wait for it and use the same images.

verl's reward workers get the tokens of a completion, but not their log-probabilities, which the rollout engine returns
(`rollout.calculate_log_probs`). With them, the predictions file contains a confidence for each box. In training
nothing is added.

Selected by `actor_rollout_ref.rollout.agent.default_agent_loop`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from verl.experimental.agent_loop import AgentLoopOutput, SingleTurnAgentLoop
from verl.experimental.agent_loop.agent_loop import register

from verl_vision_r1.rewards.answers.box_log_probs import TOKEN_LOG_PROBS

Made = TypeVar("Made")

_awaited: WeakValueDictionary[tuple[Any, ...], asyncio.Task[Any]] = WeakValueDictionary()
"""Tasks that a rollout waits for. Nothing else keeps them, and so the images of a prompt go with its rollouts."""


async def once(messages: list[dict[str, Any]], step: str, make: Callable[[], Coroutine[Any, Any, Made]]) -> Made:
    """Take a step for all rollouts that wait for it with the same message objects.

    Args:
        messages: The messages of the prompt.
        step: A name of the step.
        make: Takes the step. What it raises is raised in every rollout that waits.
    """
    key = (step, *map(id, messages))
    task = _awaited.get(key)
    if task is None:
        task = _awaited[key] = asyncio.ensure_future(make())
    return await asyncio.shield(task)  # A rollout that is cancelled does not cancel the others'.


@register("vision_r1_single_turn")
class VisionR1SingleTurnLoop(SingleTurnAgentLoop):
    """verl's loop; in validation its outputs have `token_log_probs` among their extra fields, if there are any."""

    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **kwargs: Any) -> AgentLoopOutput:
        """Generate one completion."""
        output: AgentLoopOutput = await super().run(sampling_params, priority, **kwargs)
        if kwargs.get("is_validate") and output.response_logprobs:
            output.extra_fields[TOKEN_LOG_PROBS] = list(output.response_logprobs)
        return output

    async def process_multi_modal_info(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        """Read the images of the messages, once per prompt."""
        read = super().process_multi_modal_info
        return dict(await once(messages, "read", lambda: read(messages)))

    async def ct_build_initial_tokens(
        self, messages: list[dict[str, Any]], *args: Any, mm_inputs_out: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[int]:
        """Tokenize the messages with their images, once per prompt."""
        build = super().ct_build_initial_tokens

        async def make() -> tuple[list[int], dict[str, Any]]:
            inputs: dict[str, Any] = {}
            return await build(messages, *args, mm_inputs_out=inputs, **kwargs), inputs

        tokens, inputs = await once(messages, "tokenize", make)
        if mm_inputs_out is not None:
            mm_inputs_out.update(inputs)
        return list(tokens)
