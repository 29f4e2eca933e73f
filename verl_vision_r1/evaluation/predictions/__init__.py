"""Input of an evaluation: predictions files, ground truth, and the protocols that parse completions."""
