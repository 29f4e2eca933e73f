"""The repairs of verl: each works, and each is still needed."""

import importlib.util
import pickle

import pytest
import torch
from tensordict import TensorDict

from verl_vision_r1.compat import fix_position_ids


def nested(samples: list[torch.Tensor], travelled: bool) -> TensorDict:
    ids = torch.nested.as_nested_tensor(samples, layout=torch.jagged)
    data = TensorDict({"position_ids": ids}, batch_size=[len(samples)])
    return pickle.loads(pickle.dumps(data.consolidate())) if travelled else data


@pytest.mark.parametrize("travelled", [False, True], ids=["as built", "after pickling"])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize(
    "lengths",
    [(5, 7), (5, 5), (5,), (4, 4), (3, 3, 3, 3), (4,), (1, 1), (8, 8), (12, 12, 12)],
    ids=str,
)
def test_every_sample_comes_back_whole(lengths: tuple[int, ...], channels: int, travelled: bool) -> None:
    samples = [torch.randint(0, 100, (channels, length)) for length in lengths]
    data = nested(samples, travelled)
    fix_position_ids(data)
    fix_position_ids(data)  # verl calls it more than once on the way of a batch.
    assert data["position_ids"]._ragged_idx == 2
    for sample, back in zip(samples, data["position_ids"].unbind(), strict=True):
        assert torch.equal(sample, back)


def test_other_batches_are_left_alone() -> None:
    flat = TensorDict({"position_ids": torch.arange(10).reshape(2, 5)}, batch_size=[2])
    fix_position_ids(flat)
    assert torch.equal(flat["position_ids"], torch.arange(10).reshape(2, 5))
    fix_position_ids(TensorDict({"input_ids": torch.zeros(2, 5)}, batch_size=[2]))


@pytest.mark.verl
def test_verl_needs_the_repair_of_7899() -> None:
    import verl.utils.tensordict_utils as mended

    # verl's own file once more, as a module of its own that the plugin has not mended.
    spec = importlib.util.spec_from_file_location("unmended", str(mended.__file__))
    assert spec is not None
    assert spec.loader is not None
    unmended = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(unmended)
    assert unmended.maybe_fix_3d_position_ids is not mended.maybe_fix_3d_position_ids
    data = nested([torch.zeros(4, 5, dtype=torch.long), torch.ones(4, 5, dtype=torch.long)], travelled=False)
    unmended.maybe_fix_3d_position_ids(data)
    try:
        data["position_ids"].unbind()
    except RuntimeError:
        return
    pytest.fail("verl no longer crashes on equally long sequences: remove the repair of #7899 from compat.py")
