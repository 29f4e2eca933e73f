"""Checks of a model folder before anything is loaded: a wrong one often loads, and answers like an untrained model."""

from pathlib import Path
from typing import Final

ADAPTER: Final = "lora_adapter"
"""Folder in a model folder for which verl's merger writes the adapter of a LoRA run next to the base weights."""
SHARDS: Final = "fsdp_config.json"
"""File of a verl checkpoint that was saved with FSDP."""


def check_model(model: str) -> None:
    """Refuse a path that is no model folder. The name of a model on the Hugging Face Hub is accepted.

    Args:
        model: The folder, or the name.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It is a checkpoint of verl, or has no `config.json`.
    """
    folder = Path(model).expanduser()
    if not folder.exists():
        # OWNER/NAME is a name on the hub, unless OWNER is a folder here.
        if model.count("/") != 1 or model.startswith((".", "~", "/")) or Path(model.split("/")[0]).exists():
            raise FileNotFoundError(f"{model}: expected a model folder, got no such folder")
    elif (folder / "config.json").is_file():
        return
    elif any(path.is_file() for pattern in (SHARDS, f"*/{SHARDS}", f"*/*/{SHARDS}") for path in folder.glob(pattern)):
        raise ValueError(
            f"{model}: expected a model folder, got a checkpoint of verl;"
            f" make one of it: vision-r1 export {model} --out MODEL"
        )
    else:
        raise ValueError(f"{model}: expected a model folder with config.json, got none")


def adapter_of(model: str) -> Path | None:
    """The LoRA adapter in a model folder of verl's merger; None if there is none."""
    folder = Path(model).expanduser() / ADAPTER
    return folder if (folder / "adapter_config.json").is_file() else None
