"""Which versions of verl are accepted, and that the package metadata agrees."""

import importlib.metadata

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from verl_vision_r1 import supported


@pytest.mark.parametrize("version", ["0.9.0", "0.9.1", "0.9.2.dev0", "0.9.1+cu130", "0.9.17"])
def test_every_version_in_the_range_is_accepted(version: str) -> None:
    supported.require(version)


@pytest.mark.parametrize("version", ["0.8.0", "0.9.0rc1", "0.10.0.dev0", "0.10.0", "1.0"])
def test_any_other_version_is_refused(version: str) -> None:
    with pytest.raises(supported.UnsupportedError, match=rf"expected verl >=0\.9,<0\.10, got verl {version};"):
        supported.require(version)


def test_the_metadata_have_the_same_range() -> None:
    required = [Requirement(line) for line in importlib.metadata.requires("verl-vision-r1") or []]
    (own,) = [requirement for requirement in required if requirement.name == "verl"]
    assert own.specifier == SpecifierSet(supported.VERL)
