"""The symbols of verl that the package uses: modules, functions, classes and methods, read from the code."""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

from generators.architecture import modules

NAME: Final = "verl_vision_r1"
NOT_CODE: Final = ("verl.plugins",)
"""Names of verl that are no modules: a group of entry points."""


@cache
def symbols_of(name: str) -> frozenset[str]:
    """The symbols of verl in a module of the package, by their full names.

    Example:
        >>> sorted(symbols_of("training.agent_loop"))[0]
        'verl.trainer.ppo.v1.AgentLoopManagerTQ'
    """
    tree = _tree(name)
    imported = _imported(tree, "verl")
    found = {*imported.values(), *_strings(tree), *_attributes(tree, imported), *_patched(tree), *_inherited(name)}
    return frozenset(found - set(NOT_CODE))


def symbols_by_room() -> dict[str, dict[str, list[str]]]:
    """For each room of the package, the symbols of verl and the modules that name them."""
    rooms: dict[str, dict[str, list[str]]] = {}
    for module in modules():
        for symbol in sorted(symbols_of(module)):
            rooms.setdefault(module.partition(".")[0], {}).setdefault(symbol, []).append(module)
    return rooms


@cache
def _tree(name: str) -> ast.Module:
    return ast.parse(modules()[name].read_text(encoding="utf-8"))


def _imported(tree: ast.Module, package: str) -> dict[str, str]:
    """What a module imports of a package: its full name by the name in the module."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and _within(node.module or "", package):
            found |= {item.asname or item.name: f"{node.module}.{item.name}" for item in node.names}
        elif isinstance(node, ast.Import):
            found |= {item.asname or item.name: item.name for item in node.names if _within(item.name, package)}
    return found


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _strings(tree: ast.Module) -> Iterator[str]:
    """Modules of verl that are strings (`python -m`, import hooks, Hydra's folder), and classes in a pair with one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Tuple) and len(node.elts) == 2:
            module, name = map(_text, node.elts)
            yield from [f"{module}.{name}"] if _is_module(module) and name.isidentifier() else []
        elif _is_module(_text(node)):
            yield _text(node)


def _text(node: ast.AST) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _is_module(text: str) -> bool:
    return text.startswith("verl.") and all(part.isidentifier() for part in text.split("."))


def _attributes(tree: ast.Module, imported: Mapping[str, str]) -> Iterator[str]:
    """Attributes of what is imported, as `core_algos.register_adv_est`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported:
            yield f"{imported[node.value.id]}.{node.attr}"


def _patched(tree: ast.Module) -> Iterator[str]:
    """What the workarounds read of the module that they patch: a parameter of type `ModuleType`."""
    named = list(_strings(tree))
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        given = {
            each.arg
            for each in function.args.args
            if isinstance(each.annotation, ast.Name) and each.annotation.id == "ModuleType"
        }
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in given:
                yield from (f"{module}.{node.attr}" for module in named)


def _inherited(name: str) -> Iterator[str]:
    """Methods of a class of verl that a subclass extends: those that it calls by `super()`."""
    for node in _classes(name):
        for inner in ast.walk(node):
            if isinstance(inner, ast.Attribute) and _is_super(inner.value):
                yield from (f"{base}.{inner.attr}" for base in _bases(name, node.name))


def _classes(name: str) -> list[ast.ClassDef]:
    return [node for node in ast.walk(_tree(name)) if isinstance(node, ast.ClassDef)]


def _bases(name: str, of: str) -> Iterator[str]:
    """The classes of verl that a class of ours has as bases, directly or by another class of ours."""
    imported = _imported(_tree(name), NAME) | _imported(_tree(name), "verl")
    named = (
        base.id for node in _classes(name) if node.name == of for base in node.bases if isinstance(base, ast.Name)
    )
    for base in named:
        module, _, other = imported.get(base, f"{NAME}.{name}.{base}").rpartition(".")
        if module.startswith(f"{NAME}."):
            yield from _bases(module.removeprefix(f"{NAME}."), other)
        elif module.startswith("verl."):
            yield f"{module}.{other}"


def _is_super(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"
