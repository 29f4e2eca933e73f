"""`vision-r1 gpu-check`: three steps of verl's trainer on this machine's GPUs with a 3.75-billion-parameter model.

The weights are random: nothing is downloaded and nothing is learnt. The check measures whether the pipeline runs, the
seconds of each part of a step, and the GPU memory. Without a GPU it prints the plan and is skipped.
"""
