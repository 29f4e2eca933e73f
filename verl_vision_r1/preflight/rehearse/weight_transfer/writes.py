"""Which tensors a loader reads, and how much it writes into each parameter, without values."""

from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Writes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the elements written into each storage, and notes the storages that are read for it.

    Attributes:
        written: Elements written, by storage.
        read: Storages copied from, those of tensors that they were made of included.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.written: Counter[int] = Counter()
        self.read: set[int] = set()
        self._origins: dict[int, set[int]] = {}
        self._kept: list[torch.Tensor] = []  # So that no storage's address is used again.

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.name().partition(".")[0] in ("aten::copy_", "aten::fill_", "aten::zero_"):
            self.written[storage(args[0])] += args[0].numel()
            self.read |= self._sources(args[1:])
        else:
            self._derive(args, out)
        return out

    def _sources(self, args: Any) -> set[int]:
        found = {storage(part) for part in tree_leaves(args) if isinstance(part, torch.Tensor)}
        return found.union(*(self._origins.get(part, set()) for part in found))

    def _derive(self, args: Any, out: Any) -> None:
        sources = self._sources(args)
        for part in tree_leaves(out):
            if isinstance(part, torch.Tensor) and storage(part) not in sources:
                self._origins[storage(part)] = sources
                self._kept.append(part)


def storage(tensor: torch.Tensor) -> int:
    """What identifies the memory of a tensor, and of all views of it."""
    return int(tensor.untyped_storage()._cdata)
