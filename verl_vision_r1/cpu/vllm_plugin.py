"""vLLM plugin of the CPU platform, loaded in each of its processes (entry-point group `vllm.general_plugins`)."""

from typing import Any

from verl_vision_r1.cpu import requested


def register() -> None:
    """Keep linear weights writable, so that verl can send new ones. Inactive unless the CPU platform is requested.

    vLLM's CPU build (0.24) packs every linear weight at load and frees the original, so verl's weight sync fails:
    `Attempted to load weight ... into parameter (torch.Size([0]))`.
    """
    if not requested():
        return
    import torch
    from vllm.model_executor.layers import utils

    def plain_linear(layer: Any, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    utils.dispatch_cpu_unquantized_gemm = plain_linear
