"""The table of docs/guides/hardware.md: the GPUs that each model needs, by `vision-r1 estimate`.

`make hardware` estimates, which takes minutes, and keeps the results in docs/hardware.json.
"""

import copy
import dataclasses
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from omegaconf import OmegaConf

from generators.markdown import DOCS, between_marks, table
from verl_vision_r1.preflight.estimate import Assumptions, Plan, generation, make_plan, training
from verl_vision_r1.preflight.estimate.model import published_names

RESULTS: Final = DOCS / "hardware.json"
MEMORY: Final = (24, 48, 80, 141)
"""GiB of a GPU: RTX 4090, L40S or A6000, A100 or H100, H200."""
GPUS: Final = (1, 2, 4, 8, 16, 32, 64)
"""Numbers of GPUs that are tried, the smallest first."""
NODE: Final = 8
"""GPUs of a node."""
PASS: Final = 8192
"""Tokens of a short pass."""
PART: Final = "actor_rollout_ref"

CHANGES: Final[dict[str, Mapping[str, Any]]] = {
    "": {},
    "o": {
        f"{PART}.actor.fsdp_config.param_offload": True,
        f"{PART}.actor.fsdp_config.optimizer_offload": True,
    },
    "s": {
        f"{PART}.actor.ppo_max_token_len_per_gpu": PASS,
        f"{PART}.rollout.log_prob_max_token_len_per_gpu": PASS,
        f"{PART}.ref.log_prob_max_token_len_per_gpu": PASS,
        f"{PART}.rollout.checkpoint_engine.update_weights_bucket_megabytes": 512,
    },
    "h": {f"{PART}.actor.fsdp_config.model_dtype": "bf16"},
}
"""Changes by the letter that the page explains. 16-bit weights are tried with LoRA only."""


def page(written: str) -> str:
    """The page with its table."""
    heading = ("model", "trained", *(f"{memory} GB" for memory in MEMORY))
    return between_marks(written, table(heading, rows()), "guides/hardware.md")


def rows() -> Iterator[tuple[str, ...]]:
    """A line per model and kind of training: for each size of GPU the smallest number, and the changes."""
    for model, by_tuning in json.loads(RESULTS.read_text(encoding="utf-8")).items():
        for tuning, name in (("full", "all weights"), ("lora", "LoRA")):
            yield model, name, *by_tuning[tuning]


def write() -> None:
    """Estimate all models, and keep the results."""
    results = {model: {tuning: cells(model, tuning) for tuning in ("full", "lora")} for model in published_names()}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def cells(model: str, tuning: str) -> list[str]:
    """The smallest hardware for a model, by the memory of a GPU."""
    plan = planned(model, tuning)
    return [smallest(plan, memory, tuning) for memory in MEMORY]


def planned(model: str, tuning: str) -> Plan:
    """A run of Vision-R1's settings with a model."""
    path = f"{PART}.model.path=Qwen/{model}-Instruct"
    return make_plan(("+recipe=vision_r1_qwen3b", path, f"vision_r1/tuning={tuning}"), Assumptions())


def smallest(plan: Plan, memory: float, tuning: str) -> str:
    """The smallest number of GPUs on which a run fits, with the letters of the changes that it takes."""
    letters = [letter for letter in CHANGES if letter and (letter != "h" or tuning == "lora")]
    choices = [chosen for count in range(len(letters) + 1) for chosen in itertools.combinations(letters, count)]
    for gpus, chosen in itertools.product(GPUS, choices):
        if any(_fits(plan, memory, gpus, parallel, chosen) for parallel in (1, 2, 4, 8) if parallel <= gpus):
            return " ".join([str(gpus), *chosen])
    return f"over {GPUS[-1]}"


def _fits(plan: Plan, memory: float, gpus: int, parallel: int, letters: tuple[str, ...]) -> bool:
    """Whether all phases fit, and the KV cache takes at least eight completions at a time."""
    if plan.model.text.num_attention_heads % parallel:
        return False
    tried = dataclasses.replace(plan, config=copy.deepcopy(plan.config), assumed=Assumptions(memory))
    keys = {
        "trainer.nnodes": max(gpus // NODE, 1),
        "trainer.n_gpus_per_node": min(gpus, NODE),
        f"{PART}.rollout.tensor_model_parallel_size": parallel,
    }
    for key, value in {**keys, **dict(itertools.chain(*(CHANGES[letter].items() for letter in letters)))}.items():
        OmegaConf.update(tried.config, key, value)
    figures = (*training.figures(tried), *generation.figures(tried))
    return all(figure.fits is not False for figure in figures) and generation.concurrent_sequences(tried) >= 8
