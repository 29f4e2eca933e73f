"""A Ray cluster of two nodes: both load the plugin, generate, train and score; then one loses its reward worker."""

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import spread
from runs import DRILLS, Finished
from two_nodes import HEAD, OTHER, processes_of, two_nodes, why_not

from verl_vision_r1.demo.plan import Demo
from verl_vision_r1.demo.run import TAUGHT_MODEL
from verl_vision_r1.demo.shapes import write_shapes

WHY_NOT = why_not() if DRILLS else "takes a quarter of an hour: make drills"

pytestmark = [pytest.mark.engine, pytest.mark.timeout(3600), pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]

STEPS, PROMPTS, ROLLOUTS = 2, 8, 4


@dataclass
class Drill:
    """What was seen of the cluster.

    Attributes:
        doctor: What `vision-r1 doctor` said of it.
        trained: The run that went through.
        marks: How many answers each node scored in it.
        disturbed: The run in which a reward worker of the other node was killed.
        killed: Its processes.
    """

    doctor: str
    trained: Finished
    marks: dict[str, int]
    disturbed: Finished
    killed: list[int] = field(default_factory=list)


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    from verl_vision_r1.data.options import Source, Writing
    from verl_vision_r1.data.prepare import prepare

    demo = Demo(tmp_path_factory.mktemp("nodes"), steps=STEPS, model=TAUGHT_MODEL)
    source = Source("coco", str(write_shapes(demo.folder / "source", "train", 40)))
    prepare([source], demo.rows, Writing(max_pixels=140 * 140))
    folder = demo.folder / "marks"
    folder.mkdir()
    variables = {"PYTHONPATH": str(Path(__file__).parent), spread.FOLDER: str(folder)}
    with two_nodes(demo, **variables) as cluster:
        script = "from verl_vision_r1.cli import main; main()"
        doctor = cluster.run([sys.executable, "-c", script, "doctor"], seconds=300).stdout
        trained = cluster.train(demo, *spread.overrides(PROMPTS, ROLLOUTS))
        marks = spread.marks(folder)
        killed: list[int] = []
        disturbed = cluster.train(
            demo, *spread.overrides(PROMPTS, ROLLOUTS), "trainer.total_training_steps=50", disturb=Killer(killed)
        )
        yield Drill(doctor, trained, marks, disturbed, killed)


class Killer:
    """Kills the reward worker of the other node after the first step."""

    def __init__(self, killed: list[int]) -> None:
        self.killed = killed

    def __call__(self, line: str) -> None:
        if "step:1 - " in line and not self.killed:
            self.killed += processes_of("RewardLoopWorker", OTHER)[:1]
            for process in self.killed:
                os.kill(process, signal.SIGKILL)


def test_the_plugin_loads_on_every_node(drill: Drill) -> None:
    assert "2 of 2 nodes of RAY_ADDRESS" in drill.doctor


def test_it_trains_over_both_nodes(drill: Drill) -> None:
    assert drill.trained.status == 0, drill.trained.log[-6000:]
    assert f"step:{STEPS} - " in drill.trained.log
    for actor in ("WorkerDict", "vLLMHttpServer"):
        assert spread.processes(drill.trained.log, actor) == 2
        assert f"({actor} pid=" in drill.trained.log
        assert any(f"({actor} pid=" in line and f"ip={OTHER}" in line for line in drill.trained.lines)


def test_the_samples_are_scored_on_both_nodes(drill: Drill) -> None:
    assert set(drill.marks) == {HEAD, OTHER}
    assert sum(drill.marks.values()) == STEPS * PROMPTS * ROLLOUTS
    assert min(drill.marks.values()) > 0


def test_a_node_that_loses_its_reward_worker_ends_the_run_by_name(drill: Drill) -> None:
    assert len(drill.killed) == 1
    assert drill.disturbed.status not in (0, -9)
    assert "expected a living reward worker" in drill.disturbed.log
    assert "step:50 - " not in drill.disturbed.log
