"""Checks of a run: its configuration, model and samples fit together."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from verl_vision_r1.data.parquet_checks import READERS, validate_row
from verl_vision_r1.data.prompt_length import narrowed, processor_bounds, side_of
from verl_vision_r1.families import expect_trained
from verl_vision_r1.frames import resolve_frame, smart_resize
from verl_vision_r1.preflight.doctor.check import Case, FailedError, SkippedError, check, need, one_line
from verl_vision_r1.targets import Target

SAMPLES: Final = 64
"""Number of samples checked per file."""
PATCH: Final = 28
"""Side of a visual token in pixels if no processor is known: that of Qwen2.5-VL."""

Row = tuple[str, dict[str, Any], Target]
"""File and row number, the row, and its ground truth."""


@check("configuration", "correct the key in the message and run doctor again")
def configuration(case: Case) -> str:
    """The checks of the run itself before Ray starts: trainer, ignored keys, packages, model, all samples."""
    from verl_vision_r1.preflight.config_check import check as preflight

    config = case.run
    warnings = "".join(f"; warning: {warning}" for warning in preflight(config))
    return f"no key that verl ignores, trainer.device={config.trainer.device}, all samples are valid{warnings}"


@check(
    "model",
    "set actor_rollout_ref.model.path to a model folder or a name on the hub; without network, download it before",
)
def model(case: Case) -> str:
    """Configuration and processor of the model load, and the frame of its boxes is known."""
    from verl_vision_r1.reward_manager.manager import load_model_config

    key = case.run.actor_rollout_ref.model
    if "://" in key.path:
        raise SkippedError(f"{key.path} is not on this machine")
    family = load_model_config(key).model_type
    expect_trained(family)
    case.frame = resolve_frame(need(case.settings, "rewards").frame, family)
    case.processor = _processor(key)
    return f"{family}, {type(case.processor).__name__}, boxes in {case.frame}"


def _processor(key: Any) -> Any:
    from transformers import AutoProcessor
    from verl.utils.fs import copy_to_local

    folder = copy_to_local(key.get("tokenizer_path") or key.path)
    processor = AutoProcessor.from_pretrained(folder, trust_remote_code=key.get("trust_remote_code", False))
    if not hasattr(processor, "image_processor"):
        raise FailedError(f"{key.path}: expected an image processor, got {type(processor).__name__}")
    return processor


@check("pixel bounds", "prepare the data with other --min-pixels and --max-pixels, or set data.mm_processor_kwargs")
def pixel_bounds(case: Case) -> str:
    """The processor's bounds keep the image sizes that result from the bounds of the samples."""
    config, processor = case.run, need(case.processor, "model")
    side = side_of(processor)
    if side is None:
        raise SkippedError(f"{type(processor).__name__} does not split images into patches")
    bounds = processor_bounds(processor, config.data.mm_processor_kwargs)
    sizes = {_resized(row, side, bounds): None for row in first_rows(config)}
    shown = ", ".join(islice(sizes, 3)) + (f" and {len(sizes) - 3} more" if len(sizes) > 3 else "")
    return f"{shown}; kept by the processor's bounds ({_range(bounds)})"


def _resized(entry: Row, side: int, bounds: tuple[int, int] | None) -> str:
    where, row, target = entry
    for image in row["images"]:
        try:
            size = smart_resize(target.width, target.height, side, *narrowed(image, bounds))
        except ValueError as error:
            raise FailedError(f"{where}: {one_line(error)}") from error
        again = smart_resize(*size, side, *bounds) if bounds else size
        if again != size:
            own = _range((image["min_pixels"], image["max_pixels"]))
            raise FailedError(
                f"{where}: expected {size[0]}x{size[1]} by the bounds of the sample ({own}), got"
                f" {again[0]}x{again[1]} by the bounds of the processor ({_range(bounds)})"
            )
    return f"{target.width}x{target.height} -> {size[0]}x{size[1]}"


def _range(bounds: tuple[int, int] | None) -> str:
    return f"{bounds[0]} to {bounds[1]} pixels" if bounds else "none"


def first_rows(config: Any) -> Iterator[Row]:
    """The first `SAMPLES` samples of each training file.

    Raises:
        SkippedError: No file is on this machine.
        FailedError: A file or a sample is invalid.
    """
    files = config.data.train_files
    local = [path for path in ([files] if isinstance(files, str) else files) if "://" not in path]
    if not local:
        raise SkippedError(f"{files} is not on this machine")
    for path in (Path(name).expanduser() for name in local):
        try:
            yield from _rows_of(path)
        except (OSError, ValueError) as error:
            raise FailedError(one_line(error), "correct data.train_files, or prepare the data again") from error


def _rows_of(path: Path) -> Iterator[Row]:
    if path.suffix not in READERS:
        raise ValueError(f"{path}: expected a file name that ends in {' or '.join(READERS)}, got {path.suffix!r}")
    for where, row in islice(READERS[path.suffix](path), SAMPLES):
        yield where, row, validate_row(row, where)


CHECKS: Final = (configuration, model, pixel_bounds)
