"""Adapter to verl's reward manager. Importing it registers `vision_r1`."""

from verl_vision_r1.reward_manager.manager import VisionR1RewardManager

__all__ = ["VisionR1RewardManager"]
