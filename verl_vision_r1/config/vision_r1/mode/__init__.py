"""What `vision_r1/mode=NAME` can name."""
