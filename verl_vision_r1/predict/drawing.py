"""Draw a prediction on its image, a colour for each name."""

import numpy as np
from PIL import Image

from verl_vision_r1.data.picture_grid import draw_boxes
from verl_vision_r1.predict.prediction import Prediction
from verl_vision_r1.report.drawing import SIDES

COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#7b3294", "#8c510a", "#252525")
"""Of the names in turn; readable under white text, and told apart by colour-blind readers."""


def draw(prediction: Prediction, image: Image.Image) -> Image.Image:
    """Draw the predicted boxes with their labels.

    Args:
        prediction: The prediction.
        image: Its image, upright.

    Returns:
        The drawing; its longer side is within `report.drawing.SIDES`.
    """
    longer = max(image.size)
    scale = min(max(longer, SIDES[0]), SIDES[1]) / longer
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    picture = image.convert("RGB").resize(size)
    boxes = np.clip(prediction.boxes * scale, 0, np.array([*size, *size]) - 1)
    names = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(dict.fromkeys(prediction.labels))}
    draw_boxes(picture, boxes, prediction.labels, [names[label] for label in prediction.labels])
    return picture
