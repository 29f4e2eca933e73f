"""The Dockerfile and the page that shows it name files, packages, versions, commands and recipes that exist."""

import re
import shlex
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
import typer
from packaging.requirements import Requirement

from verl_vision_r1.cli import app
from verl_vision_r1.supported import VERL

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
PAGE = ROOT / "docs" / "get_started" / "install.md"
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
FOLDER = "/opt/verl-vision-r1"


def instructions(kind: str) -> Iterator[list[str]]:
    """The words of each instruction of a kind."""
    for line in DOCKERFILE.read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{kind} "):
            yield shlex.split(line)[1:]


def docker_commands() -> list[str]:
    """The docker commands of the page, each on one line."""
    return re.findall(r"^docker .*$", PAGE.read_text(encoding="utf-8").replace("\\\n", ""), re.MULTILINE)


def check_command(words: list[str]) -> None:
    """A command of `vision-r1` with options that it has, and with recipes that exist."""
    assert words[0] == "vision-r1"
    COMMANDS[words[1]].make_context(words[1], list(words[2:]))
    for recipe in re.findall(r"\+recipe=(\w+)", " ".join(words)):
        assert (ROOT / "verl_vision_r1" / "config" / "recipe" / f"{recipe}.yaml").is_file(), recipe


def test_copied_files_exist_and_are_all_that_the_package_is_built_from() -> None:
    copied = [name for *names, folder in instructions("COPY") for name in names if folder.startswith(FOLDER)]
    assert all((ROOT / name).exists() for name in copied)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    packages = re.search(r"^packages = \[(.*)\]$", project, re.MULTILINE)
    assert packages
    wanted = {name.strip(' "') for name in packages[1].split(",")} | {"pyproject.toml", "README.md", "LICENSE"}
    assert set(copied) == wanted


def test_installed_packages_have_these_extras_and_versions() -> None:
    installed = [words for words in instructions("RUN") if words[:2] == ["pip", "install"]]
    wanted = {}
    for _, _, name in installed:
        requirement = Requirement(name.replace(FOLDER, "verl-vision-r1"))
        wanted[requirement.name] = requirement
        extras = metadata.metadata(requirement.name).get_all("Provides-Extra") or []
        assert requirement.extras <= set(extras), name
    assert set(wanted) == {"verl", "verl-vision-r1"}
    assert str(wanted["verl"].specifier) == str(Requirement(f"verl{VERL}").specifier)


def test_the_image_has_the_vllm_that_verl_pins() -> None:
    pins = [Requirement(line) for line in metadata.requires("verl") or ()]
    (vllm,) = {str(pin.specifier) for pin in pins if pin.name == "vllm"}
    (image,) = [words[0] for words in instructions("ARG")]
    assert image == f"IMAGE=verlai/verl:vllm{''.join(vllm.removeprefix('==').split('.')[:2])}.latest"


def test_the_doctor_runs_and_so_does_it_as_the_comment_says() -> None:
    commands = [words for words in instructions("RUN") if words[0] == "vision-r1"]
    assert [words[:2] for words in commands] == [["vision-r1", "doctor"]]
    named = re.findall(r"^#.*(vision-r1 doctor .*)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    for words in [*commands, *map(shlex.split, named)]:
        check_command(words)
    assert named


def test_the_page_builds_and_runs_the_same_image() -> None:
    build, run = map(shlex.split, docker_commands())
    assert build[:2] == ["docker", "build"]
    assert ROOT / build[build.index("-f") + 1] == DOCKERFILE
    assert run[:2] == ["docker", "run"]
    tag = build[build.index("-t") + 1]
    check_command(run[run.index(tag) + 1 :])
    assert f"{shlex.join(build)}" in DOCKERFILE.read_text(encoding="utf-8")


def test_a_command_that_does_not_exist_is_found() -> None:
    with pytest.raises(KeyError):
        check_command(["vision-r1", "dance"])
    with pytest.raises(AssertionError, match="vision_r1_qwen8b"):
        check_command(["vision-r1", "doctor", "+recipe=vision_r1_qwen8b"])
