"""docs/reference/command_line.md: every command of `vision-r1`, from the functions behind it."""

import inspect
import types
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo, CommandInfo, ParameterInfo

from generators.markdown import plain, table
from verl_vision_r1.cli import app

INTRODUCTION: Final = """# Command line

This page lists every command of `vision-r1` with its arguments, options and defaults.

`vision-r1 --help` lists the commands, `vision-r1 COMMAND --help` the options of one. `--json` prints machine-readable
output, `NO_COLOR=1` turns colours off, `--install-completion` installs shell completion, `--version` prints the
version. A user error is one line and exit status 1; wrong usage exits with status 2. The page is generated from the
commands by `make docs`.
"""
KINDS: Final = {str: "string", int: "integer", float: "number", Path: "path"}


def page() -> str:
    """The page."""
    return "\n".join([INTRODUCTION, *_sections()])


def name_of(command: CommandInfo) -> str:
    """The name of a command."""
    return command.name or command.callback.__name__.replace("_", "-")  # type: ignore[union-attr]


def _sections() -> Iterator[str]:
    panels: dict[str, list[CommandInfo]] = defaultdict(list)
    for command in app.registered_commands:
        panels[str(command.rich_help_panel)].append(command)
    for panel, members in panels.items():
        yield f"## {panel}\n"
        for command in members:
            yield from _command(command)


def _command(command: CommandInfo) -> Iterator[str]:
    yield f"### `vision-r1 {name_of(command)}`\n\n{inspect.getdoc(command.callback)}\n"
    yield f"```bash\n{(command.epilog or '').removeprefix('Example: ')}\n```\n"
    hints = get_type_hints(command.callback, include_extras=True)
    parameters = inspect.signature(command.callback).parameters.values()  # type: ignore[arg-type]
    rows = [_row(item, *get_args(hints[item.name])[:2]) for item in parameters]
    yield table(("argument or option", "takes", "default", "meaning"), rows) + "\n"


def _row(parameter: inspect.Parameter, kind: Any, info: ParameterInfo) -> tuple[str, str, str, str]:
    return f"`{_name(parameter, kind, info)}`", _takes(kind, info), _default(parameter, info), info.help or ""


def _name(parameter: inspect.Parameter, kind: Any, info: ParameterInfo) -> str:
    if isinstance(info, ArgumentInfo):
        return info.metavar or parameter.name.upper()
    written = [info.default, *(info.param_decls or ())]  # Typer takes the first name for a default.
    named = [name for name in written if isinstance(name, str)]
    option = parameter.name.replace("_", "-")
    return named[0] if named else f"--{option}/--no-{option}" if kind is bool else f"--{option}"


def _takes(kind: Any, info: ParameterInfo) -> str:
    kind = next((part for part in get_args(kind) if part is not type(None)), kind) if _optional(kind) else kind
    if kind is bool:
        return "flag"
    if get_origin(kind) is list:
        return f"{KINDS[get_args(kind)[0]]}, repeatable"
    if get_origin(kind) is tuple:
        return " and ".join(KINDS[part] for part in get_args(kind))
    return KINDS[kind] if info.min is None else f"{KINDS[kind]}, at least {info.min}"


def _optional(kind: Any) -> bool:
    return get_origin(kind) is types.UnionType


def _default(parameter: inspect.Parameter, info: ParameterInfo) -> str:
    if parameter.default is inspect.Parameter.empty:
        return "required"
    if isinstance(info.show_default, str):
        return info.show_default
    if isinstance(parameter.default, bool):
        return "on" if parameter.default else "off"
    return f"`{plain(parameter.default)}`" if parameter.default not in (None, "") else "none"
