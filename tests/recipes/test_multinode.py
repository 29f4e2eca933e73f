"""What the scripts for several nodes would run, recorded by commands that stand in for Slurm's, Ray's and Python."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from compositions import FOLDERS, ONE_GPU, TRAININGS, composed, nodes, training_gpus

pytestmark = [pytest.mark.verl, pytest.mark.process]

RECORD = """#!/bin/bash
echo "$(basename "$0") $*" >> {log}
"""
STAND_INS = {
    "sbatch": "",
    "scontrol": "printf 'node1\\nnode2\\n'",
    # What waits for the nodes waits for the steps: one that is ended before it listens could not say that it was.
    "python": """echo "RAY_ADDRESS=$RAY_ADDRESS" >> {log}
if [[ -n "${{SLURM_JOB_ID:-}}" && "$1" == *wait_for_nodes.py ]]; then
  for _ in {{1..400}}; do (( $(grep -c ^began {log}) >= ($2 > 1 ? 2 : 1) )) && break; sleep 0.1; done
fi
[[ "$*" != *"$FAILS"* ]]""",
    "ray": '[[ -n "${{CLUSTER:-}}" ]]',
    # A step of Ray's lasts until it is ended, and says so.
    "srun": """case "$*" in
  *"hostname --ip-address"*) echo 10.0.0.1 ;;
  *"ray start"*)
    trap 'echo "ended $*" >> {log}; exit 0' TERM
    echo "began $*" >> {log}
    for _ in {{1..600}}; do sleep 0.1; done ;;
esac""",
}
JOB = {"SLURM_JOB_ID": "12345", "SLURM_JOB_NODELIST": "node[1-2]", "RECIPES": str(FOLDERS)}


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the stand-ins write to; they come first on PATH."""
    file, folder = tmp_path / "log", tmp_path / "bin"
    folder.mkdir()
    for name, body in STAND_INS.items():
        (folder / name).write_text((RECORD + body).format(log=file) + "\n", encoding="utf-8")
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("FAILS", "nothing")
    for name in (*JOB, "RAY_ADDRESS", "GPUS_PER_NODE", "CLUSTER"):
        monkeypatch.delenv(name, raising=False)
    return file


