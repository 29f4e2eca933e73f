"""The generated part of docs/reference/metrics.md: every name that a sample's scores are logged under."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from generators import real_sample
from generators.markdown import table
from generators.real_sample import CRITERION, SOURCE
from verl_vision_r1.rewards.presets import load_preset, names_in
from verl_vision_r1.training.metrics import PREFIX

BEGIN: Final = "<!-- Made by docs/generate.py: begin -->"
END: Final = "<!-- Made by docs/generate.py: end -->"
SHARE: Final = ("share", "0 to 1")

MEANINGS: Final[dict[str, tuple[str, str, str]]] = {
    "total": ("the score", "", "the preset's"),
    "score": ("the score", "", "the preset's"),
    "reward": ("the score", "", "the preset's"),
    CRITERION: ("a criterion under the thresholds in force; 0 where the row's task does not have it", "", "its own"),
    f"{CRITERION}_raw": ("the same with refinement off", "", "its own"),
    "predicted_boxes": ("N, boxes of the answer", "boxes", "from 0"),
    "target_boxes": ("M, boxes of the row", "boxes", "from 0"),
    "matched_boxes": ("K, pairs of a predicted and a true box", "boxes", "0 to the smaller of N and M"),
    "mean_iou": ("IoU of the matched pairs, 0 without pairs", "", "0 to 1"),
    "parsed": ("something could be read in the answer", *SHARE),
    "unparsed": ("nothing could", *SHARE),
    "truncated": ("the answer ends inside its JSON", *SHARE),
    "clipped": ("the length limit cut the answer off", *SHARE),
    "out_of_frame": ("a box leaves the frame that the model answers in", *SHARE),
    "label_unknown": ("a label is not one that the row knows, or is missing", *SHARE),
    "criterion_failed": ("a function of the user's own raised, or returned no finite number", *SHARE),
    "image_unreadable": ("the image could not be read, and the sample scores 0", *SHARE),
    "response_length": ("length of the answer", "tokens", "from 0"),
    "scoring_seconds": ("from text to total, in a reward worker", "seconds", "from 0"),
    "groups/same_score": ("prompts whose rollouts all score the same: no gradient", *SHARE),
    "groups/all_zero": ("prompts whose rollouts all score 0", *SHARE),
    "stage": ("place in its curriculum of the stage in force", "", "0, 1, ..."),
    "xi0": ("least IoU of a pair that counts as found", "", "0 to 1"),
    "xi1": ("below it a value is refined to 0", "", "0 to 1"),
    "xi2": ("from it on a value is refined to 1", "", "0 to 1"),
    "input": ("the prompt", "text", ""),
    "output": ("the answer", "text", ""),
    "gts": ("the row's ground truth, as JSON", "text", ""),
    "step": ("step of the training, 0 before the first", "steps", "from 0"),
    "data_source": ("the data set and its task, such as `coco/detection`", "text", ""),
    "image_id": ("the image, as its data set names it", "text", ""),
    "question": ("which of the questions was asked", "text", ""),
    "subject": ("what the question is about", "text", ""),
    "image": ("path of the image; empty where the row holds it", "text", ""),
    "frame": ("width and height of the frame that the answer is in, such as `644x476`", "text", ""),
    "uid": ("name of the sample; those of one prompt begin alike", "text", ""),
}
"""Every key that is logged: meaning, unit, range."""

TITLES: Final[dict[str, Callable[[], Sequence[str]]]] = {
    "Training, every step": real_sample.training_names,
    "Validation": real_sample.validation_names,
    "A dump, each line": real_sample.dump_keys,
}


def page(written: str) -> str:
    """The page with its generated part anew; all around it stays.

    Raises:
        ValueError: The marks are not there, or a name that is logged has no meaning here.
    """
    before, begin, rest = written.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"docs/reference/metrics.md: expected the marks {BEGIN} and {END}, got a page without")
    return before + begin + "\n\n" + "\n".join(_sections()) + "\n" + end + after


def key_of(name: str) -> str:
    """The key of the reward that a metric is of.

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
