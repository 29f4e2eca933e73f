"""The confidence of each predicted box: what the protocol says, the log-probability of its tokens, or a constant.

Average precision ranks predictions by confidence. Vision-language models give boxes none, so that published figures
rest on a constant, and then on the order in which the model writes. The log-probabilities of the tokens are a real
ranking.
"""

import math
from collections.abc import Sequence
from typing import Final

from verl_vision_r1.evaluation.predictions.predictions_file import Line
from verl_vision_r1.evaluation.predictions.protocols import Protocol
from verl_vision_r1.rewards.answers import Answer
from verl_vision_r1.rewards.answers.box_log_probs import BOX_LOG_PROBS
from verl_vision_r1.rewards.answers.box_spans import box_spans

PROTOCOL: Final = "protocol"
LOG_PROB: Final = "logprob"
CONSTANT: Final = "constant"

CONFIDENCES: Final = {
    PROTOCOL: "as the protocol says: the predicted confidence or a constant",
    LOG_PROB: "the geometric mean of the probabilities of the tokens of the box: its coordinates and its label",
    CONSTANT: "1 for every box",
}
"""The sources of confidences, as in `--confidence`."""


def confidences(line: Line, answer: Answer, protocol: Protocol, source: str) -> list[float]:
    """The confidence of each box of a parsed completion, in [0, 1].

    Args:
        line: The completion.
        answer: The same, parsed, with N boxes.
        protocol: The protocol.
        source: One of `CONFIDENCES`. For `logprob`, a box without log-probability has the confidence 0.

    Returns:
        N confidences.
    """
    if source == CONSTANT:
        return [1.0] * len(answer.boxes)
    if source == PROTOCOL:
        return protocol.scores(answer)
    known = line.log_probs or {}
    places = (spans[0][0] if spans else -1 for spans in box_spans(line.text, answer))
    return [math.exp(known[place]) if place in known else 0.0 for place in places]


def expect_confidences(lines: Sequence[Line], source: str) -> None:
    """Check that the predictions have what a source of confidences needs.

    Raises:
        ValueError: The source is unknown, or it is `logprob` and a prediction has no log-probabilities.
    """
    if source not in CONFIDENCES:
        raise ValueError(f"confidence: expected one of {', '.join(CONFIDENCES)}, got {source!r}")
    missing = [line.number for line in lines if line.log_probs is None] if source == LOG_PROB else []
    if missing:
        raise ValueError(
            f"confidence {LOG_PROB}: expected {BOX_LOG_PROBS} in every line, got none in line {missing[0]} and"
            f" {len(missing) - 1} more; validate again with"
            " actor_rollout_ref.rollout.agent.default_agent_loop=vision_r1_single_turn and"
            " actor_rollout_ref.rollout.calculate_log_probs=true"
        )
