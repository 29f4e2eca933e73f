"""`score`: score one completion against one target, without verl."""

import functools
import logging

from verl_vision_r1.frames import MAX_FRAME, Size, frame_size, is_frame
from verl_vision_r1.rewards.presets import Preset, load_preset
from verl_vision_r1.rewards.refinement import OFF, Stage
from verl_vision_r1.rewards.scoring import Scores, score_completion
from verl_vision_r1.shown import shown
from verl_vision_r1.targets import Target

logger = logging.getLogger(__name__)


def score(
    completion: str,
    target: Target,
    preset: str | Preset = "vision_r1",
    *,
    frame: Size | None = None,
    stage: Stage = OFF,
) -> Scores:
    """Score one completion against the ground truth.

    Args:
        completion: Any text; a malformed completion never raises.
        target: The ground truth, in original-image pixels.
        preset: The name of a built-in preset, the path of a YAML file, which is read once, or a preset.
        frame: (width, height) of the frame of the predicted boxes; by default the preset's frame for the task, or else
            the original image.
        stage: The thresholds; by default without refinement.

    Raises:
        ValueError: The preset does not exist, or has no configuration for the target's task; the completion is not a
            string, or the frame not two numbers of at least 1.

    Example:
        >>> target = Target([[100, 100, 300, 300]], ["cat"], width=640, height=480)
        >>> score('[{"bbox_2d": [100, 100, 300, 250], "label": "cat"}]', target).total
        2.75
    """
    if not isinstance(completion, str):
        raise ValueError(f"completion: expected a string, got {shown(completion)}")
    if frame is not None and not is_frame(frame):
        raise ValueError(f"frame: expected (width, height), two numbers from 1 to {MAX_FRAME:,}, got {shown(frame)}")
    chosen = _loaded(preset) if isinstance(preset, str) else preset
    rules = chosen.rules_of(target)
    size = frame if frame is not None else frame_size(rules.frame or "resized_pixels", (target.width, target.height))
    scores = score_completion(completion, target, rules, size, stage)
    for name, error in scores.errors.items():
        logger.error("criterion %s failed and counts 0", name, exc_info=error)
    return scores


@functools.lru_cache(maxsize=32)
def _loaded(name: str) -> Preset:
    """Load a preset once: checking it takes longer than a thousand scores."""
    return load_preset(name)
