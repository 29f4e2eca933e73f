"""A run on disk, with rollout files in verl's format."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from verl_vision_r1.rewards.presets import names_in, preset_from_config, read_preset
from verl_vision_r1.rewards.refinement import Curriculum
from verl_vision_r1.rewards.scoring import score_completion
from verl_vision_r1.targets import Target

CURRICULUM = {
    "stages": [{"at": 0.0, "xi0": 0.5, "xi1": 0.5, "xi2": 0.75}, {"at": 0.5, "xi0": 0.75, "xi1": 0.75, "xi2": 0.9}],
    "validation": "last",
}
TOTAL_STEPS = 4


@dataclass
class Run:
    """Writes rollout files of completions, scored by the preset `vision_r1`."""

    folder: Path
    frame: tuple[float, float] = (400.0, 300.0)
    lines: dict[tuple[str, int], list[dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert "vision_r1" in names_in("reward")
        self.preset = preset_from_config(read_preset("vision_r1"))
        self.curriculum = Curriculum.from_config(CURRICULUM)

    def image(self, name: str, colour: str = "black", size: tuple[int, int] = (400, 300)) -> Path:
        path = self.folder / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, colour).save(path)
        return path

    def add(
        self,
        completions: Sequence[str],
        target: Target,
        *,
        image: Path | str,
        kind: str = "training",
        step: int = 1,
        source: str = "shapes/detection",
        image_id: str = "0",
        **more: Any,
    ) -> None:
        """Add completions of one prompt."""
        validation = kind == "validation"
        stage = self.curriculum.validation_stage() if validation else self.curriculum.stage(step, TOTAL_STEPS)
        facts = {"data_source": source, "image_id": image_id, "question": "categories", "subject": ""}
        facts |= {"image": str(image), "frame": f"{self.frame[0]:g}x{self.frame[1]:g}"}
        for completion in completions:
            scores = score_completion(completion, target, self.preset.rules_of(target), self.frame, stage)
            entry = {
                **{"input": "user\nFind all.\nassistant\n", "output": completion, "gts": target.to_json()},
                **{"score": scores.total, "step": step, **({"reward": scores.total} if validation else {})},
                **scores.as_dict(self.preset.criteria),
                **{"clipped": 0.0, "image_unreadable": 0.0, "scoring_seconds": 0.001},
                **facts,
                **more,
            }
            self.lines.setdefault((kind, step), []).append(entry)

    def write(self, described: bool = True) -> Path:
        """Write all rollout files, and their run.yaml."""
        for (kind, step), lines in self.lines.items():
            folder = self.folder / {"training": "rollouts", "validation": "validation"}[kind]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{step}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
            if described:
                self.describe(folder, kind)
        return self.folder

    def describe(self, folder: Path, kind: str, **other: Any) -> None:
        settings = {"reward": read_preset("vision_r1"), "curriculum": CURRICULUM}
        description = {"kind": kind, "total_steps": TOTAL_STEPS, "samples": [], "vision_r1": settings, **other}
        (folder / "run.yaml").write_text(yaml.safe_dump(description))


def boxes_text(*items: tuple[Sequence[float], str]) -> str:
    """A completion with labelled boxes."""
    return "```json\n" + json.dumps([{"bbox_2d": list(box), "label": label} for box, label in items]) + "\n```"
