"""The choices of `vision_r1/evaluation=NAME`."""
