"""Model families: what the plugin knows of each, and which of them verl does not train with images.

A family is the `model_type` in a model's `config.json`. This is the only module that lists them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

JSON_FORM: Final = '`[{"bbox_2d": [x1, y1, x2, y2], "label": "NAME"}]`'
QWEN2_FORM: Final = (
    "`<|object_ref_start|>NAME<|object_ref_end|><|box_start|>(x1,y1),(x2,y2)<|box_end|>`, or `json_boxes` if asked for"
)
GLM_FORM: Final = "`<|begin_of_box|>[[x1, y1, x2, y2]]<|end_of_box|>`, or `json_boxes` if asked for"
GEMMA_FORM: Final = '`[{"box_2d": [y1, x1, y2, x2], "label": "NAME"}]`'
INTERNVL_FORM: Final = "`<ref>NAME</ref><box>[[x1, y1, x2, y2]]</box>`"

AT_ONCE: Final = {"enable_thinking": False}
QWEN3_PROMPT: Final = "vision_r1_release_2026"
NO_CASE: Final = "verl's `hf_processor` has no case for its processor, {}: verl starts without one and takes no images"
OWN_CODE: Final = NO_CASE.format("{}, which the model brings as its own code")


@dataclass(frozen=True)
class Family:
    """A model family.

    Attributes:
        models: The models, by the names that their makers give them.
        frame: The frame in which it writes boxes, one of `frames.FRAMES`, which has the order of the axes too; None if
            it writes none, or the frame is not published.
        side: Side of a visual token in pixels; 0 if not known.
        parser: The parser that reads its own form, a name of `rewards.answers.PARSERS`; empty if there is none.
        form: Its own form.
        prompt: Prompt templates in its makers' words, a name of the group `vision_r1/prompt`; empty if there is none.
        template: Options of its chat template with which it answers at once instead of reasoning first.
        obstacle: Why verl does not train it with images; empty if verl does.
    """

    models: str
    frame: str | None
    side: int = 0
    parser: str = ""
    form: str = ""
    prompt: str = ""
    template: Mapping[str, Any] = field(default_factory=dict)
    obstacle: str = ""


FAMILIES: Final[dict[str, Family]] = {
    "qwen2_vl": Family("Qwen2-VL", "relative_1000", 28, "marked_boxes", QWEN2_FORM),
    "qwen2_5_vl": Family("Qwen2.5-VL, MiMo-VL", "resized_pixels", 28, "json_boxes", JSON_FORM),
    "qwen3_vl": Family("Qwen3-VL", "relative_1000", 32, "json_boxes", JSON_FORM, QWEN3_PROMPT),
    "qwen3_vl_moe": Family("Qwen3-VL with experts", "relative_1000", 32, "json_boxes", JSON_FORM, QWEN3_PROMPT),
    "qwen3_5": Family("Qwen3.5, Qwen3.6", "relative_1000", 32, "json_boxes", JSON_FORM, QWEN3_PROMPT, AT_ONCE),
    "qwen3_5_moe": Family(
        *("Qwen3.5, Qwen3.6 with experts", "relative_1000", 32, "json_boxes", JSON_FORM, QWEN3_PROMPT, AT_ONCE)
    ),
    "glm4v": Family("GLM-4.1V, GLM-4.6V-Flash", "relative_1000", 28, "glm_boxes", GLM_FORM, "glm"),
    "glm46v": Family("GLM-4.6V as transformers has it", "relative_1000", 28, "glm_boxes", GLM_FORM, "glm"),
    "glm4v_moe": Family("GLM-4.5V, GLM-4.6V", "relative_1000", 28, "glm_boxes", GLM_FORM, "glm"),
    "gemma4": Family("Gemma 4", "relative_1000_yxyx", 48, "json_boxes", GEMMA_FORM),
    "internvl": Family(
        *("InternVL", "relative_1000", 28, "marked_boxes", INTERNVL_FORM),
        obstacle=NO_CASE.format("InternVLProcessor"),
    ),
    "internvl_chat": Family(
        *("InternVL (own code)", "relative_1000", 28, "marked_boxes", INTERNVL_FORM),
        obstacle="it has no processor, only code of its own for images, and verl takes images by a processor alone",
    ),
    "kimi_vl": Family("Kimi-VL", None, obstacle=OWN_CODE.format("KimiVLProcessor")),
    "molmo": Family("Molmo", None, obstacle=OWN_CODE.format("MolmoProcessor")),
    "molmo2": Family("Molmo 2", None, obstacle=OWN_CODE.format("Molmo2Processor")),
    "gemma3": Family("Gemma 3", None, obstacle=NO_CASE.format("Gemma3Processor")),
    "llava": Family("LLaVA", None, obstacle=NO_CASE.format("LlavaProcessor")),
    "llava_next": Family("LLaVA-NeXT", None, obstacle=NO_CASE.format("LlavaNextProcessor")),
    "llava_onevision": Family("LLaVA-OneVision", None, obstacle=NO_CASE.format("LlavaOnevisionProcessor")),
    "minicpmv": Family("MiniCPM-V", None, obstacle=OWN_CODE.format("MiniCPMVProcessor")),
    "idefics3": Family("Idefics3", None, obstacle=NO_CASE.format("Idefics3Processor")),
    "paligemma": Family("PaliGemma", None, obstacle=NO_CASE.format("PaliGemmaProcessor")),
    "griffon": Family("Griffon-G", "relative_1", obstacle="neither transformers nor vLLM has its architecture"),
}
"""The families by `model_type`."""

TRAINED: Final = tuple(name for name, family in FAMILIES.items() if not family.obstacle)
"""The families that verl trains with images."""
SIZED: Final = tuple(name for name in TRAINED if name not in ("glm46v", "glm4v_moe", "gemma4"))
"""The families of which `vision-r1 estimate` and `vision-r1 rehearse` know the batches and the vision tower."""
SIDES: Final = tuple(sorted({FAMILIES[name].side for name in TRAINED}))
"""The sides of a visual token in pixels, of all families that verl trains."""
CONNECTORS: Final = ("merger", "deepstack_merger_list", "embed_vision", "multi_modal_projector", "mlp1")
"""Modules from the vision tower to the language model: Qwen-VL and GLM-V, Qwen3-VL, Gemma 4; others."""
TOWERS: Final = ("visual", "vision_tower", "vision_model")
"""Modules of the vision tower: Qwen-VL and GLM-V, Gemma 4; others."""


def expect_sized(family: str, key: str = "actor_rollout_ref.model.path") -> None:
    """Refuse a family whose training step is not known in advance.

    Args:
        family: `model_type` of the model's configuration.
        key: The key of the configuration that names the model.

    Raises:
        ValueError: verl does not train it, or its sizes are not known here; the message says which.
    """
    expect_trained(family, key)
    if family not in SIZED:
        raise ValueError(
            f"{key}: expected a family whose training step can be estimated and rehearsed ({', '.join(SIZED)}), got"
            f" {family}; try the run itself with trainer.total_training_steps=1"
        )


def expect_trained(family: str, key: str = "actor_rollout_ref.model.path") -> None:
    """Refuse a family that verl is known not to train with images. An unknown one is accepted.

    Args:
        family: `model_type` of the model's configuration.
        key: The key of the configuration that names the model.

    Raises:
        ValueError: It does not; the message says why.
    """
    known = FAMILIES.get(family)
    if known and known.obstacle:
        raise ValueError(
            f"{key}: expected a family that verl 0.9 trains with images ({', '.join(TRAINED)}), got {family}"
            f" ({known.models}): {known.obstacle}; choose a model of one of these families"
        )
