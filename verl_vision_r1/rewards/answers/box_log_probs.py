"""The mean log-probability of the tokens that write each box: how certain the model was of it.

A vision-language model gives boxes no confidence, and average precision needs one.
"""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.rewards.answers.answer import Answer
from verl_vision_r1.rewards.answers.box_spans import Span, box_spans
from verl_vision_r1.shown import shown

TOKEN_LOG_PROBS: Final = "token_log_probs"
"""Key of the log-probabilities of a completion's tokens, from our agent loop to the reward manager."""
BOX_LOG_PROBS: Final = "box_log_probs"
"""Key of a predictions file, with the text of `write_log_probs`."""
REPLACEMENT: Final = "\ufffd"
"""What a tokenizer writes for the bytes of an unfinished character."""
MAX_PIECES: Final = 8
"""Tokens that together write one character, at most; more are not valid UTF-8."""
DIGITS: Final = 5
"""Decimals of a log-probability in a predictions file."""


def token_spans(tokenizer: Any, ids: Sequence[int], text: str, special_tokens: bool) -> list[Span] | None:
    """The characters that each token of a completion writes.

    Args:
        tokenizer: The tokenizer of the model.
        ids: L tokens, as a list.
        text: Their text, from `decoding.decode`.
        special_tokens: Whether the text contains special tokens.

    Returns:
        L spans; tokens that write one character together have the same span, those that write nothing an empty one.
        None if the pieces do not add up to the text.
    """
    skip = not special_tokens
    pieces = tokenizer.batch_decode([[token] for token in ids], skip_special_tokens=skip)
    if not text.startswith("".join(pieces)) or any(REPLACEMENT in piece for piece in pieces):
        pieces = _pieces_in_context(tokenizer, ids, skip)
    ends = np.cumsum([len(piece) for piece in pieces], dtype=np.intp).tolist()
    # The tokens that end a completion with special tokens are not in its text.
    if not "".join(pieces).startswith(text):
        return None
    return _joined(list(pairwise([0, *ends])), pieces)


def _pieces_in_context(tokenizer: Any, ids: Sequence[int], skip: bool) -> list[str]:
    """The text that each token adds to those before it; a character in several tokens is with the last of them."""
    pieces: list[str] = []
    before: list[int] = []
    group: list[int] = []
    for token in ids:
        group.append(token)
        known = tokenizer.decode(before, skip_special_tokens=skip)
        added = tokenizer.decode(before + group, skip_special_tokens=skip)[len(known) :]
        if added.endswith(REPLACEMENT) and len(group) < MAX_PIECES:
            pieces.append("")
            continue
        pieces.append(added)
        before, group = group, []
    if group:
        known = tokenizer.decode(before, skip_special_tokens=skip)
        pieces[-1] = tokenizer.decode(before + group, skip_special_tokens=skip)[len(known) :]
    return pieces


def _joined(spans: list[Span], pieces: list[str]) -> list[Span]:
    """Spans where a token without text before one with a character of several bytes has the span of that."""
    joined = list(spans)
    for place in range(len(pieces) - 2, -1, -1):
        if not pieces[place] and pieces[place + 1] and not pieces[place + 1].isascii():
            joined[place] = joined[place + 1]
    return joined


def box_log_probs(
    text: str, answer: Answer, tokens: Sequence[Span], log_probs: Sequence[float]
) -> list[tuple[int, float]]:
    """The mean log-probability of the tokens of each box: of its coordinates and its label.

    A token belongs to a box if one of its characters does.

    Args:
        text: The completion.
        answer: The parsed completion.
        tokens: L spans of its tokens, from `token_spans`.
        log_probs: L natural logarithms of the probabilities with which they were sampled.

    Returns:
        For each box that is found in the text, the index of the first character of its coordinates and the mean.

    Example:
        >>> from verl_vision_r1.rewards.answers.points import parse_points
        >>> text, tokens = "(3, 4)", [(0, 1), (1, 2), (2, 4), (4, 5), (5, 6)]
        >>> box_log_probs(text, parse_points(text, (9, 9)), tokens, [-9.0, -0.5, -1.0, -1.5, -9.0])
        [(1, -1.0)]
    """
    starts, ends = np.array(tokens, dtype=np.intp).reshape(-1, 2).T
    values = np.asarray(log_probs, dtype=np.float64)
    found = []
    for spans in box_spans(text, answer):
        if spans:
            own = _within(starts, ends, spans)
            if own.any():
                found.append((spans[0][0], float(values[own].mean())))
    return found


def _within(starts: NDArray[np.intp], ends: NDArray[np.intp], spans: Sequence[Span]) -> NDArray[np.bool_]:
    """Whether each token has a character in one of the spans."""
    own: NDArray[np.bool_] = np.zeros(len(starts), np.bool_)
    for first, end in spans:
        own |= (starts < end) & (ends > first) & (ends > starts)
    return own


def write_log_probs(found: Sequence[tuple[int, float]]) -> str:
    """The text of a predictions file for the result of `box_log_probs`.

    Example:
        >>> write_log_probs([(1, -0.123456)])
        '[[1, -0.12346]]'
    """
    return json.dumps([[place, round(mean, DIGITS)] for place, mean in found])


def read_log_probs(text: Any) -> dict[int, float]:
    """The mean log-probability by the first character of the coordinates, from the text of a predictions file.

    Raises:
        ValueError: The text has another form.
    """
    try:
        pairs = {int(place): float(mean) for place, mean in json.loads(text)}
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"expected a list of pairs [character, log-probability], got {shown(text, 60)}") from error
    if not all(mean <= 0.0 for mean in pairs.values()):
        raise ValueError(f"expected log-probabilities of at most 0, got {max(pairs.values())}")
    return pairs
