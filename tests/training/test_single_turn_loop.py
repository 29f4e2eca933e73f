"""The agent loop: log-probabilities of the tokens go to the reward workers in validation, and only there."""

import asyncio
from typing import Any

import pytest

pytestmark = pytest.mark.verl


def output(log_probs: list[float] | None) -> Any:
    from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopOutput

    return AgentLoopOutput(
        prompt_ids=[1],
        response_ids=[2, 3],
        response_mask=[1, 1],
        response_logprobs=log_probs,
        metrics=AgentLoopMetrics(),
        extra_fields={"turn_scores": []},
    )


@pytest.mark.parametrize(
    ("columns", "log_probs", "expected"),
    [
        ({"is_validate": True}, [-0.5, -1.5], [-0.5, -1.5]),
        ({"is_validate": True}, None, None),
        ({"is_validate": False}, [-0.5, -1.5], None),
        ({}, [-0.5, -1.5], None),
    ],
)
def test_log_probabilities_in_validation(
    monkeypatch: pytest.MonkeyPatch,
    columns: dict[str, Any],
    log_probs: list[float] | None,
    expected: list[float] | None,
) -> None:
    from verl.experimental.agent_loop import SingleTurnAgentLoop

    from verl_vision_r1.training.single_turn_loop import VisionR1SingleTurnLoop

    async def run(self: Any, sampling: dict[str, Any], priority: int = 0, **kwargs: Any) -> Any:
        return output(log_probs)

    monkeypatch.setattr(SingleTurnAgentLoop, "run", run)
    loop = object.__new__(VisionR1SingleTurnLoop)
    got = asyncio.run(loop.run({}, raw_prompt=[], **columns))
    assert got.extra_fields.get("token_log_probs") == expected
    assert got.response_ids == [2, 3]


def test_verl_finds_it_by_the_name_in_the_recipes() -> None:
    """Importing verl's agent loops registers ours, as a worker of a run does."""
    from omegaconf import OmegaConf
    from verl.experimental.agent_loop.agent_loop import _agent_loop_registry

    import verl_vision_r1

    path = next(iter(verl_vision_r1.__path__)) + "/config/vision_r1/base.yaml"
    name = OmegaConf.load(path).actor_rollout_ref.rollout.agent.default_agent_loop
    assert _agent_loop_registry[name]["_target_"].endswith("VisionR1SingleTurnLoop")
