"""Spans of boxes in completions, spans of tokens, and the mean log-probability of each box."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_vision_r1.frames import YFirst
from verl_vision_r1.rewards.answers import PARSERS
from verl_vision_r1.rewards.answers.box_log_probs import (
    box_log_probs,
    read_log_probs,
    token_spans,
    write_log_probs,
)
from verl_vision_r1.rewards.answers.box_spans import box_spans

FRAME = (1000.0, 1000.0)


def found(text: str, parser: str, frame: tuple[float, float] = FRAME) -> list[list[str]]:
    answer = PARSERS[parser](text, frame)
    return [[text[start:end] for start, end in spans] for spans in box_spans(text, answer)]


@pytest.mark.parametrize(
    ("parser", "text", "expected"),
    [
        (
            "json_boxes",
            '```json\n[{"bbox_2d": [1, 2, 30, 40], "label": "cat"}, {"bbox_2d": [5, 6, 70, 80], "label": "dog"}]\n```',
            [["1, 2, 30, 40", "cat"], ["5, 6, 70, 80", "dog"]],
        ),
        (
            "json_boxes",
            '[{"label": "cat", "bbox_2d": [1, 2, 30, 40]}, {"label": "cat", "bbox_2d": [1, 2, 30, 40]}]',
            [["1, 2, 30, 40", "cat"], ["1, 2, 30, 40", "cat"]],
        ),
        (
            "tagged_boxes",
            "<think>[1, 2, 30, 40]?</think><answer>[{'Position': [1, 2, 30, 40], 'Confidence': 0.9}]</answer>",
            [["1, 2, 30, 40"]],
        ),
        (
            "marked_boxes",
            "<ref>cat</ref><box>[[1, 2, 30, 40], [5, 6, 70, 80]]</box>",
            [["1, 2, 30, 40", "cat"], ["5, 6, 70, 80"]],
        ),
        ("marked_boxes", "cat(1,2),(30,40) dog(5,6),(70,80)", [["1,2),(30,40", "cat"], ["5,6),(70,80", "dog"]]),
        ("points", '[{"point_2d": [30, 40], "label": "cat"}]', [["30, 40", "cat"]]),
        (
            "points",
            '<points x1="10.5" y1="20" x2="7" y2="8.1" alt="cat">cat</points>',
            [['10.5" y1="20'], ['7" y2="8.1', "cat"]],
        ),
        # A label in JSON's spelling, and a number of more digits than a coordinate has.
        ("json_boxes", '[{"bbox_2d": [1.0, 2, 3e1, 40], "label": "caf\\u00e9"}]', [["1.0, 2, 3e1, 40", "caf\\u00e9"]]),
        ("json_boxes", "no boxes", []),
    ],
)
def test_the_characters_of_each_box(parser: str, text: str, expected: list[list[str]]) -> None:
    assert found(text, parser) == expected


def test_axes_in_the_order_of_the_frame() -> None:
    text = '[{"box_2d": [2, 1, 40, 30], "label": "cat"}]'
    answer = PARSERS["json_boxes"](text.replace("box_2d", "bbox_2d"), YFirst(FRAME))
    spans = box_spans(text.replace("box_2d", "bbox_2d"), answer)
    assert len(spans[0]) == 2


def test_a_box_that_was_cut_has_no_span() -> None:
    text = '[{"bbox_2d": [1, 2, 1e12, 40], "label": "cat"}, {"bbox_2d": [5, 6, 70, 80], "label": "dog"}]'
    assert found(text, "json_boxes") == [[], ["5, 6, 70, 80", "dog"]]


@given(st.text(alphabet="[]{}(),.:\"'0123456789 -eEabx_\n<>/", max_size=200), st.sampled_from(sorted(PARSERS)))
def test_no_completion_raises_and_spans_are_ordered(text: str, parser: str) -> None:
    answer = PARSERS[parser](text, FRAME)
    spans = box_spans(text, answer)
    assert len(spans) == len(answer.boxes)
    starts = [own[0] for own in spans if own]
    assert all(0 <= start < end <= len(text) for own in spans for start, end in own)
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(starts))


class Bytes:
    """A tokenizer of bytes and of some words, as byte-level BPE: a character of several bytes is several tokens."""

    words = ('"cat"', "bbox_2d", "30")
    special = "<|box|>"

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        while text:
            if text.startswith(self.special):
                ids.append(256 + len(self.words))
                text = text[len(self.special) :]
                continue
            word = next((word for word in self.words if text.startswith(word)), "")
            ids += [256 + self.words.index(word)] if word else list(text[0].encode())
            text = text[len(word) or 1 :]
        return ids

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        data = b""
        for token in ids:
            if token == 256 + len(self.words):
                data += b"" if skip_special_tokens else self.special.encode()
            else:
                data += bytes([token]) if token < 256 else self.words[token - 256].encode()
        return data.decode(errors="replace")

    def batch_decode(self, batch: list[list[int]], skip_special_tokens: bool) -> list[str]:
        return [self.decode(ids, skip_special_tokens) for ids in batch]


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("text", ["", "abc", '"cat" 30', "猫 is 30 é", "<|box|>[1]<|box|>", "a\ufffdb"])
def test_token_spans_cover_the_text(text: str, special: bool) -> None:
    tokenizer = Bytes()
    ids = tokenizer.encode(text)
    written = tokenizer.decode(ids, not special)
    spans = token_spans(tokenizer, ids, written, special)
    assert spans is not None
    assert len(spans) == len(ids)
    assert "".join(written[start:end] for start, end in dict.fromkeys(spans)) == written


def test_a_token_that_is_left_out_has_no_characters() -> None:
    ids = Bytes().encode("<|box|>猫")
    assert token_spans(Bytes(), ids, "猫", False) == [(0, 0), *[(0, 1)] * 3]


def test_tokens_of_another_text_have_no_spans() -> None:
    assert token_spans(Bytes(), Bytes().encode("abc"), "abd", False) is None


def test_bytes_that_are_no_text_take_linear_time() -> None:
    ids = [0xE7] * 2_000
    text = Bytes().decode(ids, True)
    spans = token_spans(Bytes(), ids, text, False)
    assert spans is None or len(spans) == 2_000


def test_a_planted_completion() -> None:
    """Only the tokens of the coordinates and of the label count, each once."""
    text = 'Ein 猫: [{"bbox_2d": [1, 2, 30, 40], "label": "cat"}, {"bbox_2d": [5, 6, 70, 80], "label": "é"}]'
    tokenizer = Bytes()
    ids = tokenizer.encode(text)
    spans = token_spans(tokenizer, ids, text, False)
    assert spans is not None
    first, second = text.index("1, 2"), text.index("5, 6")
    own = {
        0: range(first, first + len("1, 2, 30, 40")),
        1: range(second, second + len("5, 6, 70, 80")),
    }
    labels = {0: range(text.index("cat"), text.index("cat") + 3), 1: range(text.rindex("é"), text.rindex("é") + 1)}
    log_probs = np.full(len(ids), -50.0)
    expected: dict[int, float] = {}
    generator = np.random.default_rng(0)
    for box, place in ((0, first), (1, second)):
        characters = {*own[box], *labels[box]}
        tokens = [token for token, (start, end) in enumerate(spans) if characters & set(range(start, end))]
        # "30" is one token, a digit one, "cat" with its quotes one; é is two bytes.
        assert len(tokens) == {0: 11 + 1, 1: 12 + 2}[box]
        log_probs[tokens] = -generator.random(len(tokens))
        expected[place] = float(log_probs[tokens].mean())
    answer = PARSERS["json_boxes"](text, FRAME)
    got = dict(box_log_probs(text, answer, spans, log_probs.tolist()))
    assert got.keys() == expected.keys()
    assert all(math.isclose(got[place], expected[place]) for place in expected)


def test_round_trip() -> None:
    pairs = [(3, -0.25), (70, -1.5)]
    assert read_log_probs(write_log_probs(pairs)) == dict(pairs)


@pytest.mark.parametrize("text", ["", "3", "[1]", '{"a": 1}', "[[1, 0.5]]", "[[1, NaN]]", "[" * 100_000])
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        read_log_probs(text)
