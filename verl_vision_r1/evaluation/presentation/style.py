"""Colours, fonts and names that all figures share."""

from typing import Final

from verl_vision_r1.evaluation.measures.outcomes import MISSED, OUTCOMES

BLUE, RED, SKY, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#56b4e9", "#e69f00", "#009e73", "#767676"
"""The colour-blind safe palette of Okabe and Ito."""
OUTCOME_COLOURS: Final = dict(
    zip((*OUTCOMES, MISSED), (GREEN, SKY, "#cc79a7", ORANGE, RED, BLUE), strict=True),
)
"""The colour of each outcome of `measures.outcomes`, in every drawing; a missed object is dashed where it can be."""
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
