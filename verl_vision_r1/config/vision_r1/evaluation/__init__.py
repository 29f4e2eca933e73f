"""What `+vision_r1/evaluation=NAME` can name."""
