"""Colours, fonts and names that all figures share."""

from collections.abc import Sequence
from typing import Final

from verl_vision_r1.evaluation.measures.outcomes import MISSED, OUTCOMES

BLUE, RED, SKY, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#56b4e9", "#e69f00", "#009e73", "#767676"
"""The colour-blind safe palette of Okabe and Ito."""
OUTCOME_COLOURS: Final = dict(
    zip((*OUTCOMES, MISSED), (GREEN, SKY, "#cc79a7", ORANGE, RED, BLUE), strict=True),
)
"""The colour of each outcome of `measures.outcomes`, in every drawing; a missed object is dashed where it can be."""
PRINTED: Final = {
    **{"AP": "AP", "AP50": "AP50", "AP75": "AP75", "AP_small": "APs", "AP_medium": "APm", "AP_large": "APl"},
    **{"AP_federated": "AP LVIS", "AP_rare": "APr", "AP_common": "APc", "AP_frequent": "APf", "AR100": "AR100"},
    **{"F1_50": "F1@0.5", "F1": "F1@mIoU", "precision_50": "P@0.5", "recall_50": "R@0.5"},
    **{"F1_50_category_mean": "F1@0.5 cat.", "F1_category_mean": "F1@mIoU cat."},
    **{"F1_50_image_mean": "F1@0.5 img.", "F1_image_mean": "F1@mIoU img."},
}
"""The metrics of detection as papers print them, in the order of a table."""
CURVES: Final = [(colour, line) for line in ("-", "--") for colour in (BLUE, RED, SKY, ORANGE, GREEN)]
"""Colour and line style of each curve."""
FAMILIES: Final = (
    *("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Micro Hei"),
    *("WenQuanYi Zen Hei", "Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans GB", "Arial Unicode MS"),
)
"""Font families in order of preference for each character; matplotlib bundles the first."""


def shown(name: str, length: int = 24) -> str:
    r"""Make a name printable by matplotlib: one line, at most `length` characters, no mathtext.

    Example:
        >>> shown("US$ and\n$x_1$")
        'US\\$ and \\$x_1\\$'
    """
    line = " ".join("".join(character if character.isprintable() else " " for character in name).split())
    short = line if len(line) <= length else line[: length - 1] + "…"
    return short.replace("$", r"\$")


def overlap(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether two rectangles, `xyxy`, overlap.

    Example:
        >>> overlap((0, 0, 2, 2), (1, 1, 3, 3)), overlap((0, 0, 2, 2), (2, 0, 3, 2))
        (True, False)
    """
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]
