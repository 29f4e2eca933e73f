"""The configuration key `vision_r1`: what is accepted, and the error messages."""

import copy
import sys
from pathlib import Path
from typing import Any

import pytest

from verl_vision_r1 import load_preset
from verl_vision_r1.rewards.presets import Unevaluated, preset_from_config
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
            "task: expected one of detection, grounding, classification, counting, pointing, got 'dancing'",
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
        (preset(frame="pixels"), "frame: expected one of resized_pixels, .*, got 'pixels'"),
        (criteria(mine={"function": "nowhere:mine"}), "mine.function: expected package.module:function, got 'nowhere"),
        (criteria(mine={"function": "json:mine"}), "mine.function: expected package.module:function, got 'json:mine'"),
        (criteria(mine={"function": "json:__name__"}), "mine.function: expected a function, got str"),
        (criteria(mine={"function": "os:path.join"}), "mine.function: expected package.module:function, got 'os:path"),
        (criteria(mine={"function": ".mine:f"}), "mine.function: expected package.module:function, got '.mine:f'"),
        (criteria(mine={"function": ["a:b"]}), r"mine.function: expected a name or package.module:function, got \["),
        (criteria(recall={"weight": 10**400}), "weight: expected a number from 0 to 1,000,000, got 1000"),
        (criteria(recall={"weight": 1e308}), "weight: expected a number from 0 to 1,000,000, got 1e"),
        ({1: 2}, r"vision_r1\.reward: expected the keys .*, got \[1\] \(missing \['tasks'\], unknown \[1\]\)"),
        ({**preset(), None: 2, 1: 2}, r"unknown \[1, None\]"),
        ({"tasks": {1: {}}}, "task: expected one of detection, .*, got 1"),
        ({**preset(), "total": ["sum"]}, r"total: expected one of sum, mean, got \['sum'\]"),
        (preset(criteria={1: {"function": "recall"}}), "criteria: expected names as keys, got 1"),
        (preset(matcher={"function": "greedy_confidence", 1: 2}), r"among \['iou_above'\], got \[1\]"),
        ("tasks", "vision_r1.reward: expected a mapping, got 'tasks'"),
    ],
)
def test_an_invalid_preset_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        preset_from_config(config)


RELEASE = "verl_vision_r1.rewards.releases"
RANGE = r"expected a number in \[0, 1\], got"


@pytest.mark.parametrize("value", [3, "0.3", float("nan"), True, -0.1, [0.5], None, 10**400])
@pytest.mark.parametrize(
    ("function", "option"),
    [
        *(("f1", "save"), ("f1", "empty"), ("robust_recall", "save"), ("accuracy", "save"), ("count", "near")),
        *((f"{RELEASE}.vlm_r1:weighted_sum", "iou"), (f"{RELEASE}.vlm_r1:weighted_sum", "position")),
    ],
)
def test_an_option_out_of_range_is_refused(function: str, option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"criteria\.mine\.{option}: {RANGE}"):
        preset_from_config(criteria(mine={"function": function, option: value}))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (preset(matcher={"function": "greedy_confidence", "iou_above": 50}), f"matcher.iou_above: {RANGE} 50"),
        (preset(parser={"function": "json_boxes", "grounding": 1}), "parser.grounding: expected true or false, got 1"),
        (criteria(ap={"function": f"{RELEASE}.vlm_r1:average_precision", "iou": "a"}), f"ap.iou: {RANGE} 'a'"),
        (criteria(ap={"function": f"{RELEASE}.vlm_r1:average_precision", "length": 1}), "ap.length: expected true or"),
        (
            criteria(recall={"function": f"{RELEASE}.vision_r1:recall_reward", "outer": [0.7, 0.5]}),
            r"recall.outer: expected 2 ascending numbers in \[0, 1\], got \[0.7, 0.5\]",
        ),
        (
            criteria(recall={"function": f"{RELEASE}.vision_r1:recall_reward", "outer": 0.5}),
            "recall.outer: expected 2 ascending numbers",
        ),
        (
            criteria(precision={"function": f"{RELEASE}.vision_r1:precision_reward", "denominator": "all"}),
            "precision.denominator: expected matched or predicted, got 'all'",
        ),
        (
            criteria(iou={"function": f"{RELEASE}.visual_rft:iou_reward", "math_verify": "no"}),
            "iou.math_verify: expected true or false, got 'no'",
        ),
    ],
)
def test_an_option_of_another_kind_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        preset_from_config(config)