def run(script: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(script), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def lines(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8").splitlines()


def test_slurm_gets_a_job_of_as_many_nodes(log: Path) -> None:
    script = FOLDERS / "vision_r1_qwen72b" / "run_multinode.sh"
    assert run(script, "slurm", "trainer.total_epochs=2").returncode == 0
    (line,) = lines(log)
    assert line.startswith("sbatch --nodes=4 --ntasks-per-node=1 --gpus-per-node=8 --exclusive")
    assert line.endswith(
        f"{FOLDERS}/run_on_slurm.sh 4 +recipe=vision_r1_qwen72b trainer.nnodes=4 trainer.total_epochs=2"
    )


def test_a_job_has_its_own_ray_on_every_node_and_ends_it(log: Path) -> None:
    done = run(FOLDERS / "run_on_slurm.sh", "2", "+recipe=vision_r1_qwen32b", "trainer.nnodes=2", **JOB)
    assert done.returncode == 0, done.stderr
    said = lines(log)
    address = "10.0.0.1:22345"
    head = (
        "--nodes=1 --ntasks=1 --nodelist=node1 ray start --head --node-ip-address=10.0.0.1 --port=22345 --num-gpus=8"
    )
    worker = f"--nodes=1 --ntasks=1 --exclude=node1 ray start --address={address} --num-gpus=8"
    for step in (head, worker):
        assert f"srun --overlap {step} --block" in said
        assert f"ended --overlap {step} --block" in said
    waited = said.index(f"python {FOLDERS}/wait_for_nodes.py 2 --gpus 8")
    trained = said.index("python -m verl.trainer.main_ppo +recipe=vision_r1_qwen32b trainer.nnodes=2")
    assert waited < trained
    assert said.count(f"RAY_ADDRESS={address}") == 2
    assert not any("ray stop" in line for line in said)


@pytest.mark.parametrize(("fails", "trains"), [("wait_for_nodes", False), ("main_ppo", True)])
def test_a_job_that_fails_ends_its_ray_and_says_so(log: Path, fails: str, trains: bool) -> None:
    done = run(FOLDERS / "run_on_slurm.sh", "2", "+recipe=vision_r1_qwen32b", **JOB, FAILS=fails)
    assert done.returncode == 1
    assert any("main_ppo" in line for line in lines(log)) == trains
    assert sum(line.startswith("ended") for line in lines(log)) == 2


def test_a_job_of_one_node_has_a_head_alone(log: Path) -> None:
    assert run(FOLDERS / "run_on_slurm.sh", "1", "+recipe=vision_r1_qwen7b", **JOB).returncode == 0
    assert sum("ray start" in line and line.startswith("srun") for line in lines(log)) == 1


def test_a_job_that_did_not_submit_itself_is_told_how(log: Path) -> None:
    done = run(FOLDERS / "run_on_slurm.sh", "2", "+recipe=vision_r1_qwen7b", **{**JOB, "RECIPES": ""})
    assert done.returncode != 0
    assert "call it outside of a job" in done.stderr


def test_a_cluster_that_runs_is_used_and_left_alone(log: Path) -> None:
    script = FOLDERS / "vision_r1_qwen7b" / "run_multinode.sh"
    done = run(script, "ray", "vision_r1/engine=megatron", CLUSTER="1", RAY_ADDRESS="10.0.0.9:6379")
    assert done.returncode == 0, done.stderr
    said = lines(log)
    assert said[0] == "ray status --address 10.0.0.9:6379"
    assert said[1].endswith("wait_for_nodes.py 2 --gpus 8")
    assert (
        said[3]
        == "python -m verl.trainer.main_ppo +recipe=vision_r1_qwen7b trainer.nnodes=2 vision_r1/engine=megatron"
    )
    assert {line for line in said if line.startswith("RAY_ADDRESS")} == {"RAY_ADDRESS=10.0.0.9:6379"}


def test_without_a_cluster_nothing_is_started(log: Path) -> None:
    done = run(FOLDERS / "vision_r1_qwen7b" / "run_multinode.sh", "ray")
    assert done.returncode == 1
    assert "expected a Ray cluster that runs, got auto" in done.stderr
    assert lines(log) == ["ray status --address auto"]


@pytest.mark.parametrize("script", ["run_on_ray.sh", "run_on_slurm.sh"])
def test_without_a_number_of_nodes_nothing_is_started(log: Path, script: str) -> None:
    done = run(FOLDERS / script)
    assert done.returncode != 0
    assert "expected the number of nodes, then +recipe=NAME" in done.stderr
    assert not log.exists()


@pytest.mark.parametrize("name", [name for name in TRAININGS if name not in ONE_GPU])
def test_the_nodes_of_a_script_are_those_of_its_configuration(log: Path, name: str) -> None:
    assert run(FOLDERS / name / "run_multinode.sh", "slurm").returncode == 0
    words = lines(log)[0].split()
    script = next(place for place, word in enumerate(words) if word.endswith("run_on_slurm.sh"))
    count, *given = words[script + 1 :]
    config = composed(*given)
    assert f"--nodes={count}" in words
    assert int(count) == nodes(config) > 1
    assert config.trainer.experiment_name == name
    assert training_gpus(config) % config.actor_rollout_ref.rollout.tensor_model_parallel_size == 0
    assert config.data.train_batch_size * config.actor_rollout_ref.rollout.n % training_gpus(config) == 0


RAY = """
import os
from pathlib import Path
def is_initialized(): return Path("begun").exists()
def init(**options): Path("begun").touch()
def nodes():
    Path("asked").open("a").write("x")
    late = len(Path("asked").read_text()) < 2
    gpu = {"Alive": True, "Resources": {"GPU": 8.0}}
    return [gpu, {"Alive": True, "Resources": {"CPU": 4.0}}, {"Alive": not late, "Resources": {"GPU": 8.0}}]
"""


@pytest.mark.parametrize(
    ("wanted", "address", "status", "message"),
    [
        ("2", "auto", 0, ""),
        ("3", "auto", 1, "expected 3 nodes with 8 GPUs each in Ray, got 2"),
        ("1", "127.0.0.1:1", 1, "expected 1 nodes with 8 GPUs each in Ray, got 0"),
    ],
)
def test_nodes_are_waited_for(tmp_path: Path, wanted: str, address: str, status: int, message: str) -> None:
    (tmp_path / "ray.py").write_text(RAY, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "RAY_ADDRESS": address}
    command = [sys.executable, str(FOLDERS / "wait_for_nodes.py"), wanted, "--gpus", "8", "--seconds", "0.3"]
    start = time.monotonic()
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.strip()) == (status, message)
    assert time.monotonic() - start < 30
