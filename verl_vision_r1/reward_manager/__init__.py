"""verl's side of the rewards: the one room that knows verl's reward interface. Importing it registers `vision_r1`."""

from verl_vision_r1.reward_manager.manager import VisionR1RewardManager

__all__ = ["VisionR1RewardManager"]
