"""What a model is asked about an image, and how its completions are read: the templates and parsers of a preset."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

from verl_vision_r1.boxes import NO_BOXES
from verl_vision_r1.documents import parse_yaml, read_text
from verl_vision_r1.prompts import Prompts
from verl_vision_r1.rewards.presets import load_preset, load_prompts, names_in
from verl_vision_r1.rewards.scoring import TaskRules
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import Target

TASK_OF: Final = {
    "categories": "detection",
    "category": "detection",
    "expression": "grounding",
    "class": "classification",
    "count": "counting",
}
"""The task of each kind of question that can be asked about a new image."""
WITH_BOXES: Final = ("detection", "grounding")
PROMPT_OF_PRESET: Final = "/vision_r1/prompt@_global_.vision_r1.prompt"
"""Entry of a preset's `defaults` that names its prompt templates."""


@dataclass(frozen=True)
class Question:
    """One question about an image.

    Attributes:
        kind: A key of `TASK_OF`.
        subject: The category, expression or object asked about; empty for all categories.
        text: The prompt, without the image.
    """

    kind: str
    subject: str
    text: str


@dataclass(frozen=True)
class Asking:
    """How a model is asked, and its completions are read.

    Attributes:
        kind: Kind of the questions, a key of `TASK_OF`.
        rules: Parser and frame of the preset for its task.
        prompts: The prompt templates; None with a custom prompt.
        custom: The custom prompt, which is asked once for each image.
    """

    kind: str
    rules: TaskRules
    prompts: Prompts | None
    custom: str = ""

    @classmethod
    def of(cls, preset: str, prompt: str | None = None, kind: str | None = None) -> "Asking":
        """Read a preset and its prompt templates.

        Args:
            preset: Reward preset of the training run: a name, or the path of a YAML file.
            prompt: Name of other prompt templates, or the text of a prompt, in which `{categories}` stands for the
                names; None for the templates of the preset.
            kind: A key of `TASK_OF`; None for all categories at once, or one by one if the templates have no prompt
                for all.

        Raises:
            ValueError: A name is unknown, or the preset or the templates do not have that kind of question.
        """
        custom = prompt if prompt is not None and prompt not in names_in("prompt") else ""
        if prompt is not None and custom == prompt and len(prompt.split()) < 2:
            known = ", ".join(names_in("prompt"))
            raise ValueError(f"prompt: expected one of {known}, or the text of a prompt, got {prompt!r}")
        prompts = None if custom else load_prompts(prompt or _prompt_of(preset))
        templates = {"categories"} if prompts is None else set(prompts.templates)
        kind = kind or ("categories" if "categories" in templates else "category")
        tasks = load_preset(preset).tasks
        possible = [name for name, task in TASK_OF.items() if task in tasks and name in templates]
        if kind not in possible:
            raise ValueError(f"ask: expected one of {', '.join(possible)} with the preset {preset}, got {kind!r}")
        return cls(kind, tasks[TASK_OF[kind]], prompts, custom)

    @property
    def finds_boxes(self) -> bool:
        """Whether the answers are boxes; otherwise they are texts: a class or a count."""
        return TASK_OF[self.kind] in WITH_BOXES

    def questions(self, names: Sequence[str]) -> list[Question]:
        """The questions about an image: one about all categories, or one about each name.

        Args:
            names: Categories, expressions or objects, at least one.

        Raises:
            ValueError: There is no name, or an empty one.

        Example:
            >>> [question.subject for question in Asking.of("visual_rft").questions(["cat", "dog"])]
            ['cat', 'dog']
        """
        if isinstance(names, str) or not names or not all(isinstance(name, str) and name.strip() for name in names):
            raise ValueError(f"names: expected a list of names to find, at least one, got {shown(names)}")
        if self.prompts is None:
            return [Question(self.kind, "", self.custom.replace("{categories}", ", ".join(names)))]
        target = Target(NO_BOXES, (), 1, 1, tuple(names))
        subjects = [""] if self.kind == "categories" else names
        return [Question(self.kind, name, self.prompts.text(self.kind, target, name)) for name in subjects]


def _prompt_of(preset: str) -> str:
    """The name of a preset's prompt templates; those of `vision_r1` for a YAML file that names none."""
    file = resources.files("verl_vision_r1").joinpath("config", "vision_r1", "reward", f"{preset}.yaml")
    path = Path(preset) if preset.endswith(".yaml") else Path(str(file))
    config: Any = parse_yaml(read_text(path), preset) if path.is_file() else {}
    defaults = config.get("defaults") if isinstance(config, dict) else None
    named = {key: value for entry in defaults or () if isinstance(entry, dict) for key, value in entry.items()}
    return str(named.get(PROMPT_OF_PRESET, "vision_r1"))
