"""`vision-r1 rehearse`: one step of a run at its real size, on this machine's CPU, and whether the run would run.

The run's configuration composes, vLLM accepts its engine, verl's own workers take a training step on fake ranks with
the real shapes, the weights that they send fit into vLLM's model, and Ray finds a place for every worker. Tensors have
shapes and no values, so that no GPU, no weights and little memory are needed.

The steps run in processes of the rehearsal, because they change their process for good. Training and its remedies
share one, the rollout engine, the placement and the weight transfer another.
"""

from verl_vision_r1.preflight.rehearse.run import STEPS, Options, rehearse
from verl_vision_r1.preflight.rehearse.step import Step

__all__ = ["STEPS", "Options", "Step", "rehearse"]
