"""The agent loop: a prompt is prepared once; log-probabilities go to the reward workers in validation, only there."""

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


class Prepared:
    """Stands in for verl's loop: counts what is read and tokenized, and fails for a prompt named `bad`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from verl.experimental.agent_loop import SingleTurnAgentLoop

        self.steps: list[str] = []

        async def read(loop: Any, messages: list[dict[str, Any]]) -> dict[str, Any]:
            self.steps.append("read")
            await asyncio.sleep(0)
            if messages[0]["content"] == "bad":
                raise OSError("no such image")
            return {"images": [object()]}

        async def build(loop: Any, messages: Any, *, images: Any, mm_inputs_out: dict[str, Any]) -> list[int]:
            self.steps.append("tokenize")
            await asyncio.sleep(0)
            mm_inputs_out["images"] = images
            return [1, 2]

        async def run(loop: Any, sampling: dict[str, Any], priority: int = 0, **kwargs: Any) -> Any:
            messages = list(kwargs["raw_prompt"])
            images = (await loop.process_multi_modal_info(messages))["images"]
            inputs: dict[str, Any] = {}
            tokens = await loop.ct_build_initial_tokens(messages, images=images, mm_inputs_out=inputs)
            return images, tokens, inputs

        monkeypatch.setattr(SingleTurnAgentLoop, "run", run)
        monkeypatch.setattr(SingleTurnAgentLoop, "process_multi_modal_info", read)
        monkeypatch.setattr(SingleTurnAgentLoop, "ct_build_initial_tokens", build)

    def rollouts(self, prompts: list[list[dict[str, Any]]], each: int = 8) -> list[Any]:
        """Run the rollouts of the prompts together; every rollout has a loop of its own, as verl's have."""
        from verl_vision_r1.training.single_turn_loop import VisionR1SingleTurnLoop

        async def together() -> list[Any]:
            loops = [(object.__new__(VisionR1SingleTurnLoop), prompt) for prompt in prompts for _ in range(each)]
            runs = [loop.run({}, raw_prompt=prompt) for loop, prompt in loops]
            return await asyncio.gather(*runs, return_exceptions=True)

        return asyncio.run(together())


def test_a_prompt_is_prepared_once_for_its_rollouts(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = Prepared(monkeypatch)
    first, second = ([{"role": "user", "content": "where?"}] for _ in range(2))
    made = prepared.rollouts([first, second])
    assert sorted(prepared.steps) == ["read"] * 2 + ["tokenize"] * 2
    assert len({id(images[0]) for images, _, _ in made}) == 2
    assert all(inputs == {"images": images} and tokens == [1, 2] for images, tokens, inputs in made)
    made[0][1].append(3)
    assert made[1][1] == [1, 2]


def test_a_prompt_that_comes_again_is_prepared_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from verl_vision_r1.training import single_turn_loop

    prepared = Prepared(monkeypatch)
    prompt = [{"role": "user", "content": "where?"}]
    for _ in range(2):
        prepared.rollouts([prompt])
        assert not single_turn_loop._awaited  # No image outlives its rollouts.
    assert sorted(prepared.steps) == ["read"] * 2 + ["tokenize"] * 2


def test_what_fails_fails_in_every_rollout(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = Prepared(monkeypatch)
    made = prepared.rollouts([[{"role": "user", "content": "bad"}], [{"role": "user", "content": "good"}]])
    assert [isinstance(result, OSError) for result in made] == [True] * 8 + [False] * 8


def test_verl_finds_it_by_the_name_in_the_recipes() -> None:
    """Importing verl's agent loops registers ours, as a worker of a run does."""
    from omegaconf import OmegaConf
    from verl.experimental.agent_loop.agent_loop import _agent_loop_registry

    import verl_vision_r1

    path = next(iter(verl_vision_r1.__path__)) + "/config/vision_r1/base.yaml"
    name = OmegaConf.load(path).actor_rollout_ref.rollout.agent.default_agent_loop
    assert _agent_loop_registry[name]["_target_"].endswith("VisionR1SingleTurnLoop")
