"""A step of a rehearsal: Ray finds a place for every GPU worker of the run on a cluster of fake nodes.

verl's trainer builds its resource pools as in a run, and Ray reserves a bundle of each for every worker; no worker
starts. A fake node is a raylet that reports GPUs and CPU cores that the machine does not have. Networks, drivers and
what else runs on the real cluster are not checked.
"""

from verl_vision_r1.preflight.rehearse.placement.step import take

__all__ = ["take"]
