"""Agent loop manager that passes the validation flag on to the reward workers.

verl's V1 trainer drops the flag (`AgentLoopWorkerTQ.generate_sequences` pops it), but rewards need it for the constant
thresholds of validation. Selected by `actor_rollout_ref.rollout.agent.agent_loop_manager_class`.
"""

from tensordict import TensorDict
from verl.trainer.ppo.v1 import AgentLoopManagerTQ
from verl.utils import tensordict_utils


class VisionR1AgentLoopManager(AgentLoopManagerTQ):
    """verl's agent loop manager, with `is_validate` as a column of every batch."""

    def generate_sequences(self, prompts: TensorDict) -> None:
        """Pass a batch to the agent loop workers without blocking."""
        validate = bool(prompts["validate"]) if "validate" in prompts else False
        tensordict_utils.assign_non_tensor_data(prompts, "is_validate", validate)
        super().generate_sequences(prompts)
