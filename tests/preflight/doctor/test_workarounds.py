"""The doctor names the workarounds that are applied, those that verl does not need, and those that do not fit."""

import sys

import pytest
from cases import failed

from verl_vision_r1.compat import APPLIED, NOT_NEEDED
from verl_vision_r1.compat.workaround import Workaround
from verl_vision_r1.preflight.doctor import installation, workarounds
from verl_vision_r1.preflight.doctor.check import Case

pytestmark = pytest.mark.verl


def test_the_workarounds_that_verl_needs_are_named() -> None:
    import verl_vision_r1.plugin  # noqa: F401

    found = workarounds.workarounds(Case())
    assert found.ok
    assert "applied: sequences of equal length (#7899), " in found.found


def test_a_workaround_that_verl_does_not_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, installation.PLUGIN, sys)
    monkeypatch.setattr(Workaround, "state", lambda each: NOT_NEEDED if each.thread == 6814 else APPLIED)
    found = workarounds.workarounds(Case()).found
    assert "; not needed: Qwen2-VL without an image (#6814), " in found
    assert "#6814" not in found.partition("; ")[0]


def test_a_workaround_whose_function_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, installation.PLUGIN, sys)
    monkeypatch.setattr(Workaround, "state", lambda each: "AttributeError: gone" if each.thread == 7520 else APPLIED)
    text = "AttributeError: gone: output head with fused kernels (#7520)"
    failed(workarounds.workarounds(Case()), text)
    monkeypatch.delitem(sys.modules, installation.PLUGIN)
    assert workarounds.workarounds(Case()).ok is None
