"""Imported by verl's workers under `vision_r1/freeze=vision_tower`: freezes the tower, but not its connector."""

from verl_vision_r1.training.frozen import register_engine

register_engine(connector=False)
