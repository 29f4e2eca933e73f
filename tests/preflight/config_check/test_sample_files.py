"""Samples that are missing, invalid, or do not suit the run."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from verl_vision_r1 import Target
from verl_vision_r1.data import MAX_PIXELS, MIN_PIXELS
from verl_vision_r1.data.parquet import make_row, write_rows

pytest.importorskip("qwen_vl_utils", reason="verl reads images with qwen_vl_utils")
pytest.importorskip("transfer_queue", reason="verl's trainer needs TransferQueue")
pytestmark = pytest.mark.verl

Run = Callable[..., Any]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a file with one sample for each list of categories."""
    image = tmp_path / "image.png"
    Image.new("RGB", (64, 48)).save(image)

    def written(name: str, categories: Sequence[Sequence[str]], **fields: Any) -> Path:
        rows = [
            make_row(
                **{"data_source": "coco/detection", "image": image, "prompt": "Find.", "image_id": str(index)},
                **{"target": Target([[1, 1, 9, 9]], [names[0]], 64, 48, tuple(names))},
                **{"split": "train", "index": index, "question": "categories", **fields},
            )
            for index, names in enumerate(categories)
        ]
        write_rows(tmp_path / name, rows)
        return tmp_path / name

    return written


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "data.val_files=/nowhere/val.parquet",
            r"^data\.val_files: expected an existing file of samples, got /nowhere/val\.parquet, no such file;"
            r" correct the path, or write the file with vision-r1 prepare$",
        ),
        ("data.train_files=[/nowhere/train.parquet]", r"^data\.train_files: .*, got /nowhere/train\.parquet, no such"),
        ("data.train_files=/tmp", r"^data\.train_files: expected an existing file of samples, got /tmp, a folder;"),
        ("data.val_files=[]", r"^data\.val_files: expected at least one file .*, got \[\]; vision-r1 prepare writes"),
        ("data.train_files=null", r"^data\.train_files: expected at least one file of samples, got None; vision-r1"),
        (
            "~vision_r1.reward.tasks.detection",
            r"^data\.train_files: .*row 0: expected a task that .* \(grounding, .*\), got detection",
        ),
        (
            "data.train_batch_size=100",
            r"train_batch_size: expected at most \d+, the number of training samples, got 100",
        ),
        ("data.train_max_samples=7", r"train_batch_size: expected at most 7, the number of training samples, got 8"),
    ],
)
def test_wrong_samples_are_named_by_their_key(run: Run, override: str, message: str) -> None:
    from verl_vision_r1.preflight.config_check import check

    with pytest.raises((ValueError, FileNotFoundError), match=message):
        check(run(override))


def test_a_missing_file_is_allowed_for_a_run_elsewhere(run: Run, folder: Path) -> None:
    from verl_vision_r1.preflight.config_check import check_keys, check_samples

    config = run("data.train_files=/nowhere/train.parquet")
    assert check_samples(config, check_keys(config), missing_ok=True) == 3


def test_a_template_names_what_samples_ask_for(run: Run, write: Callable[..., Path]) -> None:
    from verl_vision_r1.preflight.config_check import check_keys, check_samples

    def checked(categories: Sequence[Sequence[str]]) -> int:
        file = write("samples.parquet", categories)
        files = (f"data.train_files={file}", f"data.val_files={file}", "data.train_batch_size=2")
        config = run(*files, "vision_r1.prompt.categories='Find cats and dogs.'")
        return check_samples(config, check_keys(config))

    assert checked([("cat", "dog"), ("cat", "dog")]) == 4  # A template for one list of categories.
    message = (
        r"^vision_r1\.prompt\.categories: expected {categories} in the template, as the samples of .*samples\.parquet"
        r" ask for different ones, got 'Find cats and dogs\.'$"
    )
    with pytest.raises(ValueError, match=message):
        checked([("cat", "dog"), ("cat",)])


def test_validation_on_the_training_file_is_a_warning(run: Run, folder: Path) -> None:
    from verl_vision_r1.preflight.config_check import check

    train = folder / "train.parquet"
    other = folder / "." / "elsewhere.parquet"
    other.unlink(missing_ok=True)
    other.symlink_to(train)
    (warning,) = check(run(f"data.val_files=[{folder / 'val.parquet'},{other}]"))
    assert warning == (
        f"data.val_files: expected samples that are not trained on, got {train.resolve()}, which is in"
        " data.train_files too; vision-r1 prepare --val-fraction divides a dataset"
    )
    assert check(run("vision_r1/evaluation=greedy")) == []


def test_bounds_that_no_processor_keeps_are_an_error(run: Run, write: Callable[..., Path]) -> None:
    from verl_vision_r1.preflight.config_check import check

    large = write("large.parquet", [("cat",)] * 8, min_pixels=2_000_000, max_pixels=4_000_000)
    message = r"^data\.train_files: .*large\.parquet: pixel bounds .*: expected an overlap .*, got 2000000 to 4000000;"
    with pytest.raises(ValueError, match=message):
        check(run(f"data.train_files={large}"))
    wider = ("+data.mm_processor_kwargs.min_pixels=3136", "+data.mm_processor_kwargs.max_pixels=4194304")
    check(run(f"data.train_files={large}", *wider))


class Family:
    """The part of a model's configuration that has the side of its visual tokens."""

    def __init__(self, patch_size: int, name: str) -> None:
        self.vision_config, self.model_type = self, name
        self.patch_size, self.spatial_merge_size = patch_size, 2


QWEN2, QWEN3 = Family(14, "qwen2_5_vl"), Family(16, "qwen3_vl")


@pytest.mark.parametrize(
    ("family", "bounds", "expected"),
    [
        (QWEN2, (MIN_PIXELS, MAX_PIXELS), ""),
        (QWEN3, (4 * 32**2, 512 * 32**2), ""),
        (QWEN3, (100_000, 1_000_000), ""),
        (Family(10, "other"), (MIN_PIXELS, MAX_PIXELS), ""),
        (object(), (MIN_PIXELS, MAX_PIXELS), ""),
        (
            QWEN3,
            (MIN_PIXELS, MAX_PIXELS),
            "data.train_files: expected pixel bounds in visual tokens of 32 x 32 (qwen3_vl), got 3136 to 401408 in"
            " x.parquet, 4 to 512 tokens of 28 x 28; for as many tokens, vision-r1 prepare --min-pixels 4096"
            " --max-pixels 524288",
        ),
        (
            QWEN2,
            (262144, 4194304),
            "data.train_files: expected pixel bounds in visual tokens of 28 x 28 (qwen2_5_vl), got 262144 to 4194304"
            " in x.parquet, 256 to 4096 tokens of 32 x 32; for as many tokens, vision-r1 prepare --min-pixels 200704"
            " --max-pixels 3211264",
        ),
    ],
)
def test_bounds_of_another_family_are_a_warning(family: Any, bounds: tuple[int, int], expected: str) -> None:
    from verl_vision_r1.preflight.config_check.bounds import bounds_warnings
    from verl_vision_r1.preflight.config_check.samples import File

    file = File("data.train_files", Path("x.parquet"), 8, {bounds})
    assert list(bounds_warnings([file], family)) == ([expected] if expected else [])
