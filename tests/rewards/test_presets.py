"""The configuration key `vision_r1`: what is accepted, and the error messages."""

import copy
from pathlib import Path
from typing import Any

import pytest

from verl_vision_r1 import load_preset
from verl_vision_r1.rewards.presets import preset_from_config
from verl_vision_r1.settings import Settings

DETECTION: dict[str, Any] = {"parser": "json_boxes", "matcher": "assignment", "criteria": {"recall": {"weight": 1.0}}}
STAGES = {"stages": [{"xi0": 0.5, "xi1": 0.5, "xi2": 0.75}]}


def preset(**detection: Any) -> dict[str, Any]:
    return {"tasks": {"detection": {**copy.deepcopy(DETECTION), **detection}}}


def criteria(**items: Any) -> dict[str, Any]:
    return preset(criteria=items)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, r"vision_r1\.reward: expected the keys .*'tasks'"),
        ({"tasks": {}}, r"reward\.tasks: expected a mapping with at least one key, got \{\}"),
        ({**preset(), "bonus": 1}, "unknown .'bonus'."),
        ({**preset(), "total": "max"}, "reward.total: expected one of sum, mean, got 'max'"),
        ({**preset(), "on_error": "ignore"}, "reward.on_error: expected one of zero, raise, got 'ignore'"),
        (
            {"tasks": {"dancing": DETECTION}},
            "task: expected one of detection, grounding, classification, counting, got 'dancing'",
        ),
        (preset(parser="xml"), "detection.parser: expected one of json_boxes, .*, got 'xml'"),
        (preset(matcher="closest"), "detection.matcher: expected one of assignment, .*, got 'closest'"),
        (preset(speed=1), r"tasks\.detection: expected the keys .* unknown .'speed'."),
        (criteria(), "criteria: expected a mapping with at least one key"),
        (criteria(beauty={}), "beauty: expected a mapping with at least one key, got {}"),
        (criteria(beauty={"weight": 1}), "beauty: expected one of format, recall, precision, .*, got 'beauty'"),
        (criteria(recall={"weight": -1}), "recall.weight: expected a number from 0 to 1,000,000, got -1"),
        (criteria(recall={"weight": float("nan")}), "weight: expected a number from 0 to 1,000,000, got nan"),
        (criteria(recall={"weight": True}), "weight: expected a number from 0 to 1,000,000, got True"),
        (criteria(recall={"weight": "much"}), "weight: expected a number from 0 to 1,000,000, got 'much'"),
        (criteria(recall={"weight": 0}), r"expected a sum of weights > 0, got \[0.0\]"),
        (criteria(recall={"weight": 1, "tau": 1}), r"recall: expected options of recall among \[\], got \['tau'\]"),
        (preset(matcher={"function": "greedy_confidence", "tau": 1}), r"among \['iou_above'\], got \['tau'\]"),
        (preset(matcher={"iou_above": 1}), r"matcher: expected the keys .*missing \['function'\]"),
        (preset(parser=7), "parser: expected a mapping with at least one key, got 7"),
        (preset(frame="pixels"), "frame: expected one of resized_pixels, relative_1000, relative_1, got 'pixels'"),
        (criteria(mine={"function": "nowhere:mine"}), "mine.function: expected package.module:function, got 'nowhere"),
        (criteria(mine={"function": "json:mine"}), "mine.function: expected package.module:function, got 'json:mine'"),
        (criteria(mine={"function": "json:__name__"}), "mine.function: expected a function, got str"),
    ],
)
def test_an_invalid_preset_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        preset_from_config(config)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ValueError, match=r"vision_r1/reward: expected one of .*vision_r1.*, got 'nonsense'"):
        load_preset("nonsense")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "vision_r1: expected the keys"),
        ({"frame": "auto"}, r"expected the keys \['curriculum', 'frame', 'prompt', 'reward'\], got \['frame'\]"),
        (
            {"frame": "pixels", "reward": preset(), "prompt": {}, "curriculum": STAGES},
            "vision_r1.frame: expected auto or one of",
        ),
    ],
)
def test_invalid_settings_are_refused(config: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings.from_config(config)


def test_valid_settings_pass() -> None:
    settings = Settings.from_config({"frame": "auto", "reward": preset(), "prompt": {}, "curriculum": STAGES})
    assert settings.preset.criteria == ("recall",)


def test_a_file_that_is_not_yaml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("tasks: [\n")
    with pytest.raises(ValueError, match=r"mine\.yaml: expected YAML, got an error: .*line 2"):
        load_preset(str(path))
