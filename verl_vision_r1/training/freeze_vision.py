"""Imported by verl's workers with `vision_r1/freeze=vision`: freezes the vision tower and the connector."""

from verl_vision_r1.training.frozen import register_engine

register_engine(connector=True)
