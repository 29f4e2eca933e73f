"""The memory of a fake GPU, by kind: what a storage holds, and the peak of each phase."""

import contextlib
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import torch

KINDS: Final = ("parameters", "gradients", "moments", "activations", "unsharded", "temporary")
"""The kinds of memory on a GPU; `host` is the memory of the machine, which holds what is offloaded."""
BLOCK: Final = 512
"""torch's CUDA allocator rounds sizes up to this number of bytes."""


class Memory:
    """The storages of a fake GPU.

    A storage is `temporary` until something says what it holds.

    Attributes:
        peaks: Bytes by kind at the peak of each phase, and of what is on the host then.
    """

    def __init__(self) -> None:
        self.peaks: dict[str, Counter[str]] = {}
        self._now: Counter[str] = Counter()
        self._peak: Counter[str] = Counter()
        self._kinds: dict[int, str] = {}
        self._sizes: dict[int, int] = {}
        self._alive: dict[int, Any] = {}

    @property
    def now(self) -> Counter[str]:
        """Bytes by kind at this moment."""
        return Counter(self._now)

    def add(self, tensor: torch.Tensor) -> None:
        """Count the storage of a new tensor."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self._sizes:
            self._alive[key] = weakref.ref(storage, lambda _: self._drop(key))
            self._sizes[key], self._kinds[key] = 0, "temporary"
            self._resize(key, storage.nbytes())

    def counting(self, resize: Callable[..., Any]) -> Callable[..., Any]:
        """`UntypedStorage.resize_` that counts the storage anew: FSDP2 frees and allocates gathered parameters so."""

        def wrapped(storage: torch.UntypedStorage, size: int) -> Any:
            result = resize(storage, size)
            if storage._cdata in self._sizes:
                self._resize(storage._cdata, storage.nbytes())
            return result

        return wrapped

    def mark(self, tensors: Iterable[Any], kind: str) -> None:
        """Say what tensors hold; those of a distributed tensor are its local part's, and None is passed over."""
        for tensor in tensors:
            if tensor is not None:
                tensor = getattr(tensor, "_local_tensor", tensor)
                self.add(tensor)
                self._mark(tensor.untyped_storage()._cdata, kind)

    def mark_temporary(self, kind: str) -> None:
        """Say what all storages hold of which nothing is known: between two passes, the activations."""
        for key in [key for key, known in self._kinds.items() if known == "temporary"]:
            self._mark(key, kind)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Record the peak from here to the end under a name. A phase within it counts for both."""
        outer, self._peak = self._peak, Counter(self._now)
        try:
            yield
        finally:
            self.peaks[name] = self._peak
            self._peak = max(outer, self._peak, key=total)

    def _mark(self, key: int, kind: str) -> None:
        self._now[self._kinds[key]] -= self._sizes[key]
        self._kinds[key] = kind
        self._now[kind] += self._sizes[key]

    def _resize(self, key: int, size: int) -> None:
        size = -(-size // BLOCK) * BLOCK
        self._now[self._kinds[key]] += size - self._sizes[key]
        self._sizes[key] = size
        if total(self._now) > total(self._peak):
            self._peak = Counter(self._now)

    def _drop(self, key: int) -> None:
        del self._alive[key]
        self._now[self._kinds.pop(key)] -= self._sizes.pop(key)


def total(bytes_of: Counter[str]) -> int:
    """Bytes on the GPU.

    Example:
        >>> total(Counter(parameters=4, activations=2, host=8))
        6
    """
    return sum(bytes_of[kind] for kind in KINDS)
