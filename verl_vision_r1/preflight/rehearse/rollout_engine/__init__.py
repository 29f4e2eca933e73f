"""A step of a rehearsal: the rollout engine's own configuration, built from the arguments that verl passes to it.

verl's server class composes the arguments as in a run; the engine's code then accepts or refuses them. No weights, no
tokenizer and no GPU are needed. vLLM runs on its CPU platform, which decides the block size, CUDA graphs, asynchronous
scheduling and the attention backend itself and has no sleep mode: these are not checked.
"""

from verl_vision_r1.preflight.rehearse.rollout_engine.step import take

__all__ = ["take"]
