"""The mean log-probability of the tokens that write each box: how certain the model was of it.

A vision-language model gives boxes no confidence, and average precision needs one.
"""

import json
from collections.abc import Sequence
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
    pieces = [(piece, 1) for piece in tokenizer.batch_decode([[token] for token in ids], skip_special_tokens=skip)]
    if not _write(pieces, text) or any(REPLACEMENT in piece for piece, _ in pieces):
        pieces = _pieces_in_context(tokenizer, ids, skip)
    if not _write(pieces, text):
        return None
    spans: list[Span] = []
    end = 0
    for piece, count in pieces:
        start, end = end, end + len(piece)
        spans += [(start, end)] * count
    return spans


def _write(pieces: Sequence[tuple[str, int]], text: str) -> bool:
    """Whether pieces begin with a text; the tokens that end a completion with special tokens are not in it."""
    return "".join(piece for piece, _ in pieces).startswith(text)


def _pieces_in_context(tokenizer: Any, ids: Sequence[int], skip: bool) -> list[tuple[str, int]]:
    """What each token adds to the text of those before it, and 1; a character in several tokens, and their number."""
    pieces: list[tuple[str, int]] = []
    before: list[int] = []
    group: list[int] = []
    for place, token in enumerate(ids, start=1):
        group.append(token)
        known = tokenizer.decode(before, skip_special_tokens=skip)
        added = tokenizer.decode(before + group, skip_special_tokens=skip)[len(known) :]
        if added.endswith(REPLACEMENT) and len(group) < MAX_PIECES and place < len(ids):
            continue  # An unfinished character.
        pieces.append((added, len(group)))
        before, group = group, []
    return pieces


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
