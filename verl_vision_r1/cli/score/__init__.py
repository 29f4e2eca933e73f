"""The command `vision-r1 score`: its input, its work and its tables."""
