"""The engine `transformers`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from verl_vision_r1.predict.engines import Loading, chat
from verl_vision_r1.predict.model_folder import adapter_of
from verl_vision_r1.rewards.answers.decoding import decode, end_tokens


class TransformersEngine:
    """Generates with transformers, on the GPUs or the CPU; on the CPU in float32."""

    def __init__(self, loading: Loading) -> None:
        """Load the model, and its LoRA adapter if there is one."""
        import torch
        from transformers import AutoModelForImageTextToText

        dtype = "auto" if torch.cuda.is_available() else torch.float32
        model = AutoModelForImageTextToText.from_pretrained(loading.model, dtype=dtype, device_map="auto")
        if adapter := adapter_of(loading.model):
            model = with_adapter(model, adapter)
        self.model, self.processor, self.max_tokens = model.eval(), loading.processor, loading.max_tokens
        self.processor.tokenizer.padding_side = "left"
        self.batch = loading.batch or 8
        self.special_tokens, self.template = loading.special_tokens, loading.template
        self.ends = end_tokens(self.processor.tokenizer, model.generation_config)

    def __call__(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[str]:
        """As `Engine`."""
        found = []
        for start in range(0, len(texts), self.batch):
            part = slice(start, start + self.batch)
            found += self._generate(list(images[part]), list(texts[part]))
        return found

    def _generate(self, images: list[Image.Image], texts: list[str]) -> list[str]:
        import torch
        from transformers import GenerationConfig

        prompts = [chat(self.processor, text, self.template) for text in texts]
        inputs = self.processor(text=prompts, images=images, padding=True, return_tensors="pt")
        own = self.model.generation_config
        ends = {"eos_token_id": own.eos_token_id, "pad_token_id": own.pad_token_id}
        greedy = GenerationConfig(do_sample=False, max_new_tokens=self.max_tokens, **ends)
        with torch.inference_mode():
            ids = self.model.generate(**inputs.to(self.model.device, self.model.dtype), generation_config=greedy)
        new = ids[:, inputs["input_ids"].shape[1] :]
        return [decode(self.processor.tokenizer, row, self.ends, self.special_tokens) for row in new.tolist()]


def with_adapter(model: Any, adapter: Path) -> Any:
    """A model with a LoRA adapter of verl's merger.

    The merger names the adapted layers by the last part of their names, which fits layers of the vision tower too. The
    adapter has no weights for those, and they stay as they are.
    """
    import warnings

    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Found missing adapter keys")
        return PeftModel.from_pretrained(model, str(adapter))
