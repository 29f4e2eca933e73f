"""All that a page knows, as one JSON document for its script."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any, Final

from verl_vision_r1.evaluation.predictions.predictions_file import Line
from verl_vision_r1.report.prompts import Prompt
from verl_vision_r1.report.rollout_files import RolloutFolder
from verl_vision_r1.report.rollouts import LETTERS, describe
from verl_vision_r1.report.thumbnails import embedded_images, thumbnail

PICTURES: Final = 24_000_000
"""Letters of a page that are its pictures', of the 40 MB that a browser takes easily."""
LARGEST_PICTURE: Final = 100_000
"""Letters of one picture at most."""


def document(
    prompts: Sequence[Prompt], folders: Sequence[RolloutFolder], progress: Callable[..., Any]
) -> dict[str, Any]:
    """The prompts with their answers, and the pictures, each once.

    Args:
        prompts: What the page shows.
        folders: The run's dumps.
        progress: Shows how far it is.
    """
    rules = {folder.kind: folder.rules for folder in folders}
    places: dict[tuple[str, str], int] = {}
    for prompt in prompts:
        places.setdefault(_image(prompt.lines[0]), len(places))
    described = []
    for prompt in progress(prompts, unit="prompt"):
        entry = _describe(prompt, rules[prompt.kind])
        entry["image"] = places[_image(prompt.lines[0])]
        entry["identity"] = prompt.identity
        described.append(entry)
    return {"prompts": described, "images": _pictures(prompts, folders, places, progress)}


def _image(line: Line) -> tuple[str, str]:
    return (line.data_source, line.image_id)


def _describe(prompt: Prompt, rules: Any) -> dict[str, Any]:
    first, target = prompt.lines[0], prompt.lines[0].target
    answers = [describe(line, prompt.kind, rules) for line in prompt.lines]
    totals = [answer["total"] for answer in answers]
    return {
        **{"kind": prompt.kind, "step": prompt.step, "source": first.data_source, "image_id": first.image_id},
        **{"question": first.question, "subject": first.subject, "prompt": first.prompt[:LETTERS]},
        **{"task": target.task, "width": target.width, "height": target.height},
        "truth": {"boxes": target.boxes.round(2).tolist(), "labels": list(target.labels), "count": target.count},
        **{"frame": f"{first.frame[0]:g} x {first.frame[1]:g}"},
        **{"mean": round(fmean(totals), 6), "spread": round(pstdev(totals), 6)},
        "rollouts": answers,
    }


def _pictures(
    prompts: Sequence[Prompt],
    folders: Sequence[RolloutFolder],
    places: dict[tuple[str, str], int],
    progress: Callable[..., Any],
) -> list[str]:
    files = {_image(prompt.lines[0]): prompt.lines[0].image for prompt in prompts}
    elsewhere = [key for key in places if not files[key] or not Path(files[key]).is_file()]
    rows = dict.fromkeys(path for folder in folders for path in folder.samples)
    held = embedded_images(rows, elsewhere) if elsewhere else {}
    budget = min(PICTURES // max(len(places), 1), LARGEST_PICTURE)
    sources = [held[key] if key in held else Path(files[key] or "nowhere") for key in places]
    with ThreadPoolExecutor() as pool:  # Pillow lets go of Python's lock while it reads and compresses.
        return list(progress(pool.map(thumbnail, sources, repeat(budget)), total=len(sources), unit="image"))
