"""Prompt templates: the Hydra group `vision_r1/prompt`.

A sample stores the kind of its question and the subject; the run's configuration has the template, so that one dataset
file works with every reward. Each reward preset has a default template; `vision_r1/prompt=...` selects another one.
"""

import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from verl_vision_r1.targets import Target

QUESTIONS: Final = {
    "categories": ("categories",),
    "category": ("category",),
    "expression": ("expression",),
    "class": ("thing", "class"),
    "count": ("category",),
    "points": ("category",),
    "point": ("expression",),
    "own": (),
}
"""The kinds of question, and the fields that the template of each may use in braces.

`categories`: detect all boxes of all categories of the sample. `category`: detect all boxes of one category.
`expression`: ground a referring expression. `class`: classify the image. `count`: count the objects of a category.
`points`: point to all objects of one category. `point`: point to what an expression or an instruction refers to.
`own`: the sample's own prompt, without a template.
"""

PLACEHOLDERS: Final = ("<image>", "<video>", "<audio>")
"""The placeholders in a prompt that verl replaces with the sample's media, one for one."""

CLASS_OF: Final = {"plant": "species", "flower": "species", "pet": "species", "car": "model", "aircraft": "model"}
"""What the `class` template of Visual-RFT asks for, by subject; for any other subject, "class"."""


@dataclass(frozen=True)
class Prompts:
    """Templates by question. Without templates, every sample keeps its own prompt."""

    templates: dict[str, str]

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | None) -> "Prompts":
        """Check a configuration of the group.

        Raises:
            ValueError: A question is unknown, or its template is not text or uses another field.
        """
        for question, template in (config or {}).items():
            where = f"vision_r1.prompt.{question}"
            if question not in QUESTIONS or question == "own":
                known = ", ".join(name for name in QUESTIONS if name != "own")
                raise ValueError(f"{where}: expected one of {known}, got {question!r}")
            if not isinstance(template, str) or not template.strip():
                raise ValueError(f"{where}: expected a prompt template (text), got {template!r}")
            _check_fields(template, QUESTIONS[question], where)
        return cls(dict(config or {}))

    def words_of(self, extra_info: Mapping[str, Any], ground_truth: str) -> str | None:
        """The prompt of a sample, or None if the sample keeps its own.

        Args:
            extra_info: The sample's `question` and `subject`.
            ground_truth: The sample's target as JSON; read only for the question `categories`.

        Raises:
            ValueError: There is no template for the question.
        """
        question, subject = extra_info.get("question") or "own", extra_info.get("subject") or ""
        if question == "own" or not self.templates:
            return None
        categories = json.loads(ground_truth).get("categories", []) if question == "categories" else []
        return self._fill(question, categories, subject)

    def text(self, question: str, target: Target, subject: str) -> str:
        """The filled template of a question, without `<image>`. Names are inserted verbatim.

        Args:
            question: One of `QUESTIONS`, except "own".
            target: Its categories fill the template of "categories".
            subject: The category, expression or object that fills any other template.

        Raises:
            ValueError: There is no template for the question.

        Example:
            >>> from verl_vision_r1.rewards.presets import load_prompts
            >>> prompts = load_prompts("vision_r1")
            >>> prompts.text("category", Target([], [], 8, 6), "handbag")
            'Locate every handbag in the image and output the coordinates in JSON format.'
        """
        return self._fill(question, target.categories, subject)

    def _fill(self, question: str, categories: Sequence[str], subject: str) -> str:
        if question not in self.templates:
            known = ", ".join(self.templates)
            raise ValueError(f"vision_r1.prompt: expected a template for the question {question!r}, got only {known}")
        article = "an" if subject[:1].lower() in tuple("aeiou") else "a"
        return self.templates[question].format(
            **{
                "categories": ", ".join(categories),
                "category": subject,
                "expression": subject,
                "thing": f"{article} {subject}",
                "class": f"{CLASS_OF.get(subject, 'class')} of the {subject}",
            }
        )


def _check_fields(template: str, fields: tuple[str, ...], where: str) -> None:
    try:
        named = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise ValueError(f"{where}: expected balanced braces, literal ones doubled: {error}") from error
    wrong = [name for name in named if name not in fields]
    if wrong:
        raise ValueError(f"{where}: expected the fields {list(fields)} in braces, got {{{wrong[0]}}}")
