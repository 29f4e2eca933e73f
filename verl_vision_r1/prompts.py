"""The words of a question: the Hydra group `vision_r1/prompt`.

A row says which question it asks and what about; the run's configuration says in which words, so that one file of rows
serves every reward. A preset of rewards brings the prompt that its answers need; `vision_r1/prompt=...` takes another.
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
    "own": (),
}
"""The questions, and the fields of each that a template may name in braces.

`categories`: all boxes of all categories of the row. `category`: all boxes of one. `expression`: what an expression
means. `class`: what the image shows. `count`: how many of a category. `own`: the words of the row itself.
"""

PLACEHOLDERS: Final = ("<image>", "<video>", "<audio>")
"""The marks in a prompt that verl replaces by the sample's media, one for one."""

CLASS_OF: Final = {"plant": "species", "flower": "species", "pet": "species", "car": "model", "aircraft": "model"}
"""What is asked of a thing, in the words of Visual-RFT; of any other its class."""


@dataclass(frozen=True)
class Prompts:
    """Templates by question. Without any, a row's own words stay as they are."""

    templates: dict[str, str]

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | None) -> "Prompts":
        """Check the configuration of the group.

        Raises:
            ValueError: A question is unknown, or its template is not text or names another field.
        """
        for question, template in (config or {}).items():
            where = f"vision_r1.prompt.{question}"
            if question not in QUESTIONS or question == "own":
                raise ValueError(f"{where}: expected one of {', '.join(QUESTIONS)} but own, got {question!r}")
            if not isinstance(template, str) or not template.strip():
                raise ValueError(f"{where}: expected the words of a question, got {template!r}")
            _check_fields(template, QUESTIONS[question], where)
        return cls(dict(config or {}))

    def words_of(self, extra_info: Mapping[str, Any], ground_truth: str) -> str | None:
        """The words of a row's question, or None where its own stay.

        Args:
            extra_info: What the row says of its question: `question` and `subject`.
            ground_truth: The row's target as JSON; it is read only where the question is about all categories.

        Raises:
            ValueError: There is no template for the question.
        """
        question, subject = extra_info.get("question") or "own", extra_info.get("subject") or ""
        if question == "own" or not self.templates:
            return None
        categories = json.loads(ground_truth).get("categories", []) if question == "categories" else []
        return self._fill(question, categories, subject)

    def text(self, question: str, target: Target, subject: str) -> str:
        """The words of a question, without `<image>`. Names stand in it as they are.

        Args:
            question: One of `QUESTIONS`, but not "own".
            target: Its categories are what "categories" asks for.
            subject: What any other question is about.

        Raises:
            ValueError: There is no such template.

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
            raise ValueError(f"vision_r1.prompt: expected the words of the question {question!r}, got only {known}")
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
        raise ValueError(f"{where}: expected braces in pairs, a literal one doubled: {error}") from error
    wrong = [name for name in named if name not in fields]
    if wrong:
        raise ValueError(f"{where}: expected the fields {list(fields)} in braces, got {{{wrong[0]}}}")
