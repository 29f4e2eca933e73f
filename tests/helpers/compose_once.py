"""Hydra's `compose`, which composes every choice of groups only once."""

import copy
from collections.abc import Sequence
from functools import cache
from typing import Any

import hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

real_compose = hydra.compose


def compose_once(config_name: str, overrides: Sequence[str] = (), **options: Any) -> DictConfig:
    """Compose as Hydra does, the groups first and then the keys, but set the keys on a copy."""
    if options.get("return_hydra_config"):
        return real_compose(config_name, overrides=list(overrides), **options)
    repository = GlobalHydra.instance().config_loader().repository
    groups, keys = [], []
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    if any(override.is_hydra_override() for override in parsed):  # It may change where groups are looked for.
        return real_compose(config_name, overrides=list(overrides))
    for override in parsed:
        chooses = repository.group_exists(override.key_or_group) and not isinstance(override.value(), dict)
        (groups if chooses else keys).append(override)
    config = copy.deepcopy(_composed(config_name, tuple(str(override.input_line) for override in groups)))
    ConfigLoaderImpl._apply_overrides_to_config(keys, config)
    return config


@cache
def _composed(config_name: str, groups: tuple[str, ...]) -> DictConfig:
    return real_compose(config_name, overrides=list(groups))
