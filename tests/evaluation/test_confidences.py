"""AP by log-probabilities beside that of a constant score, in one evaluation."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from prediction_lines import line, write

from verl_vision_r1 import Target
from verl_vision_r1.data.parquet import write_rows
from verl_vision_r1.evaluation.evaluate import Evaluation, evaluate
from verl_vision_r1.evaluation.measure import Effort
from verl_vision_r1.rewards.answers import write_json_boxes

TARGET = Target([[10, 10, 50, 50]], ["cat"], 100, 100, ("cat", "dog"))
WRONG, RIGHT = [600.0, 600.0, 900.0, 900.0], [100.0, 100.0, 500.0, 500.0]


def evaluated(tmp_path: Path, confidence: str, with_log_probs: bool = True) -> Evaluation:
    """Ten images: the first box of each is wrong, the second right, and the model is surer of the second."""
    lines, rows = [], []
    for number in range(10):
        text = write_json_boxes(np.array([WRONG, RIGHT]), ("cat", "cat"))
        entry = line(TARGET, text, image_id=str(number))
        if with_log_probs:
            places = (text.index("600"), text.index("100"))
            entry["box_log_probs"] = json.dumps(list(zip(places, (-2.0, -0.1), strict=True)))
        lines.append(entry)
        extra = {"image_id": str(number), "question": "categories", "subject": "", "index": number, "split": "val"}
        rows.append(
            {
                "data_source": "coco/detection",
                "prompt": [{"role": "user", "content": "<image>Where?"}],
                "images": [{"image": f"{number}.png", "min_pixels": 3136, "max_pixels": 50176}],
                "ability": "detection",
                "reward_model": {"style": "rule", "ground_truth": TARGET.to_json()},
                "extra_info": extra,
            }
        )
    write_rows(tmp_path / "rows.parquet", rows)
    return evaluate(
        write(tmp_path / "0.jsonl", lines), tmp_path / "rows.parquet", "plain", effort=Effort(confidence=confidence)
    )


def test_a_ranking_beside_the_constant(tmp_path: Path) -> None:
    (measured,) = evaluated(tmp_path, "protocol").sets
    assert measured.values["AP_logprob"] == pytest.approx(1.0)
    assert measured.values["AP"] < 0.6
    assert "risk_coverage_area" not in measured.values


def test_everything_by_log_probabilities(tmp_path: Path) -> None:
    (measured,) = evaluated(tmp_path, "logprob").sets
    assert measured.values["AP"] == pytest.approx(1.0)
    assert measured.values["AP_constant"] < 0.6
    assert "AP_logprob" not in measured.values
    # The surer half of the predictions has no risk, all of them have one of a half.
    assert measured.values["risk_coverage_area"] == pytest.approx(0.5 * 0.0 + 0.5 * 0.5)
    right, wrong = math.exp(-0.1), math.exp(-2.0)
    assert measured.values["calibration_error"] == pytest.approx((1 - right + wrong) / 2)
    # A ranking without ties has no spread over orders.
    assert len(set(measured.spread["AP"])) == 1


def test_without_log_probabilities(tmp_path: Path) -> None:
    (measured,) = evaluated(tmp_path, "protocol", with_log_probs=False).sets
    assert "AP_logprob" not in measured.values
    with pytest.raises(
        ValueError, match="confidence logprob: expected box_log_probs in every line, got none in line 1"
    ):
        evaluated(tmp_path, "logprob", with_log_probs=False)
