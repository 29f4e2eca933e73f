"""The rollout page: the completions of a run, with boxes, matches and rewards, as one HTML file."""
