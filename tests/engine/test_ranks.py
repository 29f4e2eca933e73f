"""Two ranks of FSDP and two replicas of vLLM in one run, on the CPU."""

import json
from pathlib import Path

import pytest
import spread
from runs import Finished
from runs import run as run_trainer

from verl_vision_r1.demo.plan import Demo
from verl_vision_r1.demo.run import TAUGHT_MODEL
from verl_vision_r1.demo.shapes import write_shapes

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1500)]

STEPS, PROMPTS, ROLLOUTS = 2, 8, 4


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    from verl_vision_r1.data.options import Source, Writing
    from verl_vision_r1.data.prepare import prepare

    demo = Demo(tmp_path_factory.mktemp("ranks"), steps=STEPS, model=TAUGHT_MODEL)
    source = Source("coco", str(write_shapes(demo.folder / "source", "train", 40)))
    prepare([source], demo.rows, Writing(max_pixels=140 * 140))
    return demo


@pytest.fixture(scope="module")
def marks(demo: Demo) -> Path:
    folder = demo.folder / "marks"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def finished(demo: Demo, marks: Path) -> Finished:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        patch.setenv(spread.FOLDER, str(marks))
        return run_trainer(
            demo,
            *spread.overrides(PROMPTS, ROLLOUTS),
            *("trainer.n_gpus_per_node=2", "ray_kwargs.ray_init.num_gpus=2"),
        )


def test_it_trains_and_every_answer_is_scored(finished: Finished, demo: Demo) -> None:
    assert finished.status == 0, finished.log[-6000:]
    for step in range(1, STEPS + 1):
        lines = [json.loads(line) for line in (demo.rollouts / f"{step}.jsonl").read_text().splitlines()]
        assert len(lines) == PROMPTS * ROLLOUTS
        assert len({line["uid"].split("_")[0] for line in lines}) == PROMPTS
        assert all("recall" in line for line in lines)
    assert any(line["total"] > 0 for line in lines)


def test_two_ranks_and_two_replicas_took_part(finished: Finished) -> None:
    assert spread.processes(finished.log, "vLLMHttpServer") == 2
    assert spread.processes(finished.log, "WorkerDict") == 2


def test_both_reward_workers_scored(finished: Finished, marks: Path) -> None:
    counts = [len(mark.read_text()) for mark in marks.iterdir()]
    assert len(counts) == 2
    assert sum(counts) == STEPS * PROMPTS * ROLLOUTS
    assert min(counts) > 0
