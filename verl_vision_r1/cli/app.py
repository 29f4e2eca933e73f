"""The command-line application and its error messages."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from verl_vision_r1.shown import printable, printable_lines

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
"""The option of every command that prints a result."""
Run = Annotated[
    list[str],
    typer.Argument(help="Overrides of a run, as on verl's command line.", metavar="+recipe=NAME [KEY=VALUE ...]"),
]
GpuMemory = Annotated[float | None, typer.Option(help="Memory of one GPU in GiB.", show_default="that of --gpu")]
Gpu = Annotated[str, typer.Option(help="GPU: h100, a100, rtx4090 and so on.")]
ModelConfig = Annotated[
    Path | None,
    typer.Option(help="config.json of the model.", show_default="that of actor_rollout_ref.model.path"),
]
"""With `Run`, `GpuMemory` and `Gpu`: what `estimate` and `rehearse` take alike."""


def one_line(text: str) -> str:
    """A text as one printable line, with control characters as escapes."""
    return printable(text, None)


def echo(text: str) -> None:
    """Print lines of text, with control characters as escapes: a file name or label may contain any."""
    typer.echo(printable_lines(text))


def echo_json(value: Any) -> None:
    """Print strict JSON in ASCII, so that no text in it can contain terminal control characters."""
    typer.echo(json.dumps(value, indent=2, allow_nan=False).replace("\x7f", "\\u007f"))


class _Commands(TyperGroup):
    """Prints user errors as one line instead of a traceback."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, *_ = resolved = super().resolve_command(ctx, args)
        _refuse_old_options(str(name), args[1:])
        return resolved

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            # The reader closed the pipe, as in `vision-r1 attacks | head`, so the output cannot be flushed at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from error
        except (ValueError, OSError) as error:
            _print_error(error)
            raise typer.Exit(1) from error


def _refuse_old_options(command: str, arguments: list[str]) -> None:
    from verl_vision_r1.renamed import OPTIONS

    for word in arguments:
        old = word.partition("=")[0]
        if new := OPTIONS.get(command, {}).get(old):
            raise ValueError(f"vision-r1 {command}: expected {new}, got its old name {old}")


def _print_error(error: Exception) -> None:
    from rich.console import Console
    from rich.text import Text

    message = f"error: {error}"
    # The message of a failed process ends with the last lines of its log.
    lines = message.splitlines() if isinstance(error, ChildProcessError) else [message]
    Console(stderr=True, soft_wrap=True).print(Text("\n".join(map(one_line, lines)), style="red"))


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
    """GRPO fine-tuning of vision-language models for detection, grounding, counting and classification, with verl."""


def names_of(group: str) -> Callable[[str], list[str]]:
    """Shell completion of an option: the names in one of our Hydra groups.

    Args:
        group: `reward`, `curriculum` or `prompt`.
    """

    def complete(incomplete: str) -> list[str]:
        from verl_vision_r1.rewards.presets import names_in

        return [name for name in names_in(group) if name.startswith(incomplete)]

    return complete
