"""Checks of configuration and data before Ray starts: an error ends the run and names the key.

Every recipe lists `Preflight` under `hydra.callbacks`. Hydra turns an exception of a callback into a warning, so an
error is raised as `SystemExit`.
"""

import sys
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from verl_vision_r1 import supported
from verl_vision_r1.preflight.config_check.bounds import bounds_warnings, check_bounds
from verl_vision_r1.preflight.config_check.machine import check_attention, check_packages, check_platform
from verl_vision_r1.preflight.config_check.model import check_model
from verl_vision_r1.preflight.config_check.parallel import check_parallel
from verl_vision_r1.preflight.config_check.rewards import check_rewards, reward_warnings
from verl_vision_r1.preflight.config_check.samples import check_samples, read_samples, sample_warnings
from verl_vision_r1.preflight.config_check.steering import check_steering
from verl_vision_r1.preflight.config_check.training import check_training
from verl_vision_r1.preflight.config_check.unknown import check_known

if TYPE_CHECKING:
    from verl_vision_r1.settings import Settings

__all__ = ["Preflight", "check", "check_keys", "check_samples"]


class Preflight(Callback):
    """Checks the composed configuration of a training run."""

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the run. Hydra calls this right before verl's `main`."""
        try:
            supported.check_run()
            warnings = check(config)
        except (ValueError, FileNotFoundError, supported.UnsupportedError) as error:
            raise SystemExit(f"verl-vision-r1: {error}") from error
        for warning in warnings:
            print(f"verl-vision-r1: warning: {warning}", file=sys.stderr)


def check(config: DictConfig) -> list[str]:
    """Find the errors that verl reports late or not at all.

    Returns:
        Warnings: what is allowed, but is seldom meant.

    Raises:
        ValueError, FileNotFoundError: The message has the key, the expected value and the value found.
    """
    settings = check_keys(config)
    model = check_model(config.actor_rollout_ref.model)
    check_attention(config)
    files = read_samples(config, settings)
    warnings = [*reward_warnings(config), *sample_warnings(config)]
    if model is None:
        return warnings
    check_bounds(config, files)
    return [*warnings, *bounds_warnings(files, model)]


def check_keys(config: DictConfig) -> "Settings":
    """The checks that need neither the model nor the samples.

    Returns:
        The settings of the key `vision_r1`.

    Raises:
        ValueError: The message has the key, the expected value and the value found.
    """
    from verl_vision_r1.settings import Settings

    check_known(config)
    settings = Settings.from_config(OmegaConf.to_container(config.vision_r1, resolve=True))  # type: ignore[arg-type]
    check_platform(config)
    check_rewards(config)
    check_training(config, settings.preset)
    check_steering(config, settings)
    check_parallel(config)
    check_packages()
    return settings
