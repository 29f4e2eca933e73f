"""Tensors that have shapes and no values, where they would be on a GPU.

Everything that comes from a parameter is fake: it has a shape, a dtype and a size, and takes no memory. Whole numbers
that come from the batch (token ids, positions, lengths, grids of images) are real, because verl and the models read
them to decide what to compute.
"""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import torch
from torch import utils as utilities
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from verl_vision_r1.preflight.rehearse.memory import Memory

PLAIN = (torch.Tensor, FakeTensor, torch.nn.Parameter)
"""The tensors that this mode computes with; others, such as DTensor, compute with these and come back here."""


class FakeDevice(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A mode in which all floating-point tensors that are made are fake, and their memory is counted.

    Attributes:
        memory: What is counted.
    """

    def __init__(self, memory: Memory) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.memory = memory
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)

    def __enter__(self) -> "FakeDevice":
        self._resize, self._weakref = torch.UntypedStorage.resize_, vars(utilities)["weakref"]
        torch.UntypedStorage.resize_ = self.memory.counting(self._resize)  # type: ignore[method-assign]
        # torch moves fake parameters by swapping them, and refuses to where a cache holds a weak reference.
        vars(utilities)["weakref"] = SimpleNamespace(getweakrefs=lambda tensor: [])
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        torch.UntypedStorage.resize_ = self._resize  # type: ignore[method-assign]
        vars(utilities)["weakref"] = self._weakref
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute with shapes if an argument is fake, or if the result is a new floating-point tensor."""
        kwargs = kwargs or {}
        if any(kind not in PLAIN for kind in types):
            return NotImplemented
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        if not any(isinstance(tensor, FakeTensor) for tensor in tensors):
            return func(*args, **kwargs) if tensors else self._create(func, args, kwargs)
        if func is torch.ops.aten._local_scalar_dense.default:
            return _read(args[0])
        if func is torch.ops.aten.index.Tensor:
            args = (args[0], list(_positions(args[1])))
        return self._compute(func, args, kwargs)

    def _create(self, func: Any, args: Any, kwargs: Any) -> Any:
        with self._fake:
            made = func(*args, **kwargs)
        if not (isinstance(made, torch.Tensor) and made.is_floating_point()):
            return func(*args, **kwargs)
        self.memory.add(made)
        return made

    def _compute(self, func: Any, args: Any, kwargs: Any) -> Any:
        with self._fake:
            result = func(*args, **kwargs)
        for tensor in tree_leaves(result):
            if isinstance(tensor, FakeTensor):
                self.memory.add(tensor)
        return result


def _read(tensor: FakeTensor) -> bool | int | float:
    """A value where there is none: the loss and the norm of the gradients are finite."""
    return True if tensor.dtype == torch.bool else 1.0 if tensor.is_floating_point() else 1


def _positions(indices: Any) -> Iterator[Any]:
    """The positions that a real mask selects: with a mask, the shape of the result would not be known."""
    for index in indices:
        masks = index is not None and index.dtype == torch.bool and not isinstance(index, FakeTensor)
        yield from index.nonzero().unbind(1) if masks else (index,)
