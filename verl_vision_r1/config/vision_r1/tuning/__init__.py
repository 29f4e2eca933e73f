"""What `vision_r1/tuning=NAME` can name."""
