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

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, *_ = resolved = super().resolve_command(ctx, args)
        _refuse_old_options(str(name), args[1:])
        return resolved

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


def _refuse_old_options(command: str, arguments: list[str]) -> None:
    from verl_vision_r1.renamed import OPTIONS

    for word in arguments:
        old = word.partition("=")[0]
        if new := OPTIONS.get(command, {}).get(old):
            raise ValueError(f"vision-r1 {command}: expected {new}, got its old name {old}")


def _tell(message: str) -> None:
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True, soft_wrap=True).print(Text(message, style="red"))


app = typer.Typer(cls=_Commands, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich")


def _print_version(wanted: bool) -> None:
    if wanted:
        from verl_vision_r1 import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def vision_r1(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
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
