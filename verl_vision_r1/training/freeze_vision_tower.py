"""Imported by verl's workers with `vision_r1/freeze=vision_tower`: freezes the vision tower, not the connector."""

from verl_vision_r1.training.frozen import register_engine

register_engine(connector=False)
