"""The agent loop manager that tells the reward workers whether a sample is a validation sample.

verl's V1 trainer drops that flag on the way (`AgentLoopWorkerTQ.generate_sequences` pops it), so that a reward could
not keep its validation thresholds fixed. Selected by `actor_rollout_ref.rollout.agent.agent_loop_manager_class`.
"""

from tensordict import TensorDict
from verl.trainer.ppo.v1 import AgentLoopManagerTQ
from verl.utils import tensordict_utils


class VisionR1AgentLoopManager(AgentLoopManagerTQ):
    """verl's own manager, with `is_validate` as a column of every batch."""

    def generate_sequences(self, prompts: TensorDict) -> None:
        """Hand a batch to the agent loop workers without blocking."""
        validate = bool(prompts["validate"]) if "validate" in prompts else False
        tensordict_utils.assign_non_tensor_data(prompts, "is_validate", validate)
        super().generate_sequences(prompts)
