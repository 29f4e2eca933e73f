"""Explains a score: the match of each predicted box, its effect on the total, and notes on the completion.

It reports what the reward configuration computes, and computes no score of its own.
"""

from verl_vision_r1.rewards.explanation.explain import Explanation, Verdict, explain

__all__ = ["Explanation", "Verdict", "explain"]
