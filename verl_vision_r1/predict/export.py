"""`vision-r1 export`: from a checkpoint of verl to a model folder that transformers and vLLM load.

verl's own merger joins the shards, in bfloat16. From a LoRA run it writes the base weights, with the adapter next to
them: a program that loads that folder runs the untrained model. So the adapter is merged into the weights here.
"""

import contextlib
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from verl_vision_r1.documents import read_text
from verl_vision_r1.predict.model_folder import SHARDS, adapter_of
from verl_vision_r1.predict.transformers_engine import with_adapter

DTYPES: Final = ("bfloat16", "float32")
LATEST: Final = "latest_checkpointed_iteration.txt"
"""File in which verl writes the step of a run's last checkpoint."""


@dataclass(frozen=True)
class Exported:
    """A model folder.

    Attributes:
        folder: The folder.
        checkpoint: The checkpoint that it was made of.
        kept: Of a LoRA run, the fraction of the adapter's update that the type of the weights keeps; None without an
            adapter.
    """

    folder: Path
    checkpoint: Path
    kept: float | None = None


def export(checkpoint: Path, out: Path, dtype: str = "bfloat16") -> Exported:
    """Write a model folder of a checkpoint.

    Args:
        checkpoint: Folder of a run's checkpoints, of which the last is taken; or `global_step_N`, or its `actor`.
        out: The model folder; it must not exist yet, or be empty.
        dtype: Type of the weights into which an adapter was merged, one of `DTYPES`; without an adapter, bfloat16.

    Raises:
        FileNotFoundError: There is no checkpoint.
        ValueError: It was not saved with FSDP, the output folder has files, or the type is not possible.
    """
    actor = find_actor(checkpoint)
    if dtype not in DTYPES:
        raise ValueError(f"dtype: expected one of {', '.join(DTYPES)}, got {dtype!r}")
    if dtype != "bfloat16" and not (actor / "lora_train_meta.json").is_file():
        raise ValueError(f"dtype: expected bfloat16 for a checkpoint without LoRA adapter, got {dtype!r}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out}: expected a new folder for the model, got one with files")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=out.parent) as unfinished:
        joined = Path(unfinished) / "model"
        with contextlib.redirect_stdout(sys.stderr):
            _join_shards(actor, joined)
        adapter = adapter_of(str(joined))
        kept = None if adapter is None else _merge(joined, adapter, dtype)
        shutil.copytree(joined, out, dirs_exist_ok=True)
    return Exported(out, actor, kept)


def find_actor(checkpoint: Path) -> Path:
    """The folder of the actor's shards in a checkpoint.

    Raises:
        FileNotFoundError: There is no checkpoint.
        ValueError: It was not saved with FSDP.
    """
    folder = checkpoint
    if (folder / LATEST).is_file():
        folder = folder / f"global_step_{read_text(folder / LATEST).strip()}"
    folder = folder / "actor" if (folder / "actor").is_dir() else folder
    if (folder / SHARDS).is_file():
        return folder
    if not folder.is_dir():
        raise FileNotFoundError(f"{checkpoint}: expected a checkpoint of verl, got no such folder")
    raise ValueError(
        f"{checkpoint}: expected a checkpoint that FSDP saved (actor/{SHARDS}), got none; for one of Megatron:"
        " python -m verl.model_merger merge --backend megatron --local_dir .../actor --target_dir MODEL"
    )


def _join_shards(actor: Path, out: Path) -> None:
    """What `python -m verl.model_merger merge --backend fsdp --local_dir ACTOR --target_dir OUT` does."""
    from verl.model_merger.base_model_merger import ModelMergerConfig
    from verl.model_merger.fsdp_model_merger import FSDPModelMerger

    own = str(actor / "huggingface")
    FSDPModelMerger(
        ModelMergerConfig("merge", "fsdp", str(out), local_dir=str(actor), hf_model_config_path=own)
    ).merge_and_save()


def _merge(folder: Path, adapter: Path, dtype: str) -> float:
    """Merge the adapter into the weights of the folder, and return the fraction of its update that they keep.

    The sum is taken in float32. Rounded to bfloat16, a weight changes only if its update is above half of its last
    place.
    """
    import torch
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(str(folder), dtype=torch.float32)
    before = {name: weight.detach().clone() for name, weight in model.state_dict().items()}
    merged = with_adapter(model, adapter).merge_and_unload()
    after = merged.state_dict()
    kept = _kept(before, {name: after[name] for name in before}, getattr(torch, dtype))
    shutil.rmtree(adapter)
    merged.to(getattr(torch, dtype)).save_pretrained(str(folder))
    return kept


def _kept(before: dict[str, Any], after: dict[str, Any], dtype: Any) -> float:
    """The part of the update along itself that rounding leaves, by least squares: 1 if all, 0 if none."""
    along = whole = 0.0
    for name, weight in before.items():
        update = after[name] - weight
        along += float((update * (after[name].to(dtype).float() - weight)).sum())
        whole += float((update * update).sum())
    return along / whole if whole else 1.0
