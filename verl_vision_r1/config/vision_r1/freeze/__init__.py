"""What `vision_r1/reward=NAME` can name."""
