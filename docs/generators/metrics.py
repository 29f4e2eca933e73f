"""The generated part of docs/reference/metrics.md: every name that a sample's scores are logged under."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from generators import real_sample
from generators.markdown import between_marks, table
from generators.real_sample import CRITERION, SOURCE
from verl_vision_r1.rewards.presets import load_preset, names_in
from verl_vision_r1.training.metrics import PREFIX

FRACTION: Final = ("fraction", "0 to 1")

MEANINGS: Final[dict[str, tuple[str, str, str]]] = {
    "total": ("the reward", "", "the preset's"),
    "acc": ("the completion is entirely correct; its definition depends on the task", *FRACTION),
    "score": ("the reward", "", "the preset's"),
    "reward": ("the reward", "", "the preset's"),
    CRITERION: ("a criterion under the current thresholds; 0 where the sample's task does not have it", "", "its own"),
    f"{CRITERION}_raw": ("the same without refinement", "", "its own"),
    "predicted_boxes": ("N, predicted boxes", "boxes", "from 0"),
    "target_boxes": ("M, ground-truth boxes", "boxes", "from 0"),
    "matched_boxes": ("K, matches of a predicted and a ground-truth box", "boxes", "0 to the smaller of N and M"),
    "mean_iou": ("mean IoU of the matches, 0 without matches", "", "0 to 1"),
    "parsed": ("the completion could be parsed, if only in part", *FRACTION),
    "unparsed": ("the completion could not be parsed", *FRACTION),
    "truncated": ("the completion ends inside its JSON", *FRACTION),
    "clipped": ("the completion was cut off at the length limit", *FRACTION),
    "out_of_frame": ("a predicted box reaches outside the frame", *FRACTION),
    "label_unknown": ("a predicted label is missing or unknown to the sample", *FRACTION),
    "criterion_failed": ("a custom function raised, or returned no finite number", *FRACTION),
    "image_unreadable": ("the image could not be read; the sample scores 0", *FRACTION),
    "response_length": ("length of the completion", "tokens", "from 0"),
    "scoring_seconds": ("time from completion to reward, in a reward worker", "seconds", "from 0"),
    "groups/same_score": ("prompts whose rollouts all have the same reward: no gradient", *FRACTION),
    "groups/all_zero": ("prompts whose rollouts all have reward 0", *FRACTION),
    "groups/all_right": ("prompts whose rollouts are all correct (`acc` 1)", *FRACTION),
    "groups/all_wrong": ("prompts without a correct rollout (`acc` 0)", *FRACTION),
    "groups/form_alone": (
        "prompts whose rollouts differ in the criterion `format` alone: equal `acc` and other criteria",
        *FRACTION,
    ),
    "negative": ("the ground truth is empty", *FRACTION),
    "refused": ("the completion is an explicit empty prediction: an empty list, or the number 0", *FRACTION),
    "refusal/negatives_refused": ("negative samples that are answered with an explicit empty prediction", *FRACTION),
    "refusal/positives_refused": ("other samples that are answered with an explicit empty prediction", *FRACTION),
    "curriculum/mean_iou": (
        "mean IoU of the matches over the window of a curriculum that waits; logged with one alone",
        "",
        "0 to 1",
    ),
    "stage": ("index of the current stage in its curriculum", "", "0, 1, ..."),
    "xi0": ("IoU from which a match counts as found", "", "0 to 1"),
    "xi1": ("below it a value is refined to 0", "", "0 to 1"),
    "xi2": ("from it on a value is refined to 1", "", "0 to 1"),
    "input": ("the prompt", "text", ""),
    "output": ("the completion", "text", ""),
    "gts": ("the sample's ground truth, as JSON", "text", ""),
    "step": ("training step, 0 before the first", "steps", "from 0"),
    "data_source": ("the dataset and the task, such as `coco/detection`", "text", ""),
    "image_id": ("the image's id in its dataset", "text", ""),
    "question": ("the question of the prompt template, such as `categories`", "text", ""),
    "subject": ("the category or expression that the question is about", "text", ""),
    "image": ("path of the image; empty where the parquet row embeds it", "text", ""),
    "frame": ("width and height of the frame of the predicted boxes, such as `644x476`", "text", ""),
    "uid": ("id of the sample; those of one prompt begin alike", "text", ""),
}
"""Every key that is logged: meaning, unit, range."""

TITLES: Final[dict[str, Callable[[], Sequence[str]]]] = {
    "Training, every step": real_sample.training_names,
    "Validation": real_sample.validation_names,
    "Rollout and predictions files, each line": real_sample.rollout_keys,
}


def page(written: str) -> str:
    """The page with its generated part made anew.

    Raises:
        ValueError: The marks are missing, or a name that is logged has no meaning here.
    """
    return between_marks(written, "\n".join(_sections()), "docs/reference/metrics.md")


def key_of(name: str) -> str:
    """The key of a sample's scores that a metric aggregates.

    Example:
        >>> key_of("critic/vision_r1/SOURCE/parsed/mean"), key_of("val-aux/SOURCE/parsed/mean@1")
        ('parsed', 'parsed')
    """
    inner = re.sub(rf"^({PREFIX}|val-(core|aux))/({SOURCE}/)?", "", name)
    return re.sub(r"/(mean|sum|max)(@\d+)?$", "", inner)


def _sections() -> Iterator[str]:
    for title, names in TITLES.items():
        yield f"## {title}\n"
        yield table(("name", "meaning", "unit", "range"), map(_row, names())) + "\n"
    yield "## Criteria of each preset\n"
    presets = ((f"`{name}`", " ".join(map(_code, load_preset(name).criteria))) for name in names_in("reward"))
    yield table(("preset", "criteria"), presets) + "\n"


def _row(name: str) -> tuple[str, ...]:
    if key_of(name) not in MEANINGS:
        raise ValueError(
            f"docs/generators/metrics.py: expected a meaning of every key that is logged, got none of {name}"
        )
    return _code(name.replace("@1", "@N")), *MEANINGS[key_of(name)]


def _code(name: str) -> str:
    return f"`{name}`"
