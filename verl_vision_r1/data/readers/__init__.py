"""One module per dataset, from its published files to samples. `sources` has the readers by name."""

from typing import Final

DATASETS: Final = {
    "detection": ("coco", "lvis", "odinw13", "odinw35", "voc", "yolo", "v3det"),
    "grounding": ("refcoco", "refcoco+", "refcocog", "visual_genome", "lisa"),
    "counting": ("clevr", "pixmo_count"),
    "classification": ("imagefolder", "flowers", "pets", "cars", "aircraft"),
    "released training data": ("vision_r1_data", "virft"),
    "samples of other trainers": ("vlm_r1", "easyr1", "swift", "odvg"),
    "custom data": ("jsonl",),
}
"""The names of `sources.SOURCES` by kind, for help texts and shell completion, which import no reader."""
