"""What `+recipe=NAME` can name."""
