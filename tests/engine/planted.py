"""An agent loop that plants an answer whose score is known: what is there, in the frame that the family answers in.

The frame is computed here from what the model's own processor does with the image, not by the package under test.
"""

import json
import os
from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

FRAME = "VISION_R1_TEST_FRAME"
"""The variable of the environment that names the family's frame."""


class PlantedAgentLoop(SingleTurnAgentLoop):
    """As verl's own; of every second row the model's answer is then exchanged for the planted one."""

    async def run(self, sampling_params: dict[str, Any], priority: int = 0, **kwargs: Any) -> AgentLoopOutput:
        """Answer a prompt."""
        output: AgentLoopOutput = await super().run(sampling_params, priority, **kwargs)
        if int(kwargs["extra_info"]["index"]) % 2 == 0:
            target = json.loads(kwargs["reward_model"]["ground_truth"])
            images = (await self.process_multi_modal_info(list(kwargs["raw_prompt"])))["images"]
            self._plant(output, planted(target, self._frame(target, images[0])))
        return output

    def _frame(self, target: dict[str, Any], image: Any) -> tuple[float, float]:
        if os.environ[FRAME] == "relative_1000":
            return 1000.0, 1000.0
        processor = self.processor.image_processor
        _, rows, columns = processor(images=[image], return_tensors="pt")["image_grid_thw"][0].tolist()
        return columns * processor.patch_size, rows * processor.patch_size

    def _plant(self, output: AgentLoopOutput, text: str) -> None:
        ids = self.tokenizer.encode(text, add_special_tokens=False)
        ids = [*ids, self.tokenizer.eos_token_id][: self.response_length]
        output.response_ids, output.response_mask = ids, [1] * len(ids)
        if output.response_logprobs is not None:
            output.response_logprobs = [-1.0] * len(ids)


def planted(target: dict[str, Any], frame: tuple[float, float]) -> str:
    """The boxes of a target in whole numbers of a frame."""
    scale = [frame[0] / target["width"], frame[1] / target["height"]] * 2
    boxes = [[round(side * by) for side, by in zip(box, scale, strict=True)] for box in target["boxes"]]
    items = [{"bbox_2d": box, "label": label} for box, label in zip(boxes, target["labels"], strict=True)]
    return "```json\n" + json.dumps(items) + "\n```"
