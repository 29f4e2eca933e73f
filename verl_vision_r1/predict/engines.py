"""The engines that generate completions: transformers and vLLM, greedily, without the model's own sampling settings.

A published `generation_config.json` may have a repetition penalty, which alters lists of boxes. verl's rollouts do not
use it, and neither do the engines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL import Image


class Engine(Protocol):
    """Generates completions.

    Attributes:
        batch: Number of images that are prepared together.
    """

    batch: int

    def __call__(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[str]:
        """The completions.

        Args:
            images: The resized images.
            texts: A prompt for each, without chat template.
        """


@dataclass(frozen=True)
class Loading:
    """What an engine loads.

    Attributes:
        model: The model folder, or a name on the Hugging Face Hub.
        processor: The model's processor.
        max_pixels: Maximum image area after the resize, in pixels.
        max_tokens: Maximum tokens of a completion.
        batch: Images that are prepared together; None for the engine's default.
        special_tokens: Whether the parser reads completions with their special tokens.
        template: Options of the chat template.
    """

    model: str
    processor: Any
    max_pixels: int
    max_tokens: int
    batch: int | None = None
    special_tokens: bool = False
    template: Mapping[str, Any] = field(default_factory=dict)


def chat(processor: Any, text: str, template: Mapping[str, Any]) -> str:
    """A prompt with an image, after the chat template with these options."""
    parts = [{"type": "image"}, {"type": "text", "text": text}]
    messages = [{"role": "user", "content": parts}]
    return str(processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False, **template))
