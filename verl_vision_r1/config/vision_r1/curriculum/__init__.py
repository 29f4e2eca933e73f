"""What `vision_r1/curriculum=NAME` can name."""
