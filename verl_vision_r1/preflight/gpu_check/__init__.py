"""`vision-r1 gpu-check`: three steps of verl's own trainer on this machine's GPUs, with a model of real size.

The weights are random, so nothing is fetched and nothing is learnt: what is looked at is whether the whole pipeline
runs, how long each part of a step takes, and how much memory it needs. Without a GPU it says what it would do, and
passes no judgement.
"""