@pytest.mark.parametrize(
    "parser", ["tagged_boxes", {"function": "tagged_corners"}, f"{RELEASE}.visual_rft:parse_boxes"]
)
@pytest.mark.parametrize("matcher", ["same_label", "assignment", f"{RELEASE}.vision_r1:match"])
def test_a_matcher_that_compares_labels_needs_labels(parser: Any, matcher: str) -> None:
    with pytest.raises(ValueError, match=r"matcher: expected any_label or greedy_confidence with the parser .*, got "):
        preset_from_config(preset(parser=parser, matcher=matcher))
    preset_from_config(preset(parser=parser, matcher="any_label"))


def test_options_at_the_ends_of_their_range_pass() -> None:
    preset_from_config(criteria(f1={"save": 0, "empty": 1.0}))
    preset_from_config(criteria(ap={"function": f"{RELEASE}.vlm_r1:average_precision", "iou": None}))
    preset_from_config(criteria(recall={"function": f"{RELEASE}.vision_r1:recall_reward", "outer": [0.5, 0.5]}))


def test_only_a_trusted_configuration_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_rewards.py").write_text("def beauty(answer, target, match, stage):\n    return 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    config = criteria(beauty={"function": "own_rewards:beauty"})
    assert preset_from_config(config, trusted=False).unevaluated == (
        Unevaluated("detection.criteria.beauty", "own_rewards:beauty"),
    )
    assert "own_rewards" not in sys.modules
    assert preset_from_config(config).unevaluated == ()
    assert sys.modules.pop("own_rewards")


def test_a_module_that_cannot_be_imported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_rewards.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match=r"got 'broken_rewards:f': ZeroDivisionError: division by zero"):
        preset_from_config(criteria(mine={"function": "broken_rewards:f"}))


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ValueError, match=r"vision_r1/reward: expected one of .*vision_r1.*, got 'nonsense'"):
        load_preset("nonsense")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "vision_r1: expected the keys"),
        ("robust", "vision_r1: expected the keys .*, got 'robust'"),
        ({1: "x", "a": "y"}, r"vision_r1: expected the keys .*, got \[1, 'a'\]"),
        ({"frame": "auto"}, r"expected the keys \['curriculum', 'frame', .*'prompt', .*\], got \['frame'\]"),
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


BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    + [f"a{level}: &a{level} [" + ", ".join([f"*a{level - 1}"] * 9) + "]" for level in range(1, 9)]
    + ["tasks: *a8"]
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tasks: [\n", r"mine\.yaml: expected YAML, got an error: .*line 2"),
        (BOMB, r"mine\.yaml: expected YAML, got aliases that expand to more than 1,000,000 characters"),
        ("tasks: &a {b: *a}", r"mine\.yaml: expected YAML, got an alias within its own value"),
        ("[" * 100_000, r"mine\.yaml: expected YAML, got a document that is nested too deeply"),
        ("1: 2", r"vision_r1\.reward: expected the keys .*, got \[1\]"),
        ("[1]: 2", r"mine\.yaml: expected YAML, got an error: .*unhashable key"),
        ("tasks: 2001-02-31", r"mine\.yaml: expected YAML, got day is out of range"),
        ("", r"vision_r1\.reward: expected a mapping, got None"),
        (b"\xff\xfe", r"mine\.yaml: expected a text file in UTF-8, got other bytes"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=message) as refused:
        load_preset(str(path))
    assert len(str(refused.value)) < 1000
