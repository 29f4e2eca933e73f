"""The agent loop manager marks validation samples for the reward workers."""

from typing import Any

import pytest
import torch
from tensordict import TensorDict

pytestmark = pytest.mark.verl


@pytest.mark.parametrize(("column", "expected"), [({"validate": True}, True), ({}, False)])
def test_the_flag_is_a_column_of_the_batch(
    monkeypatch: pytest.MonkeyPatch, column: dict[str, bool], expected: bool
) -> None:
    pytest.importorskip("transfer_queue", reason="verl's trainer needs TransferQueue")
    from verl.trainer.ppo.v1 import AgentLoopManagerTQ
    from verl.utils import tensordict_utils

    from verl_vision_r1.training.agent_loop import VisionR1AgentLoopManager

    seen: list[Any] = []
    monkeypatch.setattr(AgentLoopManagerTQ, "generate_sequences", lambda self, prompts: seen.append(prompts))
    prompts = TensorDict({"dummy_tensor": torch.zeros(2, 1)}, batch_size=[2])
    for name, value in column.items():
        tensordict_utils.assign_non_tensor_data(prompts, name, value)
    VisionR1AgentLoopManager.generate_sequences(object.__new__(VisionR1AgentLoopManager), prompts)
    assert seen[0]["is_validate"] is expected
    assert ("validate" in seen[0]) is bool(column)
