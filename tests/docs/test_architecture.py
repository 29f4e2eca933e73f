"""The imports of the package are those that the page on its architecture states."""

import ast

import pytest
from generators import architecture

ORDER = list(architecture.ROOMS)
LIGHT = ("shown", "documents", "boxes", "frames", "targets", "prompts", "rewards")
HEAVY = {"torch", "verl", "ray", "transformers", "vllm", "hydra", "omegaconf", "pyarrow", "PIL", "tensordict"}


def room_of(module: str) -> str:
    return module.partition(".")[0]


def names_in(module: str) -> set[str]:
    """Every top-level package that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(architecture.modules()[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
        elif isinstance(node, ast.Import):
            found |= {item.name.partition(".")[0] for item in node.names}
    return found


def test_every_room_of_the_package_is_on_the_page() -> None:
    assert {room_of(module) for module in architecture.modules()} - {"__init__"} == set(ORDER)


@pytest.mark.parametrize("module", sorted(set(architecture.modules()) - {"__init__"}))
def test_a_module_imports_from_its_own_room_and_those_above(module: str) -> None:
    allowed = ORDER[: ORDER.index(room_of(module)) + 1]
    # `__version__` and the public names are the package's own.
    imported = {room_of(name) for name in architecture.imports_of(module)} - {"__init__"}
    assert imported <= set(allowed), f"{module} may import {allowed}"


def test_the_rewards_import_nothing_heavy() -> None:
    for module in architecture.modules():
        if room_of(module) in LIGHT:
            assert not names_in(module) & HEAVY, module


def test_the_trainer_alone_imports_transfer_queue() -> None:
    assert [module for module in architecture.modules() if "transfer_queue" in names_in(module)] == [
        "training.trainer"
    ]


def test_nothing_inside_verl_imports_the_releases() -> None:
    for module in architecture.inside_verl():
        if not module.startswith("rewards.releases"):
            assert not [name for name in architecture.imports_of(module) if name.startswith("rewards.releases")], (
                module
            )


def test_every_module_is_in_the_picture_once() -> None:
    """The two columns together have all lines of the package, each in two significant digits."""
    inside = [part for _, part in architecture.INSIDE]
    drawn = sum(
        lines
        for parts, of_verl in ((inside, True), (list(architecture.TOOLS), False))
        for _, lines in architecture.parts_with_lines(parts, inside=of_verl)
    )
    assert drawn == architecture.lines_of(list(architecture.modules()))
    assert "training.trainer" in architecture.inside_verl()
    assert "evaluation.evaluate" not in architecture.inside_verl()
