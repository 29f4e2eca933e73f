"""`vision-r1 rehearse`: one step of a run at its real size, on this machine's CPU, and whether the run would run.

The run's configuration composes, vLLM accepts its engine, verl's own workers take a training step on fake ranks with
the real shapes, the weights that they send fit into vLLM's model, and Ray finds a place for every worker. Tensors have
shapes and no values, so that no GPU, no weights and little memory are needed.

Each step runs in a process of its own, because it changes its process for good.
"""

from verl_vision_r1.preflight.rehearse.run import Options, rehearse
from verl_vision_r1.preflight.rehearse.step import Step

__all__ = ["Options", "Step", "rehearse"]
