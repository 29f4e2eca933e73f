"""Boxes behind the names of their objects, `<ref>cat</ref><box>[[1, 2, 3, 4]]</box>`: forms of several families."""

import re
from typing import Final

from verl_vision_r1.frames import Size
from verl_vision_r1.rewards.answers.answer import Answer, are_fractions, fit, reads_special_tokens
from verl_vision_r1.rewards.answers.json_boxes import Labels, keep_boxes, without_end_tokens
from verl_vision_r1.rewards.answers.spans import THOUGHT

NUMBER: Final = r"\s*(-?[0-9]{1,9}(?:\.[0-9]{1,9})?)\s*"
NAME: Final = r"(?:<ref>|<\|ref\|>|<\|object_ref_start\|>)([^<]*)"
BOX: Final = rf"[\[(]{NUMBER},{NUMBER}(?:\)\s*,\s*\(|,){NUMBER},{NUMBER}[\])]"
TOKEN: Final = re.compile(f"{NAME}|{BOX}")
MARK: Final = re.compile(r"</?(?:ref|box)>|<\|/?(?:ref|det)\|>|<\|(?:object_ref|box)_(?:start|end)\|>")
SURROUNDINGS: Final = " \t\r\n,;:.-*[]"
"""What may stand between a name and its boxes where the special tokens were left out."""


@reads_special_tokens
def parse_marked_boxes(completion: str, frame: Size) -> Answer:
    """Read boxes behind names: InternVL's, DeepSeek-VL2's and Qwen2-VL's forms, also without their special tokens.

    Each box has the name before it. Where all marks are missing, a box is `(x1,y1),(x2,y2)`, and the text since the
    last one is its name.

    Args:
        completion: The text of one completion.
        frame: (width, height) of the frame that the model answers in, 1000 by 1000 for these families.

    Returns:
        The answer; its boxes are in units of `frame`. Well-formed is a text of names and boxes alone, with marks.

    Source:
        The model cards of InternVL, DeepSeek-VL2 and Qwen2-VL.

    Example:
        >>> answer = parse_marked_boxes("<ref>cat</ref><box>[[1, 2, 30, 40], [5, 6, 70, 80]]</box>", (1000, 1000))
        >>> answer.labels, answer.well_formed
        (('cat', 'cat'), True)
        >>> parse_marked_boxes("cat(1,2),(30,40) dog(5,6),(70,80)", (1000, 1000)).labels
        ('cat', 'dog')
    """
    text = without_end_tokens(completion).rpartition(THOUGHT)[2]
    marked = MARK.search(text) is not None
    rows: list[list[float]] = []
    labels: Labels = []
    name, end = None, 0
    for token in TOKEN.finditer(text):
        label, *corners = token.groups()
        if label is not None:
            name = label.strip()
        elif marked or token.group().count("(") == 2:
            between = MARK.sub("", text[end : token.start()]).strip(SURROUNDINGS)
            name = name if marked else between or name
            rows.append([float(corner) for corner in corners])
            labels.append(name or None)
        end = token.end()
    boxes, kept = keep_boxes(rows, labels)
    boxes, outside = fit(boxes, frame)
    alone = marked and not MARK.sub("", TOKEN.sub("", text)).strip(SURROUNDINGS)
    exact = bool(rows) and alone and None not in labels and len(boxes) == len(rows)
    return Answer(
        boxes=boxes,
        labels=tuple(kept),
        as_asked=exact,
        well_formed=exact and not outside,
        parsed=bool(rows),
        out_of_frame=outside or are_fractions(boxes, frame),
        malformed=len(rows) - len(boxes),
        text=completion,
        frame=frame,
        form="names and boxes" if rows else "",
    )
