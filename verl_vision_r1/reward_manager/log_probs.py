"""From the log-probabilities of a completion's tokens to those of its boxes, for the predictions file."""

from collections.abc import Mapping, Sequence
from typing import Any

from verl_vision_r1.frames import Size
from verl_vision_r1.rewards.answers import Parser, wants_special_tokens
from verl_vision_r1.rewards.answers.box_log_probs import (
    TOKEN_LOG_PROBS,
    box_log_probs,
    token_spans,
    write_log_probs,
)


def token_log_probs(columns: Mapping[str, Any]) -> list[float]:
    """The log-probabilities of the tokens of a response, from our agent loop; empty outside of validation."""
    return (columns.get("tool_extra_fields") or {}).get(TOKEN_LOG_PROBS) or []


def box_log_probs_text(
    tokenizer: Any, ids: list[int], log_probs: Sequence[float], completion: str, parser: Parser, frame: Size
) -> str:
    """The mean log-probability of each box, as the text of a predictions file.

    Args:
        tokenizer: The tokenizer of the model.
        ids: L tokens of the response.
        log_probs: L log-probabilities.
        completion: Their text, as the parser reads it.
        parser: The parser of the reward configuration.
        frame: (width, height) of the frame of the predicted boxes.

    Returns:
        `[]` if there are no boxes, the parser raises, or the tokens do not add up to the completion.
    """
    try:
        answer = parser(completion, frame)
    except Exception:  # A custom parser: the flag of the score says so.
        return write_log_probs([])
    if not len(answer.boxes) or len(log_probs) != len(ids):
        return write_log_probs([])
    tokens = token_spans(tokenizer, ids, completion, wants_special_tokens(parser))
    return write_log_probs([] if tokens is None else box_log_probs(completion, answer, tokens, log_probs))
