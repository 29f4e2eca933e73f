"""Which versions of verl are accepted, and that the package metadata agrees."""

import importlib.metadata
import sys
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from verl_vision_r1 import supported


@pytest.mark.parametrize("version", ["0.9.0", "0.9.1", "0.9.2.dev0", "0.9.1+cu130", "0.9.17", "0.10.0.dev", "0.10.0"])
def test_every_version_in_the_range_is_accepted(version: str) -> None:
    supported.require(version)


@pytest.mark.parametrize("version", ["0.8.0", "0.9.0rc1", "0.11.0.dev0", "0.11.0", "1.0"])
def test_any_other_version_is_refused(version: str) -> None:
    with pytest.raises(supported.UnsupportedError, match=rf"expected verl >=0\.9,<0\.11, got verl {version};"):
        supported.require(version)


def test_only_a_version_that_no_release_had_has_a_notice() -> None:
    assert not any(map(supported.notice, ("0.9.0", "0.9.1", "0.9.17")))
    for version in ("0.10.0.dev", "0.10.0.dev0", "0.10.0"):
        (line,) = supported.notice(version).splitlines()
        assert line.startswith(f"verl {version} is newer than verl 0.9, ")


def test_only_the_first_process_of_a_run_prints_the_notice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "verl", SimpleNamespace(__version__="0.10.0"))
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        supported.check_run()
    monkeypatch.delenv("RANK")
    supported.check_run()
    assert capsys.readouterr().err == f"verl-vision-r1: {supported.notice('0.10.0')}\n" * 2


def test_the_metadata_have_the_same_range() -> None:
    required = [Requirement(line) for line in importlib.metadata.requires("verl-vision-r1") or []]
    (own,) = [requirement for requirement in required if requirement.name == "verl"]
    assert own.specifier == SpecifierSet(supported.VERL)
