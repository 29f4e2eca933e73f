"""The data of the page, as one JSON document for its script."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import repeat
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any, Final

from verl_vision_r1.documents import is_regular_file
from verl_vision_r1.evaluation.presentation.gallery import GROUND_TRUTH_COLOUR
from verl_vision_r1.evaluation.presentation.style import OUTCOME_COLOURS
from verl_vision_r1.frames import write_size
from verl_vision_r1.points import flat
from verl_vision_r1.report.pairs import pair
from verl_vision_r1.report.prompts import Prompt, image_key
from verl_vision_r1.report.rollout_files import RolloutFolder
from verl_vision_r1.report.rollouts import MAX_CHARACTERS, describe
from verl_vision_r1.report.thumbnails import embedded_images, thumbnail

IMAGE_BUDGET: Final = 24_000_000
"""Characters of a page for its images, of the 40 MB that a browser loads easily."""
MAX_IMAGE: Final = 400_000
"""Maximum number of characters of one image: enough to zoom into, if there are few."""
PALETTE: Final = {"truth": GROUND_TRUTH_COLOUR, "outcomes": OUTCOME_COLOURS}
"""The colours of the page, those of every other drawing."""


Shown = tuple[Sequence[Prompt], Sequence[RolloutFolder]]
"""A run on the page: the prompts to show, and the folders of its rollout files."""


def document(runs: Sequence[Shown], progress: Callable[..., Any]) -> dict[str, Any]:
    """The prompts of one or two runs with their completions, and each image once.

    Args:
        runs: The runs.
        progress: Wraps loops in a progress bar.

    Returns:
        `prompts`, `images` and `palette`, as `assets/*.js` read them.
    """
    numbers: dict[tuple[str, str], int] = {}
    described = []
    for run, (prompts, folders) in enumerate(runs):
        rules = {folder.kind: folder.rules for folder in folders}
        for prompt in progress(prompts, unit="prompt"):
            place = numbers.setdefault(image_key(prompt.lines[0]), len(numbers))
            entry = _describe(prompt, rules[prompt.kind])
            described.append(entry | {"run": run, "image": place, "identity": prompt.identity})
    pair(described)
    prompts = [prompt for run in reversed(runs) for prompt in run[0]]
    folders = [folder for run in runs for folder in run[1]]
    return {"prompts": described, "images": _images(prompts, folders, list(numbers), progress), "palette": PALETTE}


def _describe(prompt: Prompt, rules: Any) -> dict[str, Any]:
    first, target = prompt.lines[0], prompt.lines[0].target
    rollouts = [describe(line, prompt.kind, rules) for line in prompt.lines]
    totals = [rollout["total"] for rollout in rollouts]
    return {
        **{"kind": prompt.kind, "step": prompt.step, "source": first.data_source, "image_id": first.image_id},
        **{"question": first.question, "subject": first.subject, "prompt": first.prompt[:MAX_CHARACTERS]},
        **{"task": target.task, "width": target.width, "height": target.height},
        "truth": {
            **{"boxes": target.boxes.round(2).tolist(), "labels": list(target.labels), "count": target.count},
            "outlines": flat(target.outlines),
        },
        **{"frame": write_size(first.frame).replace("x", " x ", 1)},
        **{"mean": round(fmean(totals), 6), "std": round(pstdev(totals), 6)},
        "rollouts": rollouts,
    }


def _images(
    prompts: Sequence[Prompt],
    folders: Sequence[RolloutFolder],
    keys: Sequence[tuple[str, str]],
    progress: Callable[..., Any],
) -> list[dict[str, str]]:
    files = {image_key(prompt.lines[0]): prompt.lines[0].image for prompt in prompts}
    missing = [key for key in keys if not files[key] or not is_regular_file(Path(files[key]))]
    samples = dict.fromkeys(path for folder in folders for path in folder.samples)
    embedded = embedded_images(samples, missing) if missing else {}
    budget = min(IMAGE_BUDGET // max(len(keys), 1), MAX_IMAGE)
    sources = [embedded[key] if key in embedded else Path(files[key] or "nowhere") for key in keys]
    with ThreadPoolExecutor() as pool:  # Pillow releases the GIL while it decodes and encodes.
        made = progress(pool.map(thumbnail, sources, repeat(budget)), total=len(sources), unit="image")
        return [asdict(image) for image in made]
