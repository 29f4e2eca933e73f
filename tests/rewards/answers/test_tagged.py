"""Tagged text as `robust` reads it: every tag stands once, and a template may have opened the thinking block."""

import pytest

from verl_vision_r1.rewards.answers.tagged import parse_tagged_text_strictly

FRAME = (640, 480)


@pytest.mark.parametrize(
    ("text", "well_formed"),
    [
        ("<think>a</think> <answer>3</answer>", True),
        ("<think>a</think> <answer>3</answer><answer>4</answer>", False),
        ("<think>a <answer>4</answer></think> <answer>3</answer>", False),
        ("<think>a</think></think> <answer>3</answer>", False),
        ("So: <think>a</think> <answer>3</answer>", False),
        ("I count.\n</think>\n\n<answer>3</answer>", True),
        ("I count.</think> so <answer>3</answer>", False),
        ("<think><think>a</think> <answer>3</answer>", False),
        ("a <think> b</think> <answer>3</answer>", False),
        ("<think>a</think> <answer>3</answer><|im_end|>", True),
        ("<answer>3</answer>", False),
    ],
)
def test_every_tag_stands_once(text: str, well_formed: bool) -> None:
    assert parse_tagged_text_strictly(text, FRAME).well_formed is well_formed
