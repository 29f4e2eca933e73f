"""docs/development/architecture.md and its picture: which module runs where, counted in lines of Python."""

import ast
from collections.abc import Iterator
from functools import cache
from html import escape
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple

from generators.markdown import between_marks, table

PACKAGE: Final = Path(str(resources.files("verl_vision_r1")))

ROOMS: Final[dict[str, str]] = {
    "shown": "values and texts in messages: short, on one line",
    "documents": "JSON and YAML files, with errors of one line",
    "boxes": "box geometry: IoU, GIoU",
    "points": "point geometry: boxes and outlines as targets",
    "families": "the model families, and those that verl does not train",
    "frames": "conversion between the model's frame and original-image pixels",
    "targets": "the ground truth of a sample",
    "prompts": "prompt templates",
    "renamed": "old names and misspelt overrides",
    "supported": "the verl versions that are accepted",
    "compat": "workarounds for bugs in verl, each until a release fixes it",
    "cpu": "verl without a GPU; inert unless `VERL_PLATFORM=cpu`",
    "rewards": "from a completion to a reward and its parts",
    "settings": "the configuration key `vision_r1`",
    "reward_manager": "adapter to verl's reward manager",
    "data": "datasets to parquet; validation; verl's dataset class",
    "training": "metrics, advantages, frozen parts and rollout files for verl's trainer",
    "evaluation": "AP, F1 and accuracy from predictions files",
    "report": "the rollout page",
    "predict": "a trained model in use: predictions, model folders",
    "demo": "the demo and the ablations",
    "preflight": "checks before a GPU is used: configuration, doctor, estimate, GPU check",
    "cli": "the command `vision-r1`",
    "plugin": "the entry point that verl loads",
}
"""Every room of the package in the order of imports: a module imports its own room and those above it."""

ENTRY_POINTS: Final = (
    "plugin",
    "preflight.config_check",
    "data.dataset",
    "reward_manager",
    "training.agent_loop",
    "training.single_turn_loop",
    "training.trainer",
    "training.freeze_vision",
    "training.freeze_vision_tower",
    "rewards.releases.vision_r1",
    "rewards.releases.visual_rft",
    "rewards.releases.vlm_r1",
)
"""The modules that verl, Hydra, a recipe or a preset load by name."""


class Part(NamedTuple):
    """A box of the picture.

    Attributes:
        name: What it is called.
        text: What it does.
        modules: Prefixes of its modules.
    """

    name: str
    text: str
    modules: tuple[str, ...]


VOCABULARY: Final = (
    "boxes",
    "points",
    "families",
    "frames",
    "targets",
    "prompts",
    "shown",
    "documents",
    "renamed",
    "supported",
    "__init__",
)
INSIDE: Final = (
    ("verl starts", Part("plugin, compat", "registers recipes, reward manager, trainer modes", ("plugin", "compat"))),
    ("Hydra composes", Part("preflight.config_check", "checks configuration and data", ("preflight", "settings"))),
    ("data loader", Part("data.dataset", "checks parquet rows, fills prompt templates", ("data",))),
    ("agent loop, vLLM", Part("training.agent_loop", "marks validation samples", ("training.agent_loop",))),
    ("reward workers", Part("reward_manager", "completion, ground truth, step", ("reward_manager",))),
    ("", Part("rewards", "parse, match, criteria, refinement, total", ("rewards",))),
    ("", Part("rewards.releases", "released rewards, where a preset names them", ("rewards.releases",))),
    ("trainer", Part("training", "metrics, advantages, frozen parts, rollout files", ("training",))),
    ("all of them", Part("boxes, families, frames, targets, prompts", "shared types and conversions", VOCABULARY)),
)
"""What runs inside verl: the step of verl, and our part in it."""

TOOLS: Final = (
    Part("cli", "all commands of vision-r1", ("cli",)),
    Part("data", "prepare, validate, view; readers", ("data",)),
    Part("rewards", "score, explain, attacks, conformance", ("rewards",)),
    Part("evaluation", "evaluate", ("evaluation",)),
    Part("report", "report", ("report",)),
    Part("predict", "predict, export", ("predict",)),
    Part("preflight", "doctor, estimate, gpu-check", ("preflight",)),
    Part("demo", "demo, ablations", ("demo", "training")),
    Part("cpu", "verl without a GPU", ("cpu",)),
)


