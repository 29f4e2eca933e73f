"""What all measures of detection are computed from: flat tables of true objects and of predictions.

Images and categories are numbered in the order of `GroundTruth.images` and `GroundTruth.categories`. I images, K
categories, M objects, N predictions. Boxes are `xyxy` in original-image pixels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.boxes import Boxes


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """What is in the images of one data set.

    Attributes:
        images: I names of images, unique. COCO's measures take images of equal scores in this order.
        categories: K names.
        image: (M,) the image of each object.
        category: (M,) its category.
        boxes: (M, 4) its box.
        areas: (M,) its area in pixels, by which it is small, medium or large: of the outline where there is one.
        crowd: (M,) whether it is a crowd: neither to be found nor wrong to be found.
        files: I paths of the image files, empty where unknown.
        sizes: I sizes in pixels, (width, height), where they are known.
    """

    images: tuple[str, ...]
    categories: tuple[str, ...]
    image: NDArray[np.intp]
    category: NDArray[np.intp]
    boxes: Boxes
    areas: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    files: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, eq=False)
class Detections:
    """What a model said is in those images.

    Attributes:
        image: (N,) the image of each prediction.
        category: (N,) its category.
        boxes: (N, 4) its box; one whose corners are the wrong way round has no area and overlaps nothing.
        scores: (N,) its confidence; all alike where the protocol knows none. Of equal scores in one image, the one
            that was said first comes first.
    """

    image: NDArray[np.intp]
    category: NDArray[np.intp]
    boxes: Boxes
    scores: NDArray[np.float64]

    def take(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> "Detections":
        """Some of them, in the order given."""
        return Detections(self.image[chosen], self.category[chosen], self.boxes[chosen], self.scores[chosen])

    @property
    def constant(self) -> bool:
        """Whether all have the same score, so that there is no ranking."""
        return len(self.scores) == 0 or bool((self.scores == self.scores[0]).all())
