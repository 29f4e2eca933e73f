"""One module per dataset, from its published files to samples. `sources` loads the readers that `DATASETS` lists."""

from typing import Final

DATASETS: Final[dict[str, dict[str, str]]] = {
    "detection": {
        "coco": "coco_layouts:find",
        "lvis": "lvis:find",
        "odinw13": "odinw:find_13",
        "odinw35": "odinw:find_35",
        "voc": "voc:find",
        "yolo": "yolo_layouts:find",
        "v3det": "v3det:find",
    },
    "grounding": {
        "refcoco": "refcoco:find",
        "refcoco+": "refcoco:find",
        "refcocog": "refcoco:find",
        "grefcoco": "grefcoco:find",
        "groundingme": "groundingme:find",
        "visual_genome": "visual_genome:find",
        "lisa": "lisa:find",
    },
    "counting": {
        "clevr": "counting:find",
        "pixmo_count": "counting:find",
    },
    "pointing": {
        "pixmo_points": "pixmo_points:find",
        "screenspot": "screenspot:find",
    },
    "classification": {
        "imagefolder": "classification:find",
        "flowers": "classification_sets:find_flowers",
        "pets": "classification_sets:find_pets",
        "cars": "classification_sets:find_cars",
        "aircraft": "classification_sets:find_aircraft",
    },
    "released training data": {
        "vision_r1_data": "vision_r1_data:find",
        "virft": "virft:find",
    },
    "samples of other trainers": {
        "vlm_r1": "vlm_r1:find",
        "easyr1": "vlm_r1:find_easyr1",
        "swift": "swift:find",
        "odvg": "odvg:find",
    },
    "custom data": {
        "jsonl": "jsonl:find",
    },
}
"""By kind and name: the module and the function of the reader. Help texts and shell completion import no reader.

A function `FUNCTION_file` in the same module, if there is one, reads annotations that are away from the images.
"""
