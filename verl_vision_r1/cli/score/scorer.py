"""The reward configuration of `vision-r1 score`: that of the run whose file is scored, unless another is chosen."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from verl_vision_r1.cli.score.inputs import Completion, located, size_of
from verl_vision_r1.frames import FRAMES, Size, frame_size
from verl_vision_r1.rewards.explanation import Explanation, explain
from verl_vision_r1.rewards.presets import Preset, load_curriculum, load_preset
from verl_vision_r1.rewards.refinement import Stage
from verl_vision_r1.rewards.scoring import Scores, TaskRules, score_completion
from verl_vision_r1.shown import printable
from verl_vision_r1.training.run_file import NAME, RunFile, read_run_file


@dataclass(frozen=True)
class Choice:
    """The options of the command that choose a reward configuration; None where not given.

    Attributes:
        preset: Name or YAML file of a preset.
        curriculum: Name of a curriculum.
        stage: Index of a stage.
        frame: One of `FRAMES` or WIDTHxHEIGHT.
        trust_run: Whether the custom functions that `run.yaml` names are imported.
    """

    preset: str | None = None
    curriculum: str | None = None
    stage: int | None = None
    frame: str | None = None
    trust_run: bool = False


@dataclass(frozen=True, eq=False)
class Scorer:
    """The reward configuration for all completions.

    Attributes:
        preset: The rewards.
        stage: The thresholds of a completion.
        frame: One of `FRAMES` or WIDTHxHEIGHT; None for the frame of the line, else of the preset, else of the image.
        origin: Where the configuration is from, for the output; empty without a file.
        recorded: Whether it is the one that the run recorded.
    """

    preset: Preset
    stage: Callable[[Completion], Stage]
    frame: str | None
    origin: str
    recorded: bool

    def explain(self, completion: Completion) -> Explanation:
        """Score a completion and explain the score.

        Raises:
            ValueError: The preset has no configuration for the task, or the frame is invalid.
        """
        rules, stage = self.rules_of(completion), self.stage(completion)
        return explain(completion.text, completion.target, rules, self._frame(completion, rules), stage)

    def score(self, completion: Completion) -> Scores:
        """Score a completion.

        Raises:
            ValueError: As in `explain`.
        """
        rules, stage = self.rules_of(completion), self.stage(completion)
        return score_completion(completion.text, completion.target, rules, self._frame(completion, rules), stage)

    def rules_of(self, completion: Completion) -> TaskRules:
        """The reward configuration of a completion's task.

        Raises:
            ValueError: The preset has no configuration for the task.
        """
        return located(completion.where, lambda: self.preset.rules_of(completion.target))

    def _frame(self, completion: Completion, rules: TaskRules) -> Size:
        size = (completion.target.width, completion.target.height)
        if self.frame is not None:
            return frame_size(self.frame, size) if self.frame in FRAMES else size_of(self.frame, "--frame")
        return completion.frame or frame_size(rules.frame or "resized_pixels", size)


def make_scorer(choice: Choice, source: Path | None) -> Scorer:
    """The reward configuration that is chosen, else that of `run.yaml` next to the file, else the preset `vision_r1`.

    Args:
        choice: The options of the command.
        source: The file of completions; None for a completion from the command line.

    Raises:
        ValueError: There is no such preset, curriculum or stage, or `run.yaml` cannot be used.
    """
    file = None if source is None else source.parent / NAME
    chosen = choice.preset is not None and choice.curriculum is not None
    run = read_run_file(file, choice.trust_run) if file and file.is_file() and not chosen else None
    preset = _preset_of(run, file) if run and choice.preset is None else load_preset(choice.preset or "vision_r1")
    return Scorer(
        preset,
        _stages(choice, run, file),
        choice.frame,
        "" if file is None else _origin(choice, file, run is not None),
        run is not None and choice == replace(choice, preset=None, curriculum=None, stage=None),
    )


def _preset_of(run: RunFile, file: Path | None) -> Preset:
    if run.rules is None:
        raise ValueError(f"{run.note}; choose another reward configuration with --preset and --curriculum")
    if custom := run.rules.preset.unevaluated:
        names = ", ".join(f"{function.key} {printable(function.name, 100)}" for function in custom[:5])
        raise ValueError(
            f"{file}: expected functions of this package, got custom ones: {names}; --trust-run imports and calls"
            " them, --preset chooses other rewards"
        )
    return run.rules.preset


def _stages(choice: Choice, run: RunFile | None, file: Path | None) -> Callable[[Completion], Stage]:
    """The stage of a completion: that of `--stage`, else that of the run, else the last of the curriculum."""
    if run is None or choice.curriculum is not None:
        name = choice.curriculum or "none"
        curriculum, where = load_curriculum(name), f"the curriculum {name}"
    elif run.rules is None:
        raise ValueError(f"{run.note}; choose another curriculum with --curriculum")
    elif choice.stage is None:
        rules, kind = run.rules, run.kind
        return lambda found: rules.stage(kind, rules.total_steps if found.step is None else found.step, found.stage)
    else:
        curriculum, where = run.rules.curriculum, str(file)
    last = len(curriculum.stages) - 1
    index = last if choice.stage is None else choice.stage
    if not 0 <= index <= last:
        raise ValueError(f"--stage: expected 0 to {last} of {where}, got {index}")
    return lambda found: curriculum.stages[index]


def _origin(choice: Choice, file: Path, found: bool) -> str:
    recorded = str(file) if found else ""
    rewards = f"{choice.preset} (--preset)" if choice.preset else recorded or "vision_r1 (default)"
    curriculum = f"{choice.curriculum} (--curriculum)" if choice.curriculum else recorded or "none (default)"
    stage = "" if choice.stage is None else f", stage {choice.stage} (--stage)"
    missing = "" if found or (choice.preset and choice.curriculum) else f"; {file.parent} has no {NAME}"
    if rewards == curriculum:
        return f"{recorded}{stage}"
    return f"{rewards}, curriculum: {curriculum}{stage}{missing}"
