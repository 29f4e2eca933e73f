"""verl's single-turn agent loop, which passes the log-probabilities of a validation's tokens to the reward workers.

verl's reward workers get the tokens of a completion, but not their log-probabilities, which the rollout engine returns
(`rollout.calculate_log_probs`). With them, the predictions file contains a confidence for each box. In training
nothing is added. Selected by `actor_rollout_ref.rollout.agent.default_agent_loop`.
"""

from typing import Any

from verl.experimental.agent_loop import AgentLoopOutput, SingleTurnAgentLoop
from verl.experimental.agent_loop.agent_loop import register

from verl_vision_r1.rewards.answers.box_log_probs import TOKEN_LOG_PROBS


@register("vision_r1_single_turn")
class VisionR1SingleTurnLoop(SingleTurnAgentLoop):
    """verl's loop; in validation its outputs have `token_log_probs` among their extra fields, if there are any."""

    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **kwargs: Any) -> AgentLoopOutput:
        """Generate one completion."""
        output: AgentLoopOutput = await super().run(sampling_params, priority, **kwargs)
        if kwargs.get("is_validate") and output.response_logprobs:
            output.extra_fields[TOKEN_LOG_PROBS] = list(output.response_logprobs)
        return output
