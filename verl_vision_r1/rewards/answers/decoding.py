"""From the tokens of a completion to its text."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any


def decode(tokenizer: Any, ids: Sequence[int], ends: Collection[int], special_tokens: bool) -> str:
    """The text of a completion as a parser reads it.

    Most parsers read text without special tokens. For those of forms that consist of special tokens, only padding and
    the tokens that end a turn are left out, at the end of the completion.

    Args:
        tokenizer: The tokenizer of the model.
        ids: The tokens of the completion, as a list.
        ends: The tokens of padding and of the end, from `end_tokens`.
        special_tokens: Whether the parser reads special tokens, from `wants_special_tokens`.
    """
    if not special_tokens:
        return str(tokenizer.decode(ids, skip_special_tokens=True))
    length = len(ids)
    while length and ids[length - 1] in ends:
        length -= 1
    return str(tokenizer.decode(ids[:length], skip_special_tokens=False))


def end_tokens(tokenizer: Any, generation: Any) -> frozenset[int]:
    """The tokens that end a completion or fill it up.

    Args:
        tokenizer: The tokenizer, or None.
        generation: The `GenerationConfig` of the model, which may name several; or None.

    Example:
        >>> from types import SimpleNamespace
        >>> sorted(end_tokens(SimpleNamespace(eos_token_id=3, pad_token_id=0), SimpleNamespace(eos_token_id=[3, 5])))
        [0, 3, 5]
    """
    found: set[int] = set()
    for source in (tokenizer, generation):
        for name in ("eos_token_id", "pad_token_id"):
            value = getattr(source, name, None)
            found.update(value if isinstance(value, Iterable) else () if value is None else (value,))
    return frozenset(found)
