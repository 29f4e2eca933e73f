"""The table of families: what it names exists, and what it says of verl is what verl does."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from verl_vision_r1.families import FAMILIES, SIDES, TRAINED, expect_trained
from verl_vision_r1.frames import FRAMES, resolve_frame
from verl_vision_r1.rewards.answers import PARSERS
from verl_vision_r1.rewards.presets import names_in

REFUSED = tuple(name for name in FAMILIES if name not in TRAINED)
CLASSES = {
    name: found[1] for name in REFUSED if (found := re.search(r"its processor, (\w+)", FAMILIES[name].obstacle))
}
"""The processors that verl is said not to know."""
PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "families.md").read_text(encoding="utf-8")


def test_a_family_names_what_exists() -> None:
    for family in FAMILIES.values():
        assert family.frame in (None, *FRAMES)
        assert family.parser in ("", *PARSERS)
        assert family.prompt in ("", *names_in("prompt"))


def test_a_family_that_is_trained_has_a_frame_a_side_and_a_form() -> None:
    assert all(FAMILIES[name].frame and FAMILIES[name].parser and FAMILIES[name].form for name in TRAINED)
    assert SIDES == (28, 32, 48)


@pytest.mark.parametrize("name", REFUSED)
def test_a_family_that_is_not_trained_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"model.path: expected .*qwen3_5.*, got {name} .*: .*processor|.*vLLM"):
        expect_trained(name)


@pytest.mark.parametrize("name", [*TRAINED, "unheard_of"])
def test_other_families_are_accepted(name: str) -> None:
    expect_trained(name)


def test_a_family_without_a_known_frame_needs_its_name() -> None:
    with pytest.raises(ValueError, match=r"auto knows the families qwen2_vl, .*, got 'kimi_vl'; set the frame"):
        resolve_frame("auto", "kimi_vl")
    assert resolve_frame("relative_1", "kimi_vl") == "relative_1"


def processor_of(monkeypatch: pytest.MonkeyPatch, name: str) -> Any:
    """What verl makes of a processor of a class."""
    import transformers
    from verl.utils.tokenizer import hf_processor

    made = type(name, (), {})()
    monkeypatch.setattr(transformers.AutoProcessor, "from_pretrained", lambda path, **options: made)
    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", lambda path, **options: SimpleNamespace())
    return hf_processor("unused")


@pytest.mark.verl
@pytest.mark.parametrize("name", TRAINED)
def test_verl_knows_the_processor_of_a_family_that_is_trained(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

    assert processor_of(monkeypatch, PROCESSOR_MAPPING_NAMES[name]) is not None


@pytest.mark.verl
@pytest.mark.parametrize("name", CLASSES)
def test_verl_does_not_know_the_processor_of_one_that_is_not(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with pytest.warns(UserWarning, match=f"Unsupported processor type: {CLASSES[name]}"):
        assert processor_of(monkeypatch, CLASSES[name]) is None


@pytest.mark.parametrize("name", TRAINED)
def test_the_page_has_the_frame_and_side_of_each_family_that_is_trained(name: str) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith("|") and f"`{name}`" in line.split("|")[1])
    family = FAMILIES[name]
    assert f"| `{family.frame}` | {family.side}" in row


def test_the_page_has_the_refusal_and_the_names_of_the_families() -> None:
    with pytest.raises(ValueError, match="internvl") as caught:
        expect_trained("internvl")
    assert f"verl-vision-r1: {caught.value}\n" in PAGE
    assert all(FAMILIES[name].models.partition(" (")[0] in PAGE for name in REFUSED)
