"""An agent loop that plants an answer whose score is known: the ground truth, in the frame and form of the family.

The frame is computed here from what the model's own processor does with the image, not by the package under test.
"""

import json
import os
from typing import Any

from families import FAMILIES
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

from verl_vision_r1.rewards.answers.box_log_probs import TOKEN_LOG_PROBS

FAMILY = "VISION_R1_TEST_FAMILY"
"""The variable of the environment that names the family."""


class PlantedAgentLoop(SingleTurnAgentLoop):
    """As verl's own; of every second row the model's answer is then exchanged for the planted one."""

    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **kwargs: Any) -> AgentLoopOutput:
        """Answer a prompt."""
        output: AgentLoopOutput = await super().run(sampling_params, priority, **kwargs)
        if int(kwargs["extra_info"]["index"]) % 2 == 0:
            tiny = FAMILIES[os.environ[FAMILY]]
            target = json.loads(kwargs["reward_model"]["ground_truth"])
            images = (await self.process_multi_modal_info(list(kwargs["raw_prompt"])))["images"]
            self._plant(output, planted(target, self._frame(tiny.frame, images[0]), tiny.form))
        return output

    def _frame(self, frame: str, image: Any) -> tuple[float, float]:
        if frame == "relative_1000":
            return 1000.0, 1000.0
        processor = self.processor.image_processor
        _, rows, columns = processor(images=[image], return_tensors="pt")["image_grid_thw"][0].tolist()
        return columns * processor.patch_size, rows * processor.patch_size

    def _plant(self, output: AgentLoopOutput, text: str) -> None:
        ids = self.tokenizer.encode(text, add_special_tokens=False)
        ids = [*ids, self.tokenizer.eos_token_id][: self.response_length]
        output.response_ids, output.response_mask = ids, [1] * len(ids)
        log_probs = planted_log_probs(len(ids))
        output.extra_fields[TOKEN_LOG_PROBS] = log_probs
        if output.response_logprobs is not None:
            output.response_logprobs = log_probs


def planted_log_probs(count: int) -> list[float]:
    """Log-probabilities that differ from token to token."""
    return [-(1 + place) / 64 for place in range(count)]


def planted(target: dict[str, Any], frame: tuple[float, float], form: str) -> str:
    """The boxes of a target in whole numbers of a frame."""
    scale = [frame[0] / target["width"], frame[1] / target["height"]] * 2
    boxes = [[round(side * by) for side, by in zip(box, scale, strict=True)] for box in target["boxes"]]
    return FORMS[form](boxes, target["labels"])


def _json(boxes: list[list[int]], labels: list[str]) -> str:
    items = [{"bbox_2d": box, "label": label} for box, label in zip(boxes, labels, strict=True)]
    return "```json\n" + json.dumps(items) + "\n```"


def _gemma(boxes: list[list[int]], labels: list[str]) -> str:
    items = [
        {"box_2d": [y1, x1, y2, x2], "label": label} for (x1, y1, x2, y2), label in zip(boxes, labels, strict=True)
    ]
    return "```json\n" + json.dumps(items) + "\n```"


def _glm(boxes: list[list[int]], labels: list[str]) -> str:
    return f"They are at <|begin_of_box|>{json.dumps(boxes)}<|end_of_box|>."


def _qwen2(boxes: list[list[int]], labels: list[str]) -> str:
    return "".join(
        f"<|object_ref_start|>{label}<|object_ref_end|><|box_start|>({x1},{y1}),({x2},{y2})<|box_end|>"
        for (x1, y1, x2, y2), label in zip(boxes, labels, strict=True)
    )


FORMS = {"json": _json, "gemma": _gemma, "glm": _glm, "qwen2": _qwen2}
"""The forms in which families answer, written here and not by the package under test."""
