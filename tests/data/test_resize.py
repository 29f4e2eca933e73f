"""After verl's two resizes, an image has the size that the pixel bounds of its sample give."""

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from PIL import Image

from verl_vision_r1.data import MAX_PIXELS, MIN_PIXELS
from verl_vision_r1.frames import smart_resize

pytestmark = [
    pytest.mark.verl,
    pytest.mark.skipif(find_spec("qwen_vl_utils") is None, reason="verl reads images with qwen_vl_utils"),
]

FAMILIES = {
    "qwen2_vl": {"patch_size": 14, "size": {"shortest_edge": 3136, "longest_edge": 12845056}},
    "qwen2_5_vl": {"patch_size": 14, "size": {"shortest_edge": 3136, "longest_edge": 12845056}},
    "glm4v": {"patch_size": 14, "size": {"shortest_edge": 12544, "longest_edge": 9633792}},
    "glm46v": {"patch_size": 14, "size": {"shortest_edge": 12544, "longest_edge": 9633792}},
    "qwen3_vl": {"patch_size": 16, "size": {"shortest_edge": 65536, "longest_edge": 16777216}},
}
"""Values of the published `preprocessor_config.json` of each family."""

SIZES = [(640, 480), (28, 28), (40, 30), (3000, 17), (500, 5000), (1, 150), (333, 1117)]
SIZES += np.random.default_rng(0).integers(20, 1600, size=(8, 2)).tolist()


def image_processor(family: str) -> Any:
    """An image processor of the class that transformers uses for the family."""
    import transformers
    from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES

    name = IMAGE_PROCESSOR_MAPPING_NAMES[family]["torchvision"]
    return getattr(transformers, name)(**FAMILIES[family], merge_size=2)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("bounds", [(MIN_PIXELS, MAX_PIXELS), (262144, 4194304)])
def test_the_model_gets_the_size_of_the_sample_bounds(family: str, bounds: tuple[int, int]) -> None:
    from qwen_vl_utils.vision_process import fetch_image

    from verl_vision_r1.data.prompt_length import narrowed, processor_bounds

    processor = image_processor(family)
    side = processor.patch_size * processor.merge_size
    row = {"min_pixels": bounds[0], "max_pixels": bounds[1]}
    low, high = narrowed(row, processor_bounds(type("", (), {"image_processor": processor}), None))
    for width, height in SIZES:
        if max(width, height) > 200 * min(width, height):
            continue
        image = {"image": Image.new("RGB", (width, height)), "min_pixels": low, "max_pixels": high}
        first = fetch_image(image, image_patch_size=processor.patch_size)
        _, rows, columns = processor(images=[first], return_tensors="pt")["image_grid_thw"][0].tolist()
        second = (columns * processor.patch_size, rows * processor.patch_size)
        assert second == first.size == smart_resize(width, height, side, low, high), (width, height)


def test_bounds_without_overlap_are_rejected() -> None:
    from verl_vision_r1.data.prompt_length import narrowed, processor_bounds

    row = {"min_pixels": 3136, "max_pixels": 50176}
    message = r"expected an overlap with the processor's 65536 to 16777216, got 3136 to 50176"
    with pytest.raises(ValueError, match=message):
        narrowed(row, (65536, 16777216))
    kwargs = {"min_pixels": 100, "max_pixels": 200}
    assert processor_bounds(None, kwargs) == (100, 200)
    assert processor_bounds(None, {"max_pixels": 200}) is None
