"""The page on security: its limits are those of the code, and each line names the tests that hold it."""

import re
from pathlib import Path

from verl_vision_r1.documents import MAX_ALIASED
from verl_vision_r1.evaluation.presentation.image_files import MAX_PIXELS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guides" / "security.md").read_text(encoding="utf-8")


def test_every_input_that_is_not_trusted_has_a_test() -> None:
    table = PAGE.split("## Not trusted")[1].split("## Trusted")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(lines) >= 12
    for line in lines:
        tests = re.findall(r"`(tests/[^`]+)`", line)
        assert tests, line
        assert all((ROOT / test).is_file() for test in tests), line


def test_the_limits_are_those_of_the_code() -> None:
    assert f"{MAX_PIXELS:,} pixels" in PAGE
    assert f"{MAX_ALIASED:,} characters" in PAGE


def test_the_commands_have_the_options_of_the_page() -> None:
    from typer.main import get_command

    from verl_vision_r1.cli import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    options = {option for command in commands.values() for each in command.params for option in each.opts}
    assert set(re.findall(r"`(--[a-z-]+)", PAGE)) <= options
