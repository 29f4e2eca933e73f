"""Find objects with a trained model: the model of the demo, on a scene that it was not trained on."""

import numpy as np

from verl_vision_r1.demo.run import TAUGHT_MODEL
from verl_vision_r1.demo.shapes import NAMES, draw_scene
from verl_vision_r1.predict import Detector

image, target = draw_scene(np.random.default_rng(5))
detector = Detector(TAUGHT_MODEL)  # A folder of `vision-r1 export`, and the preset of its training run.
found = detector.find(image, NAMES)
print("ground truth:", [(label, box) for label, box in zip(target.labels, target.boxes.tolist(), strict=True)])
for box, label, score in zip(found.boxes.tolist(), found.labels, found.scores, strict=True):
    print(f"found: {label} {box}, score {score}")
print("parsed:", found.parsed, "completion:", found.replies[0].completion)
