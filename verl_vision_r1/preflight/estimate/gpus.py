"""GPUs by name: memory, memory bandwidth, and speed of 16-bit matrix products."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
        memory: Memory in GiB that a program can use, as `nvidia-smi` shows it.
        bandwidth: Peak memory bandwidth in bytes per second.
        flops: Peak FLOPs per second of dense bfloat16 products (float16 before Ampere), accumulated in float32.
    """

    memory: float
    bandwidth: float
    flops: float


GPUS: Final = {
    "a100": Gpu(80, 2.0e12, 312e12),
    "a100-40gb": Gpu(40, 1.555e12, 312e12),
    "h100": Gpu(80, 3.35e12, 989e12),
    "h200": Gpu(140, 4.8e12, 989e12),
    "b200": Gpu(179, 8.0e12, 2250e12),
    "l40s": Gpu(45, 0.864e12, 362e12),
    "l4": Gpu(22.5, 0.3e12, 121e12),
    "a10": Gpu(22.5, 0.6e12, 125e12),
    "a6000": Gpu(48, 0.768e12, 155e12),
    "rtx3090": Gpu(24, 0.936e12, 71e12),
    "rtx4090": Gpu(24, 1.008e12, 165e12),
    "rtx5090": Gpu(32, 1.792e12, 210e12),
    "v100": Gpu(32, 0.9e12, 125e12),
    "t4": Gpu(15, 0.32e12, 65e12),
}
"""By NVIDIA's data sheets, SXM where there is a choice. V100 and T4 have no bfloat16, in which verl trains."""


def gpu_named(name: str) -> Gpu:
    """The GPU of a name, in capitals or not, with spaces or not.

    Raises:
        ValueError: The name is not known.

    Example:
        >>> gpu_named("RTX 4090").memory
        24
    """
    plain = name.lower().replace(" ", "").replace("_", "-")
    if plain not in GPUS:
        raise ValueError(
            f"--gpu: expected one of {', '.join(GPUS)}, got {name!r}; or give its memory with --gpu-memory"
        )
    return GPUS[plain]
