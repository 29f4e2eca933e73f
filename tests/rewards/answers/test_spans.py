"""Marks and what stands between them: what regular expressions say, in linear time."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from least_time import least_seconds

from verl_vision_r1.rewards.answers.spans import first_on_one_line, spans
from verl_vision_r1.rewards.answers.tagged import has_form

PIECES = st.lists(st.sampled_from(["<a>", "</a>", "\n", "x", " ", "<think>", "</think>", "<answer>", "</answer>"]))


@given(PIECES.map("".join))
def test_the_same_as_regular_expressions(text: str) -> None:
    assert list(spans(text, "<a>", "</a>")) == re.findall("<a>(.*?)</a>", text, re.DOTALL)
    found = re.search("<a>(.*?)</a>", text)
    assert first_on_one_line(text, "<a>", "</a>") == (found.group(1) if found else None)
    form = re.fullmatch(r"<think>.*?</think>\s*<answer>.*?</answer>", text, re.DOTALL)
    assert has_form(text) == (form is not None)


@pytest.mark.parametrize(
    "text", ["<a>" * 50_000, "<a>\n" * 50_000 + "</a>", "</think><answer></answer>" * 9_000 + "x"]
)
def test_no_text_takes_long(text: str) -> None:
    def read() -> None:
        list(spans(text, "<a>", "</a>"))
        first_on_one_line(text, "<a>", "</a>")
        has_form(f"<think>{text}")

    assert least_seconds(read, 0.5) < 0.5
