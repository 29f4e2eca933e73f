"""Keys that bypass or ignore the rewards of the run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transfer_queue", reason="verl's trainer needs TransferQueue")
pytestmark = pytest.mark.verl

Run = Callable[..., Any]
CRITERION = r"\+vision_r1\.reward\.tasks\.TASK\.criteria\.NAME\.function=PACKAGE\.MODULE:FUNCTION"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "reward.custom_reward_function.path=mine.py",
            rf"^reward\.custom_reward_function\.path: the reward manager .*; expected .*, {CRITERION}, got 'mine\.",
        ),
        (
            "custom_reward_function.path=mine.py",
            rf"^custom_reward_function\.path: verl 0\.9 ignores this key; expected .*, {CRITERION}, got 'mine\.py'$",
        ),
        ("custom_reward_function.name=mine", r"^custom_reward_function\.name: verl 0\.9 ignores this key; .*'mine'$"),
        (
            "reward_model.reward_manager=naive",
            r"^reward_model\.reward_manager: .* ignores this key; expected reward\.reward_manager\.name, got 'naive'$",
        ),
        ("reward_model.enable=true", r"^reward_model\.enable: .*; expected reward\.reward_model\.enable, got True$"),
        ("sandbox_fusion.url=http://x", r"^sandbox_fusion\.url: .*; expected reward\.sandbox_fusion\.url, got"),
        (
            "reward.reward_manager.name=naive",
            r"^reward\.reward_manager\.name: expected vision_r1, got 'naive', which ignores .*; remove the override$",
        ),
        (
            "reward.reward_manager.name=vision_r2",
            r"^reward\.reward_manager: expected name=vision_r1, got 'vision_r2': Unknown reward manager",
        ),
        (
            "reward.reward_manager.source=importlib reward.reward_manager.module.path=nowhere.py",
            r"^reward\.reward_manager: expected name=vision_r1, got 'vision_r1': .*nowhere\.py",
        ),
    ],
)
def test_a_key_without_effect_is_named(run: Run, override: str, message: str) -> None:
    from verl_vision_r1.preflight.config_check import check_keys

    with pytest.raises(ValueError, match=message):
        check_keys(run(*override.split(" ")))


def test_the_override_in_the_message_adds_a_criterion(run: Run) -> None:
    from verl_vision_r1.preflight.config_check import check_keys

    settings = check_keys(run("+vision_r1.reward.tasks.detection.criteria.mine.function=math:fsum"))
    assert "mine" in settings.preset.criteria


def test_a_function_with_another_manager_is_a_warning(run: Run) -> None:
    from verl_vision_r1.preflight.config_check import check

    (warning,) = check(run("reward.reward_manager.name=naive", "reward.custom_reward_function.path=mine.py"))
    assert warning == (
        "reward.reward_manager.name: expected vision_r1, got 'naive': the rewards under vision_r1.reward are not used"
    )


def test_a_reward_model_is_a_warning(run: Run) -> None:
    from verl_vision_r1.preflight.config_check import check

    (warning,) = check(run("reward.reward_model.enable=true"))
    assert warning.startswith("reward.reward_model.enable: expected false, got true: verl takes the score of")


MANAGERS = """
from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager
from verl_vision_r1.reward_manager import VisionR1RewardManager

class Derived(VisionR1RewardManager):
    pass

class Other(NaiveRewardManager):
    pass
"""


@pytest.mark.parametrize(("name", "warnings"), [("Derived", 0), ("Other", 1)])
def test_a_manager_that_derives_from_ours_uses_its_rewards(run: Run, tmp_path: Path, name: str, warnings: int) -> None:
    from verl_vision_r1.preflight.config_check import check

    file = tmp_path / "managers.py"
    file.write_text(MANAGERS)
    manager = "reward.reward_manager"
    found = check(run(f"{manager}.source=importlib", f"{manager}.module.path={file}", f"{manager}.name={name}"))
    assert len(found) == warnings
