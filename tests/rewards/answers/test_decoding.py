"""From tokens to text, with the special tokens that a parser asks for; by a tokenizer of the demo's kind."""

import functools
from typing import Any

import pytest

from verl_vision_r1.frames import Size
from verl_vision_r1.rewards.answers import PARSERS, Answer, wants_special_tokens
from verl_vision_r1.rewards.answers.decoding import decode

QWEN2 = "<|object_ref_start|>cat<|object_ref_end|><|box_start|>(1,2),(30,40)<|box_end|>"
GLM = "The cat is at <|begin_of_box|>[[1, 2, 30, 40]]<|end_of_box|>."
ENDS = ("<|endoftext|>", "<|im_end|>", "<|user|>")
MARKS = ("<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from verl_vision_r1.demo.tiny_model import make_tokenizer

    return make_tokenizer([QWEN2, GLM], (*ENDS, *MARKS, "<|begin_of_box|>", "<|end_of_box|>"))


def decoded(tokenizer: Any, text: str, parser: str) -> str:
    ends = tokenizer.convert_tokens_to_ids(list(ENDS))
    ids = tokenizer.encode(text, add_special_tokens=False)
    return decode(tokenizer, ids, ends, wants_special_tokens(PARSERS[parser]))


@pytest.mark.slow
@pytest.mark.parametrize(("parser", "text"), [("marked_boxes", QWEN2), ("glm_boxes", GLM), ("robust_boxes", GLM)])
@pytest.mark.parametrize("end", ["", "<|im_end|>", "<|user|>", "<|im_end|><|endoftext|><|endoftext|>"])
def test_a_form_of_special_tokens_survives_without_the_end(tokenizer: Any, parser: str, text: str, end: str) -> None:
    assert decoded(tokenizer, text + end, parser) == text


@pytest.mark.slow
def test_other_parsers_read_text_without_special_tokens(tokenizer: Any) -> None:
    assert decoded(tokenizer, GLM + "<|im_end|>", "json_boxes") == "The cat is at [[1, 2, 30, 40]]."


@pytest.mark.slow
def test_nothing_but_ends_is_an_empty_text(tokenizer: Any) -> None:
    assert decoded(tokenizer, "<|im_end|><|endoftext|>", "glm_boxes") == ""


def test_a_parser_keeps_its_wish_with_options_and_a_custom_one_has_its_own() -> None:
    def custom(completion: str, frame: Size) -> Answer:
        return Answer()

    assert wants_special_tokens(functools.partial(PARSERS["robust_boxes"], grounding=True))
    assert not wants_special_tokens(custom)
    custom.special_tokens = True  # type: ignore[attr-defined]
    assert wants_special_tokens(custom)
