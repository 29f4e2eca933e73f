"""A step of a rehearsal: the weights that the actor sends are those that vLLM's model takes.

vLLM's model of the run is built on torch's `meta` device, as rank 0 of its tensor-parallel group, and verl's receiver
loads the actor's names and shapes into it. No weights are needed. Values, the transfer itself and what vLLM does with
the weights after loading are not checked.
"""

from verl_vision_r1.preflight.rehearse.weight_transfer.step import take

__all__ = ["take"]
