"""The engine `vllm`."""

import json
import os
from collections.abc import Sequence
from typing import Any, Final

from PIL import Image

from verl_vision_r1.predict.engines import Loading, chat
from verl_vision_r1.predict.model_folder import adapter_of

LORA_RANKS: Final = (8, 16, 32, 64, 128, 256, 320, 512)
"""The maximum ranks that vLLM accepts."""
TEXT_TOKENS: Final = 2048
"""Room for the text of a prompt, in vLLM."""

LOGGING: Final = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_LOGGING_STREAM": "ext://sys.stderr"}
"""Environment of vLLM, whose log would otherwise go to standard output, between the results."""
ON_A_CPU: Final = {
    **{"dtype": "float32", "enforce_eager": True, "skip_mm_profiling": True},
    "kv_cache_memory_bytes": 2 << 30,  # Otherwise vLLM asks for nine tenths of the machine's memory.
}
"""Options of vLLM's CPU build."""


class VllmEngine:
    """Generates with vLLM, on the GPU or with its CPU build; on the CPU in float32."""

    def __init__(self, loading: Loading) -> None:
        """Load the model, and its LoRA adapter if there is one."""
        for name, value in LOGGING.items():
            os.environ.setdefault(name, value)
        from vllm import LLM, SamplingParams
        from vllm.platforms import current_platform

        images: Any = getattr(loading.processor, "image_processor", None)
        token = getattr(images, "patch_size", 14) * getattr(images, "merge_size", 2)
        options: dict[str, Any] = {"max_model_len": loading.max_pixels // token**2 + TEXT_TOKENS + loading.max_tokens}
        if current_platform.is_cpu():
            os.environ.setdefault("TORCH_COMPILE_DISABLE", "1")  # Compiling takes a minute.
            options |= ON_A_CPU
        options |= _with_lora(loading.model)
        self.model = LLM(loading.model, limit_mm_per_prompt={"image": 1, "video": 0}, **options)
        self.greedy = SamplingParams(
            temperature=0.0, max_tokens=loading.max_tokens, skip_special_tokens=not loading.special_tokens
        )
        self.lora, self.processor = _lora_request(loading.model), loading.processor
        self.batch, self.template = loading.batch or 64, loading.template

    def __call__(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[str]:
        """As `Engine`."""
        prompts = [
            {"prompt": chat(self.processor, text, self.template), "multi_modal_data": {"image": image}}
            for image, text in zip(images, texts, strict=True)
        ]
        outputs = self.model.generate(prompts, self.greedy, lora_request=self.lora, use_tqdm=False)
        return [output.outputs[0].text for output in outputs]


def _with_lora(model: str) -> dict[str, Any]:
    adapter = adapter_of(model)
    if adapter is None:
        return {}
    rank = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))["r"]
    return {"enable_lora": True, "max_lora_rank": next(most for most in LORA_RANKS if most >= rank)}


def _lora_request(model: str) -> Any:
    from vllm.lora.request import LoRARequest

    adapter = adapter_of(model)
    return None if adapter is None else LoRARequest("adapter", 1, str(adapter))
