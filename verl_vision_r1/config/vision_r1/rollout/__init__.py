"""What `vision_r1/rollout=NAME` can name."""
