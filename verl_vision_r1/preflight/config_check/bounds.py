"""Checks of the pixel bounds in the samples: they overlap with the processor's, and suit the model's family."""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from omegaconf import DictConfig

from verl_vision_r1.families import SIDES
from verl_vision_r1.preflight.config_check.samples import File


def check_bounds(config: DictConfig, files: Sequence[File]) -> None:
    """Check that each image has a size that the processor keeps; the dataset class would stop the run later.

    Args:
        config: The configuration of the run; its model is on this machine or on the hub.
        files: The files of samples on this machine.

    Raises:
        ValueError: The message has the key, the expected value and the value found.
    """
    from verl_vision_r1.data.prompt_length import narrowed, processor_bounds

    processor = SimpleNamespace(image_processor=_image_processor(config.actor_rollout_ref.model))
    bounds = processor_bounds(processor, config.data.get("mm_processor_kwargs"))
    for file in files:
        for low, high in sorted(file.bounds):
            try:
                narrowed({"min_pixels": low, "max_pixels": high}, bounds)
            except ValueError as error:
                raise ValueError(f"{file.key}: {file.path}: {error}") from error


def bounds_warnings(files: Sequence[File], model: Any) -> Iterator[str]:
    """Bounds that are whole visual tokens only for families with another side: prepared for another model.

    Args:
        files: The files of samples on this machine.
        model: The Hugging Face configuration.
    """
    vision = getattr(model, "vision_config", None)
    side = getattr(vision, "patch_size", 0) * getattr(vision, "spatial_merge_size", 0)
    for other in SIDES if side in SIDES else ():
        for file in files:
            for low, high in sorted(file.bounds):
                if _whole(low, high, other) and not _whole(low, high, side):
                    least, most = low // other**2, high // other**2
                    yield (
                        f"{file.key}: expected pixel bounds in visual tokens of {side} x {side} ({model.model_type}),"
                        f" got {low} to {high} in {file.path}, {least} to {most} tokens of {other} x {other}; for as"
                        f" many tokens, vision-r1 prepare --min-pixels {least * side**2} --max-pixels {most * side**2}"
                    )


def _whole(low: int, high: int, side: int) -> bool:
    return low % side**2 == high % side**2 == 0


def _image_processor(model: DictConfig) -> Any:
    """The model's image processor; None if it cannot be loaded, which verl reports."""
    from transformers import AutoImageProcessor

    try:
        return AutoImageProcessor.from_pretrained(
            model.get("tokenizer_path") or model.path, trust_remote_code=model.get("trust_remote_code", False)
        )
    except (OSError, ValueError):
        return None
