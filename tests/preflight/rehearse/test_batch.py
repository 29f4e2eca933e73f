"""The batches of a rehearsal: the longest that a run allows, in the form in which verl's agent loop hands them on."""

import pytest
import torch

from verl_vision_r1.preflight.estimate.model import read_config
from verl_vision_r1.preflight.estimate.samples import Lengths
from verl_vision_r1.preflight.rehearse.batch import Rollout, longest, make_batch


def test_measured_prompts_come_longest_first_and_too_long_ones_not_at_all() -> None:
    lengths = Lengths(3, (6, 12, 400), (20, 30, 900), "3 of 3 samples")
    found = longest(lengths, 3, prompt=100, completion=8)
    assert [(rollout.prompt, rollout.image, rollout.completion) for rollout in found] == [
        (30, 12, 8),
        (20, 6, 8),
        (30, 12, 8),
    ]


def test_without_samples_every_rollout_is_as_long_as_the_run_allows() -> None:
    (found,) = longest(Lengths(None, (512,), (), "no samples"), 1, prompt=1024, completion=512)
    assert (found.tokens, found.image, found.rows * found.columns) == (1536, 512, 512)


@pytest.mark.verl
@pytest.mark.parametrize("name", ["Qwen2-VL-2B", "Qwen2.5-VL-7B", "Qwen3-VL-4B"])
def test_a_batch_has_what_verl_reads(name: str) -> None:
    config, _ = read_config({"path": name})
    rollouts = [Rollout(20, 5, 2, 3), Rollout(9, 5, 1, 2)]
    batch = make_batch(rollouts, config, {"temperature": 1.0})
    ids = batch["input_ids"].unbind()
    assert [len(sample) for sample in ids] == [25, 14]
    assert [int((sample == config.image_token_id).sum()) for sample in ids] == [6, 2]
    assert [position.shape for position in batch["position_ids"].unbind()] == [(4, 25), (4, 14)]
    image = batch["multi_modal_inputs"][0]
    image = getattr(image, "data", image)
    merged = config.vision_config.spatial_merge_size**2
    assert image["image_grid_thw"].tolist() == [[1, 4, 6]]
    assert image["pixel_values"].shape == (6 * merged, 3 * 2 * config.vision_config.patch_size**2)
    assert torch.equal(batch["response_mask"].offsets(), torch.tensor([0, 5, 10]))
