"""The memory of a fake GPU, and the tensors on it."""

import torch
from torch._subclasses.fake_tensor import FakeTensor

from verl_vision_r1.preflight.rehearse.fake_device import FakeDevice
from verl_vision_r1.preflight.rehearse.memory import Memory, total

MEBI = 2**20


def numbers(count: int) -> torch.Tensor:
    return torch.empty(count * MEBI // 4)


def test_memory_is_counted_until_it_is_freed_and_rounded_to_blocks() -> None:
    memory = Memory()
    with FakeDevice(memory):
        first, second = numbers(3), torch.empty(1)
        assert memory.now["temporary"] == 3 * MEBI + 512
        del first
        assert memory.now["temporary"] == 512
        view = second[:0]
        assert memory.now["temporary"] == 512
        del second
        assert memory.now["temporary"] == 512
        del view
    assert total(memory.now) == 0


def test_kinds_and_phases() -> None:
    memory = Memory()
    with FakeDevice(memory):
        weights = numbers(4)
        memory.mark([weights, None], "parameters")
        with memory.phase("outer"):
            with memory.phase("inner"):
                gone = numbers(2)
                del gone
            kept = numbers(1)
            memory.mark_temporary("activations")
        memory.mark([weights], "host")
    assert memory.peaks["inner"] == {"parameters": 4 * MEBI, "temporary": 2 * MEBI}
    assert memory.peaks["outer"] == memory.peaks["inner"]
    assert {kind: size for kind, size in memory.now.items() if size} == {"host": 4 * MEBI, "activations": MEBI}
    assert total(memory.now) == MEBI
    del kept


def test_storages_that_are_resized_are_counted_anew() -> None:
    """FSDP2 frees a gathered parameter by resizing its storage to nothing."""
    memory = Memory()
    with FakeDevice(memory):
        gathered = numbers(2)
        memory.mark([gathered], "unsharded")
        storage = gathered.untyped_storage()
        storage.resize_(0)
        assert total(memory.now) == 0
        storage.resize_(2 * MEBI)
        assert memory.now["unsharded"] == 2 * MEBI


def test_whole_numbers_are_real_and_others_have_only_a_shape() -> None:
    with FakeDevice(Memory()):
        lengths = torch.tensor([2, 3]).cumsum(0)
        assert lengths.tolist() == [2, 5]
        assert torch.arange(3).tolist() == [0, 1, 2]
        hidden = torch.zeros(4, 8)
        assert isinstance(hidden, FakeTensor)
        assert (hidden @ torch.ones(8, 2)).shape == (4, 2)
        assert hidden[torch.tensor([True, False, True, True])].shape == (3, 8)


def test_a_value_that_is_read_is_finite() -> None:
    with FakeDevice(Memory()):
        loss = torch.zeros(()).mul(2)
        assert loss.item() == 1.0
        assert bool(torch.isfinite(loss))


def test_a_module_can_be_moved_and_trained() -> None:
    memory = Memory()
    with FakeDevice(memory):
        layer = torch.nn.Linear(MEBI // 4, 1, bias=False).to(torch.float64)
        layer(torch.ones(2, MEBI // 4, dtype=torch.float64)).sum().backward()
        assert layer.weight.grad is not None
        assert layer.weight.grad.shape == (1, MEBI // 4)


def test_nothing_stays_changed() -> None:
    resize = torch.UntypedStorage.resize_
    with FakeDevice(Memory()):
        assert torch.UntypedStorage.resize_ is not resize
    assert torch.UntypedStorage.resize_ is resize
    assert not isinstance(torch.zeros(1), FakeTensor)
