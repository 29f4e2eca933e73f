"""Imported by verl's workers under `vision_r1/freeze=vision`: freezes the vision tower and its connector."""

from verl_vision_r1.training.frozen import register_engine

register_engine(connector=True)
