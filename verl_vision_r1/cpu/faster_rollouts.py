"""Faster rollouts of verl 0.9 without a GPU.

verl's work per rollout takes longer than a small model needs to generate the completion: it builds an agent loop,
asks an actor for a server, processes the images again when the rollout is complete, and stores the sample by four
messages to other processes.
"""

import asyncio
import functools
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple

import hydra
import wrapt


def speed_up() -> None:
    """Apply the patches to these modules of verl and of its transfer queue, now or when they are imported."""
    wrapt.register_post_import_hook(_build_and_process_once, "verl.experimental.agent_loop.agent_loop")
    wrapt.register_post_import_hook(_keep_the_only_server, "verl.workers.rollout.llm_server")
    wrapt.register_post_import_hook(_join_puts, "transfer_queue")


def _build_and_process_once(module: Any) -> None:
    module.hydra = SimpleNamespace(utils=SimpleNamespace(instantiate=instantiated))
    worker = module.AgentLoopWorker
    worker._compute_multi_modal_inputs = once_per_images(worker._compute_multi_modal_inputs)


def instantiated(config: Any, **arguments: Any) -> Any:
    """Instantiate an agent loop of verl's registry; `hydra.utils.instantiate` copies the arguments.

    Args:
        config: A mapping with the class `_target_` and arguments of its own.
        arguments: Further arguments, which take precedence.
    """
    own = {key: value for key, value in config.items() if key != "_target_"}
    return hydra.utils.get_class(config["_target_"])(**own | arguments)


def once_per_images(compute: Any, most: int = 32) -> Any:
    """Cache what verl's `AgentLoopWorker._compute_multi_modal_inputs` returns for the same image objects.

    The rollouts of a prompt share these. The result depends on the text only by `mm_token_type_ids`, which verl
    removes after a look whether they are there, where the model has positions in three dimensions.

    Args:
        compute: verl's method.
        most: Maximum number of cached results.
    """
    results: OrderedDict[tuple[int, ...], Any] = OrderedDict()

    @functools.wraps(compute)
    def wrapped(self: Any, output: Any, input_ids: Any) -> dict[str, Any]:
        images = (output.multi_modal_data or {}).get("images")
        if not images or not hasattr(self.processor, "get_rope_index"):
            return dict(compute(self, output, input_ids))
        key = tuple(map(id, images))
        if key not in results:
            results[key] = images, compute(self, output, input_ids)  # With the images, so that no id is reused.
            if len(results) > most:
                results.popitem(last=False)
        return dict(results[key][1])  # The caller removes entries from it.

    return wrapped


def _keep_the_only_server(module: Any) -> None:
    client = module.LLMServerClient
    client._acquire_server = the_only_server(client._acquire_server)
    client._release_server = unless_alone(client._release_server)


def the_only_server(acquire: Any) -> Any:
    """Ask verl's load balancer for a server until it has named one, if the run has no other.

    Args:
        acquire: verl's `LLMServerClient._acquire_server`.
    """

    @functools.wraps(acquire)
    async def wrapped(self: Any, *arguments: Any, **options: Any) -> Any:
        if not _alone(self):
            return await acquire(self, *arguments, **options)
        if "only_server" not in vars(self):
            self.only_server = await acquire(self, *arguments, **options)
        return self.only_server

    return wrapped


def unless_alone(release: Any) -> Any:
    """Do not tell the load balancer of a completion if there is one server.

    Args:
        release: verl's `LLMServerClient._release_server`.
    """

    @functools.wraps(release)
    def wrapped(self: Any, *arguments: Any, **options: Any) -> None:
        if not _alone(self):
            release(self, *arguments, **options)

    return wrapped


def _alone(client: Any) -> bool:
    trainer = client.config.trainer
    return bool(trainer.nnodes * trainer.n_gpus_per_node == 1)


def _join_puts(module: Any) -> None:
    module.async_kv_batch_put = JoinedPuts(module.async_kv_batch_put)


class _Put(NamedTuple):
    keys: list[str]
    fields: Any
    tags: list[dict[str, Any]]
    done: "asyncio.Future[Any]"


@dataclass
class _Waiting:
    """Puts of the same fields that wait for the one that is under way."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    puts: list[_Put] = field(default_factory=list)


class JoinedPuts:
    """`transfer_queue.async_kv_batch_put`, where puts that are made while another is under way are joined to one.

    Args:
        put: The original.
    """

    def __init__(self, put: Callable[..., Awaitable[Any]]) -> None:
        self.put = put
        self.waiting: defaultdict[tuple[str, frozenset[str]], _Waiting] = defaultdict(_Waiting)

    async def __call__(self, keys: list[str], partition_id: str, fields: Any, tags: list[dict[str, Any]]) -> Any:
        """Put samples and return the metadata of all with which they were put.

        Raises:
            Exception: What the original raises, in every call whose samples it was given.
        """
        waiting = self.waiting[partition_id, frozenset(fields.keys())]
        put = _Put(keys, fields, tags, asyncio.get_running_loop().create_future())
        waiting.puts.append(put)
        async with waiting.lock:
            if not put.done.done():
                await self._put_all(partition_id, waiting)
        return await put.done

    async def _put_all(self, partition_id: str, waiting: _Waiting) -> None:
        puts, waiting.puts = waiting.puts, []
        keys = [key for put in puts for key in put.keys]
        tags = [tag for put in puts for tag in put.tags]
        try:
            fields = puts[0].fields if len(puts) == 1 else joined([put.fields for put in puts])
            result = await self.put(keys=keys, partition_id=partition_id, fields=fields, tags=tags)
        except BaseException as error:  # If this call is cancelled, its samples are put by no other.
            for put in puts:
                put.done.set_exception(error)
        else:
            for put in puts:
                put.done.set_result(result)


def joined(batches: list[Any]) -> Any:
    """One `TensorDict` of the samples of several with the same keys, as verl makes it of a list of samples."""
    from verl.utils.tensordict_utils import list_of_dict_to_tensordict, unwrap_non_tensor_data

    rows = ((batch, index) for batch in batches for index in range(len(batch)))
    return list_of_dict_to_tensordict(
        [{key: unwrap_non_tensor_data(value[index]) for key, value in batch.items()} for batch, index in rows]
    )
