"""Checks of the model: its configuration can be read from a folder, the cache or the hub."""

from pathlib import Path
from typing import Any, Final

from omegaconf import DictConfig

from verl_vision_r1.data import ON_THE_HUB
from verl_vision_r1.families import expect_trained

KEY: Final = "actor_rollout_ref.model.path"


def check_model(model: DictConfig) -> Any:
    """Read the configuration of the model.

    Args:
        model: The key `actor_rollout_ref.model`.

    Returns:
        The Hugging Face configuration; None if the model is on a remote file system.

    Raises:
        FileNotFoundError: It cannot be read.
        ValueError: verl does not train its family with images.
    """
    if "://" in model.path:
        return None
    from verl_vision_r1.reward_manager.manager import load_model_config

    expect_folder(str(model.path))
    try:
        found = load_model_config(model)
    except (OSError, ValueError) as error:
        expect_trained(family_of(str(model.path)))  # A model with code of its own is refused by transformers first.
        first = str(error).strip().splitlines()[0]
        folder = Path(model.path).absolute()
        missing = "" if folder.exists() else f" There is no folder {folder} either."
        raise FileNotFoundError(
            f"{KEY}: expected a model folder or a name on the hub, got {model.path!r}: {first}{missing}"
        ) from error
    expect_trained(found.model_type)
    return found


def family_of(path: str) -> str:
    """The `model_type` of a model, without running code that the model brings; empty if it cannot be read.

    Args:
        path: A model folder, or a name on the hub.
    """
    from transformers import PreTrainedConfig

    try:
        return str(PreTrainedConfig.get_config_dict(path)[0].get("model_type", ""))
    except (OSError, ValueError):
        return ""


def expect_folder(path: str, key: str = KEY) -> None:
    """Refuse a missing folder; transformers would call it an invalid name on the hub, or look for it there.

    Args:
        path: A model folder, or a name on the hub.
        key: The key of the configuration.

    Raises:
        FileNotFoundError: It can only be a folder, and there is none.
    """
    if Path(path).exists():
        return
    if path.startswith("~"):
        raise FileNotFoundError(
            f"{key}: expected a path without ~, which verl does not expand, got {path!r}; use $HOME"
        )
    on_the_hub = ON_THE_HUB.fullmatch(path)
    among_folders = "/" in path and Path(path).parent.is_dir()
    if not on_the_hub or among_folders:
        raise FileNotFoundError(
            f"{key}: expected an existing model folder or a name on the hub, got {path!r}: there is no folder"
            f" {Path(path).absolute()}; correct the path"
        )
