"""Checks of the files of samples: all samples are valid, and they suit the run."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from verl_vision_r1.prompts import QUESTIONS

if TYPE_CHECKING:
    from verl_vision_r1.settings import Settings


@dataclass
class File:
    """What a file of samples has.

    Attributes:
        key: `data.train_files` or `data.val_files`.
        path: The file.
        samples: The number of its samples.
        bounds: The minimum and maximum image areas of the samples, in pixels.
        asked: For each question, up to two different things that it asks for: categories, or a subject.
    """

    key: str
    path: Path
    samples: int = 0
    bounds: set[tuple[int, int]] = field(default_factory=set)
    asked: dict[str, set[Any]] = field(default_factory=dict)


def check_samples(config: DictConfig, settings: "Settings", *, missing_ok: bool = False) -> int:
    """Check the files of samples, and that an epoch has a step.

    Args:
        config: The configuration of the run.
        settings: Its settings.
        missing_ok: Whether a file may be missing, because the run starts on another machine.

    Returns:
        The number of samples checked.

    Raises:
        ValueError, FileNotFoundError: The message has the key, the expected value and the value found.
    """
    return sum(file.samples for file in read_samples(config, settings, missing_ok=missing_ok))


def read_samples(config: DictConfig, settings: "Settings", *, missing_ok: bool = False) -> list[File]:
    """As `check_samples`, with what the files have."""
    read = []
    for key in ("data.train_files", "data.val_files"):
        paths = _paths(config, key)
        local = [Path(path).expanduser() for path in paths if "://" not in path]
        local = [path for path in local if path.exists() or not missing_ok]
        files = [_read(key, path, settings) for path in local]
        if key == "data.train_files" and len(local) == len(paths):
            _check_batch(config, sum(file.samples for file in files))
        read += files
    return read


def sample_warnings(config: DictConfig) -> Iterator[str]:
    """Training and validation on the same file."""
    train, val = (
        {str(Path(path).expanduser().resolve()) for path in _paths(config, f"data.{name}_files")}
        for name in ("train", "val")
    )
    for path in sorted(train & val) if not config.trainer.val_only else ():
        yield (
            f"data.val_files: expected samples that are not trained on, got {path}, which is in data.train_files too;"
            " vision-r1 prepare --val-fraction divides a dataset"
        )


def _paths(config: DictConfig, key: str) -> list[str]:
    files = config.data[key.removeprefix("data.")]
    paths = [files] if isinstance(files, str) else list(files or ())
    if not paths:
        raise ValueError(f"{key}: expected at least one file of samples, got {files}; vision-r1 prepare writes them")
    return paths


def _read(key: str, path: Path, settings: "Settings") -> File:
    from verl_vision_r1.data.parquet_checks import checked_rows

    if not path.is_file():
        got = "a folder" if path.is_dir() else "no such file"
        raise FileNotFoundError(
            f"{key}: expected an existing file of samples, got {path}, {got}; correct the path, or write the file with"
            " vision-r1 prepare"
        )
    file = File(key, path)
    try:
        for row, target in checked_rows(path, settings.preset.tasks, settings.prompts):
            question, subject = row["extra_info"].get("question") or "own", row["extra_info"].get("subject")
            asked = file.asked.setdefault(question, set())
            if len(asked) < 2:
                asked.add(target.categories if question == "categories" else subject)
            file.bounds |= {(image["min_pixels"], image["max_pixels"]) for image in row["images"]}
            file.samples += 1
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error
    _check_templates(file, settings.prompts.templates)
    return file


def _check_templates(file: File, templates: dict[str, str]) -> None:
    """Check that a template names what a sample asks for, unless all samples ask for the same."""
    for question, asked in file.asked.items():
        fields = [f"{{{name}}}" for name in QUESTIONS[question]]
        template = templates.get(question)
        if template and len(asked) > 1 and not any(name in template for name in fields):
            raise ValueError(
                f"vision_r1.prompt.{question}: expected {' or '.join(fields)} in the template, as the samples of"
                f" {file.path} ask for different ones, got {template!r}"
            )


def _check_batch(config: DictConfig, samples: int) -> None:
    """Check that an epoch has a step: verl trains on whole batches only."""
    limit, batch = config.data.get("train_max_samples", -1), config.data.train_batch_size
    samples = min(samples, limit) if limit > 0 else samples
    if samples < batch and not config.trainer.val_only:
        raise ValueError(
            f"data.train_batch_size: expected at most {samples}, the number of training samples, got {batch}; lower it"
            " and actor_rollout_ref.actor.ppo_mini_batch_size, and raise trainer.total_epochs"
        )
