"""Agent loop manager that passes the validation flag and the stage reached on to the reward workers.

verl's V1 trainer drops the flag (`AgentLoopWorkerTQ.generate_sequences` pops it), but rewards need it for the constant
thresholds of validation. Selected by `actor_rollout_ref.rollout.agent.agent_loop_manager_class`.
"""

from tensordict import TensorDict
from verl.trainer.ppo.v1 import AgentLoopManagerTQ
from verl.utils import tensordict_utils

from verl_vision_r1.rewards.readiness import Readiness


class VisionR1AgentLoopManager(AgentLoopManagerTQ):
    """verl's agent loop manager, with `is_validate` and `stage_reached` as columns of every batch.

    Attributes:
        readiness: Set by the trainer; None before it starts and in other trainer modes.
    """

    readiness: Readiness | None = None

    def generate_sequences(self, prompts: TensorDict) -> None:
        """Pass a batch to the agent loop workers without blocking."""
        validate = bool(prompts["validate"]) if "validate" in prompts else False
        tensordict_utils.assign_non_tensor_data(prompts, "is_validate", validate)
        reached = self.readiness.reached if self.readiness else 0
        tensordict_utils.assign_non_tensor_data(prompts, "stage_reached", reached)
        super().generate_sequences(prompts)
