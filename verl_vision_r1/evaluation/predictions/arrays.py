"""The input of all detection metrics: flat arrays of ground-truth objects and of predictions.

Images and categories are indices into `GroundTruth.images` and `GroundTruth.categories`. There are I images, K
categories, M objects and N predictions. Boxes are `xyxy` in original-image pixels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verl_vision_r1.boxes import Boxes


@dataclass(frozen=True)
class Looked:
    """The categories that annotators looked for in each image, beside those of its objects, as LVIS lists them.

    Attributes:
        absent: For each image, indices of categories without objects in it.
        incomplete: For each image, indices of categories of which not all objects are annotated.
    """

    absent: tuple[tuple[int, ...], ...]
    incomplete: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """The ground truth of one data set.

    Attributes:
        images: I unique image names. COCO's metrics rank predictions of equal score by this order.
        categories: K names.
        image: (M,) image index of each object.
        category: (M,) category index of each object.
        boxes: (M, 4) `xyxy` in original-image pixels.
        areas: (M,) areas in square pixels, which make objects small, medium or large: of the mask where there is one,
            otherwise of the box.
        crowd: (M,) whether it is a COCO crowd (`iscrowd`), which is ignored: it is no target, and a prediction in it
            is no false positive.
        files: I paths of the image files, empty where unknown.
        sizes: I image sizes in pixels, (width, height), or None for an unknown one; empty if all are unknown.
        frequencies: K letters of LVIS: `r` for rare, `c` for common, `f` for frequent; empty if unknown.
        looked: Which categories were looked for; None if all of them in every image.
    """

    images: tuple[str, ...]
    categories: tuple[str, ...]
    image: NDArray[np.intp]
    category: NDArray[np.intp]
    boxes: Boxes
    areas: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    files: tuple[str, ...]
    sizes: tuple[tuple[int, int] | None, ...] = ()
    frequencies: tuple[str, ...] = ()
    looked: Looked | None = None


@dataclass(frozen=True, eq=False)
class Detections:
    """The predictions for those images.

    Attributes:
        image: (N,) image index of each prediction.
        category: (N,) category index of each prediction.
        boxes: (N, 4) `xyxy` in original-image pixels; a box with swapped corners has no area and overlaps nothing.
        scores: (N,) confidences; all equal for protocols with a constant score. Predictions of equal score in one
            image are in the order of the completion.
        log_prob_scores: (N,) confidences by the log-probabilities of the tokens; None if the predictions have none.
    """

    image: NDArray[np.intp]
    category: NDArray[np.intp]
    boxes: Boxes
    scores: NDArray[np.float64]
    log_prob_scores: NDArray[np.float64] | None = None

    def take(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> "Detections":
        """The chosen predictions, in the given order."""
        ranked = None if self.log_prob_scores is None else self.log_prob_scores[chosen]
        return Detections(self.image[chosen], self.category[chosen], self.boxes[chosen], self.scores[chosen], ranked)

    @property
    def constant(self) -> bool:
        """Whether all scores are equal, so that they give no ranking."""
        return len(self.scores) == 0 or bool((self.scores == self.scores[0]).all())
