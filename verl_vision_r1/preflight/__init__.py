"""Checks before a GPU is used: configuration, installation, memory and time."""
