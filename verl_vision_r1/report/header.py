"""The header of the page: which run it is, as far as its files say."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from verl_vision_r1.report.curves import Means, thresholds_in_words
from verl_vision_r1.report.rollout_files import RolloutFolder
from verl_vision_r1.rewards.presets import load_curriculum, names_in
from verl_vision_r1.training.command import masked_again, recipe_of
from verl_vision_r1.training.run_file import Rules


def header(name: str, folders: Sequence[RolloutFolder], means: Mapping[str, Mapping[int, Means]]) -> dict[str, Any]:
    """Describe a run for the header.

    Args:
        name: The name of the run.
        folders: The folders of its rollout files.
        means: The means of its steps, from `read_means`.

    Returns:
        `name`, and `facts`: (name, value) of what is known of model, recipe, rewards, curriculum, steps, date and
        command.
    """
    origin = {key: value for folder in reversed(folders) for key, value in folder.origin.items()}
    rules = next((folder.rules for folder in folders if folder.rules), None)
    command = masked_again(origin.get("command", ""))
    recipe = recipe_of(command)
    facts = {
        "model": origin.get("model", ""),
        "recipe": recipe,
        "experiment": "" if origin.get("experiment") == recipe else origin.get("experiment", ""),
        "rewards": origin.get("rewards", "" if rules is None else "none of the presets as it is"),
        "curriculum": "" if rules is None else _curriculum(rules),
        "steps": _steps(means, rules),
        "stage at the end": _stage(means),
        "started": origin.get("started", "").replace("T", " ").replace("+00:00", " UTC"),
        "files written": "" if origin.get("started") else _written(folders),
        "command": command,
    }
    return {"name": name, "facts": [[key, value] for key, value in facts.items() if value]}


def names(runs: Sequence[Path]) -> list[str]:
    """Names of the runs: the folder, and as many of those above it as tell the runs apart.

    Example:
        >>> names([Path("/runs/first/checkpoints"), Path("/runs/second/checkpoints")]), names([Path("/runs/first")])
        (['first/checkpoints', 'second/checkpoints'], ['first'])
    """
    parts = [run.resolve().parts for run in runs]
    length = 1
    while len({part[-length:] for part in parts}) < len(set(parts)):
        length += 1
    return ["/".join(part[-length:]) for part in parts]


def _curriculum(rules: Rules) -> str:
    """The built-in curriculum, or the number of stages; stages are counted from 0, as in the rollout files."""
    name = next((name for name in names_in("curriculum") if load_curriculum(name) == rules.curriculum), "")
    last = len(rules.curriculum.stages) - 1
    stages = f"stages 0 to {last}" if last else "one stage"
    return f"{name}, {stages}" if name and last else name or stages


def _steps(means: Mapping[str, Mapping[int, Means]], rules: Rules | None) -> str:
    last = max((step for steps in means.values() for step in steps), default=0)
    return f"{last} of {rules.total_steps}" if rules else str(last)


def _stage(means: Mapping[str, Mapping[int, Means]]) -> str:
    """The stage of the curriculum at the last training step, and its thresholds."""
    training = means.get("training")
    if not training:
        return ""
    last = training[max(training)]
    return f"{last.stage}: {thresholds_in_words(last.thresholds)}"


def _written(folders: Sequence[RolloutFolder]) -> str:
    """When the first and the last of the files were changed: of a run that does not say when it was started."""
    times = sorted(file.stat().st_mtime for folder in folders for file in folder.files.values())
    first, last = (f"{datetime.fromtimestamp(time, timezone.utc):%Y-%m-%d %H:%M}" for time in (times[0], times[-1]))
    return f"{first} UTC" if first == last else f"{first} to {last} UTC"
