"""A Ray cluster of two nodes on one machine: two raylets, each in a network namespace of its own.

Needs root and iproute2. The namespaces are joined by one cable; nothing else of the machine can be reached from them.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runs import LIMIT, Finished, follow

from verl_vision_r1.demo.plan import Demo
from verl_vision_r1.training.process import end_group

HEAD, OTHER = "10.77.0.1", "10.77.0.2"
CABLE = "vr1cable"
"""The name of the interface in both: gloo is told to take it."""
RAY = str(Path(sys.executable).parent / "ray")


def why_not() -> str:
    """Why there can be no cluster here, or nothing."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need iproute2"
    made = subprocess.run(["ip", "netns", "add", "vr1probe"], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "del", "vr1probe"], capture_output=True, check=False)
    return made.stderr.strip()


@dataclass
class Cluster:
    """Two nodes that are up.

    Attributes:
        environment: What every process of the cluster sees.
        folder: Ray's own.
    """

    environment: dict[str, str]
    folder: str

    def command(self, words: list[str], node: str = HEAD) -> list[str]:
        """The command that runs another on a node."""
        return ["ip", "netns", "exec", name_of(node), *words]

    def run(self, words: list[str], seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command on the head and wait for it."""
        return subprocess.run(
            self.command(words), env=self.environment, capture_output=True, text=True, timeout=seconds, check=False
        )

    def train(self, demo: Demo, *overrides: str, disturb: Callable[[str], None] = lambda line: None) -> Finished:
        """Train with the driver on the head, and show `disturb` every line; a run that hangs is ended."""
        joined = [
            *("trainer.nnodes=2", "trainer.n_gpus_per_node=1"),
            # Of a cluster that runs already they must not be given.
            *(f"~ray_kwargs.ray_init.{key}" for key in ("num_cpus", "num_gpus", "include_dashboard")),
        ]
        environment = self.environment | {"VERL_FILE_LOGGER_PATH": str(demo.metrics)}
        command = self.command([*demo.command(), *joined, *overrides])
        return follow(command, environment, demo.folder, disturb, 2 * LIMIT)


def name_of(node: str) -> str:
    """The namespace of a node."""
    return f"vr1node{node.rsplit('.', 1)[1]}"


@contextmanager
def two_nodes(demo: Demo, **environment: str) -> Iterator[Cluster]:
    """A cluster of two nodes with a GPU each, which is the CPU.

    Args:
        demo: The run whose environment the nodes have.
        environment: More of it.
    """
    folder = tempfile.mkdtemp(prefix="vr2-", dir="/tmp")
    token = Path(folder) / "token"
    token.write_text(secrets.token_hex(32))
    # Named, because `ray start` asks for the token in the home folder, where there is one, and drivers bring none.
    ray_token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    joined = {
        "GLOO_SOCKET_IFNAME": CABLE,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ADDRESS": f"{HEAD}:6379",
        **ray_token,
        **environment,
    }
    cluster = Cluster(demo.environment(folder) | joined, folder)
    raylets: list[subprocess.Popen[bytes]] = []
    try:
        _lay_cable()
        head = [RAY, "start", "--head", "--port=6379", f"--temp-dir={folder}", "--include-dashboard=false"]
        raylets.append(_start(cluster, head, HEAD))
        _wait(cluster, nodes=1)
        raylets.append(_start(cluster, [RAY, "start", f"--address={HEAD}:6379"], OTHER))
        _wait(cluster, nodes=2)
        yield cluster
    finally:
        for raylet in reversed(raylets):
            end_group(raylet)
        for node in (HEAD, OTHER):
            for process in _inside(node):
                os.kill(process, signal.SIGKILL)
            subprocess.run(["ip", "netns", "del", name_of(node)], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _lay_cable() -> None:
    first, second = name_of(HEAD), name_of(OTHER)
    for words in (
        f"netns add {first}",
        f"netns add {second}",
        f"link add {CABLE} netns {first} type veth peer name {CABLE} netns {second}",
        *(f"-n {name_of(node)} addr add {node}/30 dev {CABLE}" for node in (HEAD, OTHER)),
        *(f"-n {name} link set {link} up" for name in (first, second) for link in (CABLE, "lo")),
    ):
        subprocess.run(["ip", *words.split()], check=True)


def _start(cluster: Cluster, words: list[str], node: str) -> "subprocess.Popen[bytes]":
    more = [f"--node-ip-address={node}", "--num-cpus=16", "--num-gpus=1", "--block", "--disable-usage-stats"]
    log = (Path(cluster.folder) / f"raylet-{node}.log").open("wb")
    return subprocess.Popen(
        cluster.command([*words, *more], node),
        env=cluster.environment,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _wait(cluster: Cluster, nodes: int, seconds: float = 120) -> None:
    """Until the cluster has so many nodes."""
    script = f"import ray; ray.init('{HEAD}:6379', log_to_driver=False); print(sum(n['Alive'] for n in ray.nodes()))"
    end = time.monotonic() + seconds
    said = ""
    while time.monotonic() < end:
        done = cluster.run([sys.executable, "-c", script])
        said = done.stdout + done.stderr
        if done.stdout.strip().endswith(str(nodes)):
            return
        time.sleep(2)
    raise TimeoutError(f"expected {nodes} nodes within {seconds:.0f} s, got {said[-1000:]}")


def _inside(node: str) -> list[int]:
    """The processes that are still in a node's namespace, which only this test has put there."""
    listed = subprocess.run(["ip", "netns", "pids", name_of(node)], capture_output=True, text=True, check=False)
    return [int(line) for line in listed.stdout.split()]


def processes_of(name: str, node: str) -> list[int]:
    """Processes of Ray's actors of that class on a node."""
    found = []
    for process in _inside(node):
        try:
            command = (Path("/proc") / str(process) / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if command.startswith(f"ray::{name}"):
            found.append(process)
    return found
