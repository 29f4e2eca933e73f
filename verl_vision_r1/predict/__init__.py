"""A trained model in use: boxes in original-image pixels with transformers or vLLM; model folders of checkpoints."""

from verl_vision_r1.predict.detector import Detector
from verl_vision_r1.predict.prediction import Prediction

__all__ = ["Detector", "Prediction"]
