"""The metrics of lmms-eval under its own names, to put results next to its tables.

Only metrics of the same definition have an alias. lmms-eval parses completions in its own way, and prompts differ.
"""

from typing import Final

from verl_vision_r1.data.readers.odinw import SETS_13
from verl_vision_r1.evaluation.measure import Measured

REFCOCO: Final = {
    "mean_IoU": "refcoco_IoU",
    **{f"accuracy_{percent}": f"refcoco_ACC@0.{percent // 10}" for percent in (10, 30, 50, 70, 90)},
    "centre_accuracy": "refcoco_Center_ACC",
}
"""Tasks `refcoco_bbox_rec_*`, `refcoco+_bbox_rec_*` and `refcocog_bbox_rec_*`: the first box of an expression."""

ODINW: Final = {"AP": "odinw13_mAP", "AP50": "odinw13_mAP50", "AP75": "odinw13_mAP75"}
"""Task `odinw13`: the mean of COCO's AP over the 13 data sets, with at most 100 boxes per category and image."""


def aliases(sets: tuple[Measured, ...], limit: int) -> dict[str, dict[str, float]]:
    """The metrics that lmms-eval prints too, by data set, and of ODinW-13 as a whole.

    Args:
        sets: The evaluated data sets.
        limit: The protocol's largest detection limit; with another one than 100, AP50 and AP75 differ.

    Source:
        lmms-eval, tasks refcoco, refcoco+ and refcocog (utils_rec.py) and odinw13 (utils.py, added by #1375).
    """
    found = {
        measured.name: {alias: measured.values[name] for name, alias in REFCOCO.items()}
        for measured in sets
        if measured.task == "grounding"
    }
    odinw = [measured for measured in sets if measured.task == "detection" and _names(measured) & set(SETS_13)]
    if len(odinw) == len(SETS_13):
        found["odinw13"] = {
            alias: sum(measured.values[name] for measured in odinw) / len(odinw)
            for name, alias in ODINW.items()
            if name == "AP" or limit == 100
        }
    return found


def _names(measured: Measured) -> set[str]:
    """The parts of a `data_source`, such as odinw13, pothole and detection."""
    return set(measured.name.split("/"))
