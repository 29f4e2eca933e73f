"""Every family that verl trains, tiny: two steps of main_ppo on the CPU, some of the completions planted."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from families import FAMILIES, build_family
from planted import FAMILY, planted_log_probs
from runs import DRILLS, Finished
from runs import run as run_trainer

from verl_vision_r1.demo.plan import Demo
from verl_vision_r1.demo.shapes import write_shapes

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

STEPS, PROMPTS, ROLLOUTS = 2, 4, 2
RESIZED = 112
"""Side of the images as the model sees them; they are drawn larger, so that the two frames are not the same."""
FAILING = ("glm46v", "qwen3_5_moe", "glm4v_moe")
"""Families that vLLM does not run for verl on a CPU; docs/guides/families.md has the errors."""
NEAR_COPIES = ("glm46v_flash",)
"""Families whose test is a drill."""
BEGINNINGS = {
    "json": '```json\n[{"bbox_2d"',
    "gemma": '```json\n[{"box_2d"',
    "glm": "They are at <|begin_of_box|>[[",
    "qwen2": "<|object_ref_start|>",
}
"""How the planted completions begin in the rollout file, which has the special tokens that were scored."""


@dataclass(frozen=True)
class Run:
    """A finished run of a family.

    Attributes:
        family: Its name.
        model: Folder of the tiny model.
        finished: What the run left behind.
        answers: The lines of its rollout files.
    """

    family: str
    model: Path
    finished: Finished
    answers: list[dict[str, Any]]


def params() -> Iterator[Any]:
    drill = pytest.mark.skipif(not DRILLS, reason="nearly a copy of another family: make drills")
    for name in (name for name in FAMILIES if name not in FAILING):
        yield pytest.param(name, marks=[drill] if name in NEAR_COPIES else [])


@pytest.fixture(scope="module", params=params())
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(request.param, tmp_path_factory.mktemp(request.param))


def train(family: str, folder: Path) -> Run:
    from verl_vision_r1.data.options import Source, Writing
    from verl_vision_r1.data.prepare import prepare
    from verl_vision_r1.demo.teach import read_rows, texts_of

    demo = Demo(folder, steps=STEPS)
    source = write_shapes(demo.folder / "source", "train", 24)
    prepare([Source("coco", str(source))], demo.rows, Writing(max_pixels=RESIZED**2))
    build_family(family, demo.model, texts_of(read_rows(demo.rows / "train.parquet")))
    loops = demo.folder / "loops.yaml"
    loops.write_text("- name: planted\n  _target_: planted.PlantedAgentLoop\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        patch.setenv(FAMILY, family)
        finished = run_trainer(
            demo,
            *(f"data.train_batch_size={PROMPTS}", f"actor_rollout_ref.actor.ppo_mini_batch_size={PROMPTS}"),
            *(f"actor_rollout_ref.rollout.n={ROLLOUTS}", "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=4"),
            f"actor_rollout_ref.rollout.agent.agent_loop_config_path={loops}",
            "actor_rollout_ref.rollout.agent.default_agent_loop=planted",
            *("data.max_response_length=256", "vision_r1/reward=vision_r1", "trainer.save_freq=-1"),
            "trainer.val_before_train=false",
            *FAMILIES[family].overrides,
        )
    (demo.folder / "run.log").write_text(finished.log)
    dumps = [demo.rollouts / f"{step}.jsonl" for step in range(1, STEPS + 1)]
    lines = [line for dump in dumps if dump.is_file() for line in dump.read_text().splitlines()]
    return Run(family, demo.model, finished, [json.loads(line) for line in lines])


def is_planted(run: Run, answer: dict[str, Any]) -> bool:
    return str(answer["output"]).startswith(BEGINNINGS[FAMILIES[run.family].form])


def test_it_trains(run: Run) -> None:
    assert run.finished.status == 0, run.finished.log[-6000:]
    assert len(run.answers) == STEPS * PROMPTS * ROLLOUTS
    assert f"step:{STEPS} - " in run.finished.log


def test_a_planted_answer_scores_as_it_must(run: Run) -> None:
    """All objects are found; what is missing of the IoU is what rounding to whole numbers of the frame takes."""
    found = [answer for answer in run.answers if is_planted(run, answer)]
    assert found
    for answer in found:
        assert (answer["format"], answer["recall"], answer["parsed"]) == (1.0, 1.0, 1.0), answer["output"]
        assert answer["precision"] == pytest.approx(answer["mean_iou"])
        assert answer["mean_iou"] > 0.93
        assert answer["total"] == pytest.approx(2 + answer["mean_iou"])
        assert not answer["out_of_frame"]


def test_the_model_is_asked_and_answers_in_its_own_frame(run: Run) -> None:
    frames = {answer["frame"] for answer in run.answers}
    tiny = FAMILIES[run.family]
    if tiny.frame == "relative_1000":
        assert frames == {"1000x1000 yxyx" if tiny.form == "gemma" else "1000x1000"}
    else:
        assert frames == {f"{RESIZED}x{RESIZED}"}
    assert all("output the coordinates in JSON format" in answer["input"] for answer in run.answers)


def test_other_answers_are_the_models_own(run: Run) -> None:
    own = [answer for answer in run.answers if not is_planted(run, answer)]
    assert own
    assert len({answer["output"] for answer in own}) > 1
    assert all(answer["total"] < 2 for answer in own)  # Its weights are random.


COORDINATES = re.compile(r"[0-9]+(?:[^0-9a-z]{1,4}[0-9]+){3}")


def test_a_box_has_the_log_probability_of_its_own_tokens(run: Run) -> None:
    """The tokens are told by the offsets of the family's fast tokenizer, which the package does not use."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(run.model)
    for answer in (answer for answer in run.answers if is_planted(run, answer)):
        text = str(answer["output"])
        tokens = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        log_probs = planted_log_probs(len(tokens))
        boxes = list(COORDINATES.finditer(text))
        labels = json.loads(str(answer["gts"]))["labels"]
        found = dict(json.loads(answer["box_log_probs"]))
        assert found.keys() == {box.start() for box in boxes}
        for box, label in zip(boxes, labels, strict=True):
            own = {*range(*box.span())} | label_places(text, label, box.span(), FAMILIES[run.family].form)
            means = [log_probs[place] for place, span in enumerate(tokens) if own & {*range(*span)}]
            assert found[box.start()] == pytest.approx(sum(means) / len(means), abs=1e-4), text


def label_places(text: str, label: str, box: tuple[int, int], form: str) -> set[int]:
    """The characters of a label: after its box in JSON, before it in Qwen2-VL's form, nowhere in GLM's."""
    if form == "glm":
        return set()
    start = text.rindex(label, 0, box[0]) if form == "qwen2" else text.index(label, box[1])
    return {*range(start, start + len(label))}