def page(written: str) -> str:
    """The page with its generated table made anew.

    Raises:
        ValueError: The marks are missing.
    """
    rows = (
        (f"`{room}`", meaning, _count(lines_of([name for name in modules() if _room(name) == room])))
        for room, meaning in ROOMS.items()
    )
    made = table(("room", "purpose", "lines"), rows) + "\n"
    return between_marks(written, made, "docs/development/architecture.md")


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name within it; a package is named by its folder."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] != "config":
            found[".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports_of(name: str) -> frozenset[str]:
    """The modules of the package that a module imports, wherever in it.

    Example:
        >>> sorted(imports_of("frames"))
        ['boxes', 'families']
    """
    found = set()
    for node in ast.walk(ast.parse(modules()[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{item.name}" for item in node.names}
        elif isinstance(node, ast.Import):
            found |= {item.name for item in node.names}
    ours = (full.removeprefix("verl_vision_r1.") for full in found if full.startswith("verl_vision_r1."))
    return frozenset(known for full in ours if (known := _known(full)))


OPTIONAL: Final = ("cpu", "report")
"""Rooms that a run loads only if asked to: `VERL_PLATFORM=cpu`, and `vision_r1.log_images`."""


@cache
def inside_verl() -> frozenset[str]:
    """The modules that every training run can load."""
    found: set[str] = set()
    left = ["__init__", *ENTRY_POINTS]
    while left:
        name = left.pop()
        if name in found or _room(name) in OPTIONAL:
            continue
        found.add(name)
        # Importing a module runs the packages that it is in.
        packages = [".".join(name.split(".")[:depth]) for depth in range(1, name.count(".") + 1)]
        left += [*packages, *(imports_of(name) if name != "__init__" else ())]
    return frozenset(found)


def lines_of(names: list[str]) -> int:
    """Lines of Python of some modules, docstrings and blank lines included."""
    return sum(len(modules()[name].read_text(encoding="utf-8").splitlines()) for name in names)


def picture() -> str:
    """The picture as SVG. It has a background of its own, so that it can be read on a light and on a dark page."""
    inside = list(parts_with_lines([part for _, part in INSIDE], inside=True))
    tools = list(parts_with_lines(list(TOOLS), inside=False))
    left, right = (sum(lines for _, lines in parts) for parts in (inside, tools))
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="980" height="576" font-family="sans-serif">',
        "<title>What runs inside verl, and the tools around it</title>",
        '<rect width="980" height="576" rx="10" fill="#f6f8fa"/>',
        *_heading(20, f"Inside verl: {_count(left)} lines"),
        *_heading(660, f"Tools: {_count(right)} lines"),
    ]
    for place, ((step, _), (part, count)) in enumerate(zip(INSIDE, inside, strict=True)):
        lines += _step(56 + 56 * place, step) + _box(190, 56 + 56 * place, 440, part, count, "#dbe9f6")
    for place, (part, count) in enumerate(tools):
        lines += _box(660, 56 + 56 * place, 300, part, count, "#e9e6dc")
    return "\n".join([*lines, "</svg>"]) + "\n"


def parts_with_lines(parts: list[Part], *, inside: bool) -> Iterator[tuple[Part, int]]:
    """Each part with its lines; a module belongs to the part that names it most closely."""
    members: dict[str, list[str]] = {}
    for name in modules():
        if (name in inside_verl()) == inside:
            close = {prefix: part for part in parts for prefix in part.modules if f"{name}.".startswith(f"{prefix}.")}
            if not close:
                raise ValueError(f"docs/generators/architecture.py: expected a part that has {name}, got none")
            members.setdefault(close[max(close, key=len)].name, []).append(name)
    return ((part, lines_of(members.get(part.name, []))) for part in parts)


def _heading(x: int, text: str) -> list[str]:
    return [_text(x, 36, text, 'font-size="18" font-weight="bold"')]


def _step(y: int, text: str) -> list[str]:
    if not text:
        return []
    arrow = f'<path d="M160 {y + 23} h24 m-6 -5 l6 5 l-6 5" stroke="#57606a" fill="none" stroke-width="1.5"/>'
    return [_text(20, y + 28, text, 'font-size="14" fill="#57606a"'), arrow]


def _box(x: int, y: int, width: int, part: Part, lines: int, colour: str) -> list[str]:
    return [
        f'<rect x="{x}" y="{y}" width="{width}" height="46" rx="6" fill="{colour}" stroke="#8c959f"/>',
        _text(x + 12, y + 19, part.name, 'font-size="14" font-weight="bold"'),
        _text(x + 12, y + 37, part.text, 'font-size="13"'),
        _text(x + width - 12, y + 19, _count(lines), 'font-size="13" fill="#57606a" text-anchor="end"'),
    ]


def _text(x: int, y: int, text: str, style: str) -> str:
    return f'<text x="{x}" y="{y}" {style}>{escape(text)}</text>'


def _count(lines: int) -> str:
    """A number of lines in two significant digits, so that a small change leaves the page as it is.

    Example:
        >>> _count(5432), _count(97)
        ('5,400', '97')
    """
    digits = 10 ** max(len(str(lines)) - 2, 0)
    return f"{round(lines / digits) * digits:,}"


def _room(name: str) -> str:
    return name.partition(".")[0]


def _known(full: str) -> str:
    """The module that an imported name is, or is in."""
    names = full.split(".")
    return next((".".join(names[:end]) for end in range(len(names), 0, -1) if ".".join(names[:end]) in modules()), "")
