"""Whether a run's configuration, model and rows go together."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from verl_vision_r1.data.parquet_checks import READERS, validate_row
from verl_vision_r1.data.prompt_length import PromptLength, narrowed, processor_bounds
from verl_vision_r1.frames import resolve_frame, smart_resize
from verl_vision_r1.preflight.doctor.check import Case, FailedError, SkippedError, check, need, one_line
from verl_vision_r1.prompts import Prompts
from verl_vision_r1.targets import Target

ROWS: Final = 64
"""Rows of each file that are looked at."""
PATCH: Final = 28
"""Side in pixels of a visual token where no processor says otherwise: that of Qwen2.5-VL."""

Row = tuple[str, dict[str, Any], Target]
"""Where it stands, the row, and what is in its image."""


@check("configuration", "correct what is named, and check again")
def configuration(case: Case) -> str:
    """What the run itself checks before Ray starts: the trainer, keys that verl ignores, packages, model, all rows."""
    from verl_vision_r1.preflight.config_check import check as preflight

    config = case.run
    preflight(config)
    return f"no key that verl ignores, trainer.device={config.trainer.device}, every row and image path is right"


@check(
    "model", "name a model's folder or its name on the hub in actor_rollout_ref.model.path; offline, fetch it before"
)
def model(case: Case) -> str:
    """Its configuration and its processor load, and the frame that it answers in is known."""
    from verl_vision_r1.reward_manager.manager import load_model_config

    wanted = case.run.actor_rollout_ref.model
    if "://" in wanted.path:
        raise SkippedError(f"{wanted.path} is not on this machine")
    family = load_model_config(wanted).model_type
    case.frame = resolve_frame(need(case.settings, "rewards").frame, family)
    case.processor = _processor(wanted)
    return f"{family}, {type(case.processor).__name__}, answers in {case.frame}"


def _processor(wanted: Any) -> Any:
    from transformers import AutoProcessor
    from verl.utils.fs import copy_to_local

    folder = copy_to_local(wanted.get("tokenizer_path") or wanted.path)
    processor = AutoProcessor.from_pretrained(folder, trust_remote_code=wanted.get("trust_remote_code", False))
    if not hasattr(processor, "image_processor"):
        raise FailedError(f"{wanted.path}: expected a processor of images, got {type(processor).__name__}")
    return processor


@check("pixel bounds", "prepare the rows with other --min-pixels and --max-pixels, or set data.mm_processor_kwargs")
def pixel_bounds(case: Case) -> str:
    """The processor's resize, which comes second, changes nothing of what the row's bounds gave."""
    config, processor = case.run, need(case.processor, "model")
    side = side_of(processor)
    if side is None:
        raise SkippedError(f"{type(processor).__name__} does not count images by patches")
    bounds = processor_bounds(processor, config.data.mm_processor_kwargs)
    sizes = {_resized(row, side, bounds): None for row in first_rows(config)}
    shown = ", ".join(islice(sizes, 3)) + (f" and {len(sizes) - 3} more" if len(sizes) > 3 else "")
    return f"{shown}; the processor's {_span(bounds)} leave them so"


def _resized(found: Row, side: int, bounds: tuple[int, int] | None) -> str:
    where, row, target = found
    for image in row["images"]:
        try:
            size = smart_resize(target.width, target.height, side, *narrowed(image, bounds))
        except ValueError as error:
            raise FailedError(f"{where}: {one_line(error)}") from error
        again = smart_resize(*size, side, *bounds) if bounds else size
        if again != size:
            own = _span((image["min_pixels"], image["max_pixels"]))
            raise FailedError(
                f"{where}: its {own} give {size[0]}x{size[1]}, the processor's {_span(bounds)} make"
                f" {again[0]}x{again[1]} of it"
            )
    return f"{target.width}x{target.height} -> {size[0]}x{size[1]}"


def _span(bounds: tuple[int, int] | None) -> str:
    return f"{bounds[0]} to {bounds[1]} pixels" if bounds else "own bounds, which it has not,"


def side_of(processor: Any) -> int | None:
    """Side in pixels of the piece of an image that becomes one token; None where the processor counts otherwise."""
    return PromptLength(processor, Prompts({}), None, {}).side if processor else PATCH


def first_rows(config: Any) -> Iterator[Row]:
    """The first rows of each file to train on.

    Raises:
        SkippedError: No file lies on this machine.
        FailedError: A file or a row is not as expected.
    """
    files = config.data.train_files
    local = [path for path in ([files] if isinstance(files, str) else files) if "://" not in path]
    if not local:
        raise SkippedError(f"{files} is not on this machine")
    for path in (Path(name).expanduser() for name in local):
        try:
            yield from _rows_of(path)
        except (OSError, ValueError) as error:
            raise FailedError(one_line(error), "correct data.train_files, or prepare the rows again") from error


def _rows_of(path: Path) -> Iterator[Row]:
    if path.suffix not in READERS:
        raise ValueError(f"{path}: expected a file that ends in {' or '.join(READERS)}, got {path.suffix!r}")
    for where, row in islice(READERS[path.suffix](path), ROWS):
        yield where, row, validate_row(row, where)


CHECKS: Final = (configuration, model, pixel_bounds)
