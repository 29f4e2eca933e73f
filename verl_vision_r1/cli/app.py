"""The application that the commands belong to, and how they tell a person what went wrong."""

import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
"""The option of every command that has something to say."""


class _Commands(TyperGroup):
    """Shows what a person got wrong as one line instead of a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            # Who reads has had enough, as in `vision-r1 attacks | head`; nor can the rest be flushed at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from error
        except (ValueError, OSError) as error:
            _tell(f"error: {error}")
            raise typer.Exit(1) from error


def _tell(message: str) -> None:
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True, soft_wrap=True).print(Text(message, style="red"))


app = typer.Typer(cls=_Commands, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.callback()
def vision_r1() -> None:
    """Reinforcement fine-tuning of vision-language models for seeing, with verl."""


def names_of(group: str) -> Callable[[str], list[str]]:
    """What a shell completes an option with: the names in a Hydra group of ours.

    Args:
        group: `reward`, `curriculum` or `prompt`.
    """

    def complete(incomplete: str) -> list[str]:
        from verl_vision_r1.rewards.presets import names_in

        return [name for name in names_in(group) if name.startswith(incomplete)]

    return complete
