"""What `vision_r1/engine=NAME` can name."""
