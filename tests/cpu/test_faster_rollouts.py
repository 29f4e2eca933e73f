"""The patches that make rollouts without a GPU faster: what they leave out, and what comes out the same."""

import asyncio
from collections.abc import Awaitable, Callable
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import hydra
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from tensordict import NonTensorStack
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from verl_vision_r1.cpu.faster_rollouts import JoinedPuts, instantiated, once_per_images, the_only_server, unless_alone

pytestmark = [pytest.mark.verl, pytest.mark.process]


class Worker:
    """Counts its calls, and returns a dictionary that the caller may change."""

    processor: Any = SimpleNamespace(get_rope_index=None)
    calls = 0

    def compute(self, output: Any, input_ids: list[int]) -> dict[str, Any]:
        self.calls += 1
        return {"pixels": output.multi_modal_data["images"], "text": input_ids}


def rollout(*images: Image.Image) -> Any:
    return SimpleNamespace(multi_modal_data={"images": list(images)})


def test_the_images_of_a_prompt_are_processed_for_one_of_its_rollouts() -> None:
    compute, worker = once_per_images(Worker.compute, most=2), Worker()
    red, blue = (Image.new("RGB", (4, 4), colour) for colour in ("red", "blue"))
    compute(worker, rollout(red), [1]).pop("pixels")
    assert compute(worker, rollout(red), [2]) == {"pixels": [red], "text": [1]}
    assert worker.calls == 1
    assert compute(worker, rollout(red, blue), [1])["pixels"] == [red, blue]
    assert compute(worker, rollout(red.copy()), [1])["pixels"] == [red]
    assert worker.calls == 3
    compute(worker, rollout(red), [1])  # The oldest of three, of which two are cached.
    assert worker.calls == 4


def test_inputs_that_depend_on_the_text_are_not_cached() -> None:
    compute, worker = once_per_images(Worker.compute), Worker()
    image = Image.new("RGB", (4, 4))
    worker.processor = SimpleNamespace()
    assert [compute(worker, rollout(image), [text])["text"] for text in (1, 2)] == [[1], [2]]
    worker.processor = Worker.processor
    assert [compute(worker, rollout(), [text])["text"] for text in (1, 2)] == [[1], [2]]


def test_an_agent_loop_is_built_as_by_hydra_without_copies_of_its_arguments() -> None:
    config = OmegaConf.create({"_target_": "fractions.Fraction", "numerator": 1, "denominator": 2})
    assert instantiated(config, denominator=3) == hydra.utils.instantiate(config, denominator=3) == Fraction(1, 3)
    large: dict[str, int] = {}
    assert instantiated({"_target_": "types.SimpleNamespace"}, large=large).large is large


class Client:
    """A client of verl's load balancer, which knows how many completions each of its servers has."""

    def __init__(self, nodes: int) -> None:
        self.config = OmegaConf.create({"trainer": {"nnodes": nodes, "n_gpus_per_node": 1}})
        self.open = 0

    async def acquire(self, request_id: str, **extra: Any) -> tuple[str, str]:
        self.open += 1
        return f"server {self.open}", request_id

    def release(self, server_id: str, request_id: str | None = None) -> None:
        self.open -= 1


async def asked(client: Client) -> list[tuple[str, str]]:
    acquire, release = the_only_server(Client.acquire), unless_alone(Client.release)
    found = [await acquire(client, request_id=str(index), prompt_ids=[1]) for index in range(3)]
    release(client, found[0][0], request_id="0")
    return found


def test_the_load_balancer_is_asked_once_for_the_only_server() -> None:
    client = Client(nodes=1)
    assert asyncio.run(asked(client)) == [("server 1", "0")] * 3
    assert client.open == 1


def test_the_load_balancer_is_asked_each_time_where_there_are_two() -> None:
    client = Client(nodes=2)
    assert [server for server, _ in asyncio.run(asked(client))] == ["server 1", "server 2", "server 3"]
    assert client.open == 2


def sample(name: str, length: int) -> dict[str, Any]:
    """A sample as verl's agent loop puts it: tensors of its own length, positions in rows, and what is no tensor."""
    return {
        "input_ids": torch.arange(length),
        "position_ids": torch.arange(4 * length).reshape(4, length),
        "reward": torch.tensor(0.5),
        "multi_modal_inputs": {"pixel_values": torch.ones(length, 2)},
        "raw_prompt": [{"role": "user", "content": name}],
        "uid": name,
    }


class Queue:
    """A transfer queue that notes what is put together, and takes a while for each."""

    def __init__(self) -> None:
        self.puts: list[dict[str, Any]] = []

    async def put(self, **arguments: Any) -> int:
        self.puts.append(arguments)
        await asyncio.sleep(0.01)
        if "broken" in arguments["keys"]:
            raise ConnectionError("the queue is gone")
        return len(self.puts)


def put_all(
    queue: Queue, *samples: dict[str, Any], partition: Callable[[int], str] = lambda index: "train"
) -> list[Any]:
    put = JoinedPuts(queue.put)

    def one(index: int, made: dict[str, Any]) -> Awaitable[Any]:
        fields = list_of_dict_to_tensordict([made])
        return put(keys=[made["uid"]], fields=fields, tags=[{"index": index}], partition_id=partition(index))

    async def run() -> list[Any]:
        return await asyncio.gather(*(one(*item) for item in enumerate(samples)), return_exceptions=True)

    return asyncio.run(run())


def test_puts_that_are_made_while_one_is_under_way_are_joined() -> None:
    queue, samples = Queue(), [sample(name, length) for name, length in (("a", 3), ("b", 5), ("c", 4), ("d", 5))]
    assert put_all(queue, *samples) == [1, 2, 2, 2]
    first, later = queue.puts
    assert (first["keys"], later["keys"]) == (["a"], ["b", "c", "d"])
    assert later["tags"] == [{"index": 1}, {"index": 2}, {"index": 3}]
    assert later["partition_id"] == "train"


def test_joined_samples_are_as_verl_makes_them_of_a_list() -> None:
    queue, samples = Queue(), [sample(name, length) for name, length in (("a", 3), ("b", 5), ("c", 4))]
    put_all(queue, *samples)
    made, expected = (
        dict(batch.items()) for batch in (queue.puts[1]["fields"], list_of_dict_to_tensordict(samples[1:]))
    )
    assert made.keys() == expected.keys() == samples[0].keys()
    for key, value in expected.items():
        assert type(made[key]) is type(value)
        for index, row in enumerate(samples[1:]):
            if isinstance(value, NonTensorStack):
                assert str(made[key][index].data) == str(value[index].data) == str(row[key])
            else:
                torch.testing.assert_close(made[key][index], row[key])


def test_samples_of_other_fields_or_another_partition_are_put_apart() -> None:
    queue = Queue()
    other = {**sample("c", 3), "token_log_probs": [0.0]}
    put_all(queue, sample("a", 3), sample("b", 3), other, partition=lambda index: "val" if index == 1 else "train")
    assert sorted(put["keys"][0] for put in queue.puts) == ["a", "b", "c"]


def test_a_failed_put_fails_for_each_of_its_samples_and_no_other() -> None:
    queue = Queue()
    results = put_all(queue, *(sample(name, 3) for name in ("a", "broken", "b")))
    assert results[0] == 1
    assert [type(result) for result in results[1:]] == [ConnectionError] * 2
    put = JoinedPuts(queue.put)
    fields = list_of_dict_to_tensordict([sample("d", 3)])
    assert asyncio.run(put(keys=["d"], fields=fields, tags=[{}], partition_id="train")) == 3
