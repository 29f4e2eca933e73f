"""Hydra's `compose`, which reads every file and composes every choice of groups only once."""

import copy
from collections.abc import Sequence
from functools import cache
from typing import Any
from unittest.mock import patch

import hydra
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

real_compose, real_load = hydra.compose, yaml.load
parsed_files: dict[str, Any] = {}


def compose_once(config_name: str, overrides: Sequence[str] = (), **_: Any) -> DictConfig:
    """Compose as Hydra does, the groups first and then the keys, but set the keys on a copy."""
    repository = GlobalHydra.instance().config_loader().repository
    groups, keys = [], []
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        chooses = repository.group_exists(override.key_or_group) and not isinstance(override.value(), dict)
        (groups if chooses else keys).append(override)
    config = copy.deepcopy(_composed(config_name, tuple(str(override.input_line) for override in groups)))
    # The result has no `hydra` node.
    ConfigLoaderImpl._apply_overrides_to_config([key for key in keys if not key.is_hydra_override()], config)
    return config


@cache
def _composed(config_name: str, groups: tuple[str, ...]) -> DictConfig:
    with patch.object(yaml, "load", _load):
        return real_compose(config_name, overrides=list(groups))


def _load(stream: Any, Loader: Any) -> Any:  # noqa: N803, the name of PyYAML.
    text = stream.read()
    if text not in parsed_files:
        parsed_files[text] = real_load(text, Loader)
    return parsed_files[text]
