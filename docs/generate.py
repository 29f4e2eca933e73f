"""Writes the pages that are made from the code: `make docs-generate`.

The pages of `reference/configuration/`, `reference/command_line.md` and `images/architecture.svg` are generated whole;
`reference/metrics.md`, `guides/confidences.md`, `guides/hardware.md`, `guides/rehearse.md`, `guides/training.md`,
`background/ablations.md`, `background/demo_scale.md`, `background/photographs.md`, `get_started/demo.md`,
`development/architecture.md` and `development/new_verl.md` between their two marks. The generators read the YAML files
with their comments, the docstrings, the command line, the imports, the symbols of verl in the code, the names that a
real sample logs, and the results of the last estimates, rehearsals, ablations and benchmark of trainers. A test fails
where a page differs from what they make.
"""

import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final

from generators import (
    ablations,
    architecture,
    command_line,
    confidences,
    demo,
    demo_scale,
    hardware,
    keys,
    metrics,
    new_verl,
    photographs,
    presets,
    prompts,
    recipes,
    rehearsals,
    trainers,
)

DOCS: Final = Path(__file__).parent
PAGES: Final[dict[str, Callable[[str], str]]] = {
    "reference/configuration/keys.md": lambda written: keys.page(),
    "reference/configuration/presets.md": lambda written: presets.page(),
    "reference/configuration/prompts.md": lambda written: prompts.page(),
    "reference/configuration/recipes.md": lambda written: recipes.page(),
    "reference/command_line.md": lambda written: command_line.page(),
    "reference/metrics.md": metrics.page,
    "guides/hardware.md": hardware.page,
    "guides/rehearse.md": rehearsals.page,
    "background/ablations.md": ablations.page,
    "background/demo_scale.md": demo_scale.page,
    "background/photographs.md": photographs.page,
    "get_started/demo.md": demo.page,
    "guides/training.md": trainers.page,
    "guides/confidences.md": confidences.page,
    "images/architecture.svg": lambda written: architecture.picture(),
    "development/architecture.md": architecture.page,
    "development/new_verl.md": new_verl.page,
}
"""Each file, and what makes its text from the one that is there."""


def made(name: str) -> str:
    """The text of a file as it should be."""
    path = DOCS / name
    return PAGES[name](path.read_text(encoding="utf-8") if path.is_file() else "")


def main() -> None:
    """Write all files, or those that are named on the command line."""
    # verl logs at every import which accelerators and engines this machine lacks.
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    for name in sys.argv[1:] or PAGES:
        path = DOCS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made(name), encoding="utf-8")


if __name__ == "__main__":
    main()
