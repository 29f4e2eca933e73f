"""The rollout page: verl's dumps of answers as one HTML file that a person can look at."""
