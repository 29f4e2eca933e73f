"""Prompt templates: published ones verbatim, names inserted verbatim, and error messages."""

from typing import Any

import pytest
import yaml

from verl_vision_r1 import Target
from verl_vision_r1.prompts import QUESTIONS, Prompts
from verl_vision_r1.rewards.presets import load_prompts

TARGET = Target([[1, 2, 30, 40]], ["handbag"], 100, 80, ("handbag", "sandwich", "hair drier"))

PUBLISHED = [
    (
        "glm",
        "expression",
        "the red cup",
        "Help me to locate the red cup in the image and give me its bounding boxes.",
    ),
    (
        "vision_r1",
        "categories",
        "",
        "Locate every item from the category list in the image and output the coordinates in JSON format."
        " The category set includes handbag, sandwich, hair drier.",
    ),
    (
        "vision_r1",
        "category",
        "handbag",
        "Locate every handbag in the image and output the coordinates in JSON format.",
    ),
    (
        "vision_r1_release_2026",
        "categories",
        "",
        "Locate every instance that belongs to the following categories: 'handbag, sandwich, hair drier'. Report bbox"
        " coordinates in JSON format.",
    ),
    (
        "visual_rft",
        "category",
        "sandwich",
        "Detect all objects belonging to the category 'sandwich' in the image, and provide the bounding boxes (between"
        " 0 and 1000, integer) and confidence (between 0 and 1, with two decimal places).\n"
        "If no object belonging to the category 'sandwich' in the image, return 'No Objects'.\n"
        "Output the thinking process in <think> </think> and final answer in <answer> </answer> tags."
        "The output answer format should be as follows:\n"
        "<think> ... </think> <answer>[{'Position': [x1, y1, x2, y2], 'Confidence': number}, ...]</answer>\n"
        "Please strictly follow the format.",
    ),
    (
        "visual_rft",
        "class",
        "aircraft",
        "This is an image containing an aircraft. Please identify the model of the aircraft based on the image.\n"
        "Output the thinking process in <think> </think> and final answer in <answer> </answer> tags."
        "The output answer format should be as follows:\n"
        "<think> ... </think> <answer>species name</answer>\nPlease strictly follow the format.",
    ),
    (
        "visual_rft",
        "expression",
        "the cup that can be drunk from",
        "Output the bounding box in the image corresponding to the instruction: the cup that can be drunk from Output"
        " the thinking process in <think> </think> and your grouding box."
        ' Following "<think> thinking process </think>\n<answer>(x1,y1),(x2,y2)</answer>)" format.',
    ),
]


@pytest.mark.parametrize(("prompts", "question", "subject", "expected"), PUBLISHED)
def test_published_templates_are_verbatim(prompts: str, question: str, subject: str, expected: str) -> None:
    assert load_prompts(prompts).text(question, TARGET, subject) == expected


@pytest.mark.parametrize(
    "name", ["{category}", "a {0}", "handbag", "land", "and", "{", "'quoted' \"name\"", "漢字", "%s\\n"]
)
@pytest.mark.parametrize("prompts", ["vision_r1", "vision_r1_release_2026", "visual_rft", "vlm_r1", "glm"])
def test_names_are_inserted_verbatim(name: str, prompts: str) -> None:
    target = Target([[1, 2, 30, 40]], [name], 100, 80, (name, "cat"))
    for question in load_prompts(prompts).templates:
        if question != "class":
            assert name in load_prompts(prompts).text(question, target, name)


def test_every_template_is_for_a_known_question() -> None:
    for name in ("none", "vision_r1", "vision_r1_release_2026", "visual_rft", "vlm_r1", "glm"):
        assert set(load_prompts(name).templates) <= set(QUESTIONS) - {"own"}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"boxes": "Where?"}, r"vision_r1\.prompt\.boxes: expected one of categories, .*, got 'boxes'"),
        ({"own": "Where?"}, r"vision_r1\.prompt\.own: expected one of categories, .*, point, got 'own'"),
        ({"count": 7}, r"vision_r1\.prompt\.count: expected a prompt template \(text\), got 7"),
        ({"category": "Find {label}."}, r"expected the fields \['category'\] in braces, got \{label\}"),
        ({"category": "Find {}."}, r"expected the fields \['category'\] in braces, got \{\}"),
        ({"category": "As [{x: 1}]"}, r"got \{x\}"),
        ({"category": "Find {category."}, "expected balanced braces, literal ones doubled"),
    ],
)
def test_an_invalid_template_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Prompts.from_config(config)


def test_a_custom_template_is_a_few_lines_of_yaml() -> None:
    prompts = Prompts.from_config(yaml.safe_load('category: "Where is the {category}? As {{x, y}}."'))
    assert prompts.text("category", TARGET, "handbag") == "Where is the handbag? As {x, y}."
    with pytest.raises(ValueError, match="expected a template for the question 'count', got only category"):
        prompts.text("count", TARGET, "handbag")
