"""`Detector`: a trained model that finds objects in images, asked and read as in its training run."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from PIL import Image

from verl_vision_r1.data import MAX_PIXELS, MIN_PIXELS
from verl_vision_r1.data.prompt_length import narrowed, processor_bounds
from verl_vision_r1.families import FAMILIES
from verl_vision_r1.frames import frame_size, resolve_frame
from verl_vision_r1.predict.engines import Engine, Loading
from verl_vision_r1.predict.model_folder import check_model
from verl_vision_r1.predict.prediction import Prediction, Reply, prediction_of
from verl_vision_r1.predict.questions import Asking
from verl_vision_r1.predict.server import ServerEngine, is_address
from verl_vision_r1.predict.transformers_engine import TransformersEngine
from verl_vision_r1.predict.upright import ImageLike, opened
from verl_vision_r1.predict.vllm_engine import VllmEngine
from verl_vision_r1.rewards.answers import wants_special_tokens

ENGINES: Final[dict[str, Callable[[Loading], Engine]]] = {"transformers": TransformersEngine, "vllm": VllmEngine}
"""The engines by name."""


class Detector:
    """A model that finds objects in images.

    Prompt, image size, frame and parser are those of the training run: give the same preset and pixel bounds.

    Args:
        model: A model folder, as `vision-r1 export` writes it, or a name on the Hugging Face Hub.
        preset: Reward preset of the training run, a name or a YAML file. It has the prompt, the parser and the frame.
        prompt: Name of other prompt templates, or the text of a prompt.
        ask: Kind of question: `categories`, `category`, `expression`, `class` or `count`; by default all categories at
            once, or one by one if the preset has no prompt for all.
        frame: As `vision_r1.frame`; a frame of the preset comes first.
        engine: `transformers`, `vllm`, or the address of a server with OpenAI's API (http://localhost:8000/v1).
        min_pixels: Minimum image area after the resize, in pixels.
        max_pixels: Maximum image area after the resize, in pixels.
        max_tokens: Maximum tokens of a completion.
        batch: Images that are prepared together; None for the engine's default.

    Raises:
        FileNotFoundError: There is no such model folder.
        ValueError: A name or number is invalid, or the folder is a checkpoint that is not merged.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        preset: str = "robust",
        prompt: str | None = None,
        ask: str | None = None,
        frame: str = "auto",
        engine: str = "transformers",
        min_pixels: int = MIN_PIXELS,
        max_pixels: int = MAX_PIXELS,
        max_tokens: int = 1024,
        batch: int | None = None,
    ) -> None:
        if engine not in ENGINES and not is_address(engine):
            raise ValueError(f"engine: expected {', '.join(ENGINES)} or the http address of a server, got {engine!r}")
        for name, value in (("min_pixels", min_pixels), ("max_tokens", max_tokens), ("batch", batch)):
            if value is not None and value < 1:
                raise ValueError(f"{name}: expected a number of at least 1, got {value}")
        if min_pixels > max_pixels:
            raise ValueError(f"max_pixels: expected at least min_pixels, {min_pixels}, got {max_pixels}")
        self.asking = Asking.of(preset, prompt, ask)
        self.model = str(model)
        check_model(self.model)
        self.frame = self.asking.rules.frame or resolve_frame(frame, self._model_type)
        self.bounds = {"min_pixels": min_pixels, "max_pixels": max_pixels}
        self._engine, self._max_tokens, self._batch = engine, max_tokens, batch

    @cached_property
    def _model_type(self) -> str:
        return _family(self.model)

    @cached_property
    def processor(self) -> Any:
        """The model's processor."""
        from transformers import AutoProcessor

        return AutoProcessor.from_pretrained(self.model)

    @cached_property
    def engine(self) -> Engine:
        """The engine, loaded when it is first used."""
        special = wants_special_tokens(self.asking.rules.parser)
        family = FAMILIES.get(self._model_type)
        loading = Loading(
            *(self.model, self.processor, self.bounds["max_pixels"], self._max_tokens, self._batch, special),
            template=family.template if family else {},
        )
        return ServerEngine(loading, self._engine) if is_address(self._engine) else ENGINES[self._engine](loading)

    def find(self, image: ImageLike, names: Sequence[str]) -> Prediction:
        """Find objects in an image.

        Args:
            image: An image file, which is turned upright, or an image.
            names: What to find: categories, or with `ask="expression"` expressions.

        Returns:
            The prediction. A completion that cannot be parsed gives no boxes, and `parsed` is then false.

        Raises:
            ValueError: The image cannot be used, or there is no name.
        """
        return next(self.find_all([image], names))

    def find_all(self, images: Iterable[ImageLike], names: Sequence[str]) -> Iterator[Prediction]:
        """Find objects in many images, which are opened batch by batch. Arguments and errors as `find`."""
        questions = self.asking.questions(names)
        prompts = [question.text for question in questions]
        images = iter(images)
        while batch := [opened(image) for image in itertools.islice(images, self.engine.batch)]:
            resized = [self.resize(image) for image in batch]
            repeated = [image for image in resized for _ in questions]
            completions = self.engine(repeated, prompts * len(batch))
            for place, (image, seen) in enumerate(zip(batch, resized, strict=True)):
                own = completions[place * len(questions) : (place + 1) * len(questions)]
                yield self.answer(image.size, seen.size, names, own)

    def resize(self, image: Image.Image) -> Image.Image:
        """The image as the model sees it: resized as verl does in training, within bounds that the processor keeps."""
        from qwen_vl_utils import fetch_image

        low, high = narrowed(self.bounds, processor_bounds(self.processor))
        patch = getattr(getattr(self.processor, "image_processor", None), "patch_size", 14)
        resized: Image.Image = fetch_image({"image": image, "min_pixels": low, "max_pixels": high}, patch)
        return resized

    def answer(
        self, size: tuple[int, int], resized: tuple[int, int], names: Sequence[str], completions: Sequence[str]
    ) -> Prediction:
        """The prediction for an image of its completions; a malformed completion never raises.

        Args:
            size: (width, height) of the upright image in pixels.
            resized: (width, height) of the image as the model saw it, from `resize`.
            names: What was to be found.
            completions: A completion for each of `asking.questions(names)`.
        """
        questions = self.asking.questions(names)
        frame = frame_size(self.frame, resized)
        parsed = [self.asking.rules.parser(text, frame) for text in completions]
        replies = zip(questions, completions, [frame] * len(questions), parsed, strict=True)
        return prediction_of(size, names, [Reply(*reply) for reply in replies])


def _family(model: str) -> str:
    from transformers import AutoConfig

    return str(AutoConfig.from_pretrained(model).model_type)
