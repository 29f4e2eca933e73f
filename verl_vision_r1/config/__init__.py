"""Hydra configurations; verl finds them through the plugin's search path."""
