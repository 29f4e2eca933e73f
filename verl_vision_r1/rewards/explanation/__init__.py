"""Why an answer scores what it scores: which box was matched to what, what it is worth, and what the text lacks.

It reads the rules that scored the answer and states what follows from them; it decides nothing itself.
"""

from verl_vision_r1.rewards.explanation.explain import Explanation, Verdict, explain

__all__ = ["Explanation", "Verdict", "explain"]
