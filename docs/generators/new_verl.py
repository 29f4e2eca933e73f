"""docs/development/new_verl.md: the symbols and keys of verl that the package uses, by room."""

from collections.abc import Iterator

from generators.markdown import between_marks, table
from generators.verl_keys import keys_in_use, nearest
from generators.verl_symbols import symbols_by_room


def page(written: str) -> str:
    """The page with its generated tables made anew.

    Raises:
        ValueError: The marks are missing.
    """
    return between_marks(written, "\n".join(_sections()), "docs/development/new_verl.md")


def _sections() -> Iterator[str]:
    rooms = symbols_by_room()
    private = {symbol for symbols in rooms.values() for symbol in symbols if is_private(symbol)}
    everything = {symbol for symbols in rooms.values() for symbol in symbols}
    yield f"{len(everything)} symbols, of which {len(private)} have a private name.\n"
    yield "## Symbols\n"
    yield table(("room", "symbol", "modules"), _symbols()) + "\n"
    yield f"## Configuration keys\n\n{len(keys_in_use())} keys.\n"
    yield table(("key", "rooms", "in verl's YAML"), _keys()) + "\n"


def is_private(symbol: str) -> bool:
    """Whether a part of a symbol begins with an underscore.

    Example:
        >>> is_private("verl.utils.fsdp_utils._select_fsdp2_wrap_targets"), is_private("verl.__version__")
        (True, False)
    """
    return any(part.startswith("_") and not part.startswith("__") for part in symbol.split("."))


def _symbols() -> Iterator[tuple[str, ...]]:
    for room, symbols in symbols_by_room().items():
        for symbol, modules in symbols.items():
            yield f"`{room}`", f"`{symbol}`", ", ".join(f"`{module}`" for module in modules)


def _keys() -> Iterator[tuple[str, ...]]:
    for key, rooms in keys_in_use().items():
        yield f"`{key}`", ", ".join(f"`{room}`" for room in sorted(rooms)), _found(key)


def _found(key: str) -> str:
    parent = nearest(key)
    return "yes" if parent == key else f"no, `{parent}`"
