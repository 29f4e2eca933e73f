"""Every command that a page shows is run, or composed where it would train; every block of code is what it says."""

import contextlib
import io
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from importlib import metadata
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from blocks import Block, blocks, commands, is_overrides, overrides
from generators.recipes import composed
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from packaging.requirements import Requirement
from stand_ins import placed, write_answers
from typer.testing import CliRunner

from verl_vision_r1.cli import app
from verl_vision_r1.data.readers.sources import SOURCES
from verl_vision_r1.families import FAMILIES
from verl_vision_r1.rewards.criteria import CRITERIA

pytestmark = [pytest.mark.verl, pytest.mark.process]
REGISTRIES: tuple[dict[str, Any], ...] = (CRITERIA, SOURCES, FAMILIES)
"""What the worked examples add to."""

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "recipes").rglob("*.md")), *DOCS]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
PARSED_ONLY = ("demo", "ablations", "gpu-check", "predict", "export")
"""They take minutes to hours; tests/engine runs the demo and an export, tests/predict and tests/cli run `predict`."""

ON_THE_HUB = "laolao77/"
"""Data sets that are there under a name, and in no folder."""

MODEL = ROOT / "verl_vision_r1" / "demo" / "model"
STANDING_ON = {"robust.md": ("vision_r1/reward=robust",)}
"""What overrides of a page stand on, besides the recipe for 7B."""

EVALUATED: list[str] = []
"""The predictions files that were evaluated so far."""

LANGUAGES = ("bash", "python", "text", "yaml", "json")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def run_ours(words: list[str]) -> None:
    """`vision-r1 ...`, for real; but a run is not followed, which never ends, and the doctor may find faults here."""
    assert words[0] in COMMANDS, f"expected a command of vision-r1, got {words[0]}"
    words = [placed(word.replace("../mixes/", "recipes/mixes/")) for word in words if word != "--follow"]
    if words[0] in PARSED_ONLY or any(word.startswith(ON_THE_HUB) for word in words):
        COMMANDS[words[0]].make_context(words[0], words[1:])
        return
    if words[0] == "rehearse":  # It takes minutes too, but its run composes.
        COMMANDS[words[0]].make_context(words[0], words[1:])
        composed(*[word for word in words[1:] if "=" in word])
        return
    if words[0] == "doctor":
        # Of a run, with a model that is at hand: the hub is not asked.
        words += ["--no-ray", "--json", *([f"actor_rollout_ref.model.path={MODEL}"] if words[1:] else [])]
    if words[0] == "evaluate":
        # The figures are most of an evaluation's time: those of the first one are enough.
        words += ["--bootstrap", "10"] * ("--bootstrap" not in words) + ["--no-figures"] * bool(EVALUATED)
        EVALUATED.append(words[1])
    if words[:2] == ["prepare", "mix"]:
        move_mix(Path(words[words.index("--source") + 1]))
    done = CliRunner().invoke(app, words)
    if words[0] == "doctor":
        assert isinstance(done.exception, SystemExit | None), done.exception
        assert json.loads(done.stdout)
    else:
        assert done.exit_code == 0, done.output


def move_mix(file: Path) -> None:
    """A mix that comes with the project, its sources where the workspace has them."""
    mix = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))
    for part in mix["parts"]:
        part["source"] = str(Path(placed(part["source"])).absolute())
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(mix))


def compose_run(words: list[str]) -> None:
    """A training or an evaluation: its configuration composes, and its validation rows get their answers."""
    config = composed(*map(str, words))
    assert config.reward.reward_manager.name == "vision_r1"
    if config.trainer.validation_data_dir and Path(str(config.data.val_files)).is_file():
        write_answers(config)


def compose_supervised(words: list[str]) -> None:
    """A supervised run: its configuration composes."""
    GlobalHydra.instance().clear()
    with initialize_config_module("verl.trainer.config", version_base=None):
        assert compose("sft_trainer_engine", overrides=words).data.train_files


def run_script(words: list[str], page: Path) -> None:
    """`bash run.sh ...` in a recipe's folder, `bash recipes/NAME/run.sh ...`, or `bash run_multinode.sh ray ...`."""
    script = (ROOT if "/" in words[0] else page.parent) / words[0]
    (line,) = [line for line in script.read_text(encoding="utf-8").splitlines() if line.startswith("exec ")]
    recipe = re.search(r"(\+recipe=\w+)", line)
    assert recipe, line
    more = words[1:]
    if "verl.trainer.sft_trainer" in line:  # tests/engine/test_supervised_run.py runs it.
        compose_supervised([recipe[1], *more])
        return
    if script.name == "run_multinode.sh":  # tests/recipes/test_multinode.py runs it.
        assert more[0] in ("ray", "slurm")
        more = ["trainer.nnodes=2", *more[1:]]
    compose_run([recipe[1], *more])


def run_python(words: list[str]) -> None:
    if words[:2] == ["-m", "verl.trainer.main_ppo"]:
        compose_run([word for word in words[2:] if word not in ("--cfg", "job")])
    elif words[:2] == ["-m", "verl.model_merger"]:  # tests/engine/test_export.py runs it.
        parse_merger(words[2:])
    else:  # tests/examples/test_examples.py runs them.
        assert (ROOT / words[0]).is_file(), f"expected a file of the project, got {words[0]}"


@cache
def extras_of(package: str) -> set[str]:
    return set(metadata.metadata(package).get_all("Provides-Extra") or ())


def install(words: list[str]) -> None:
    """`pip install ...`: nothing is installed; the packages have those extras, and a list that is named is there."""
    assert words[0] == "install"
    names = iter(words[1:])
    for word in names:
        if word in ("--override", "-r"):
            assert (ROOT / next(names)).is_file()
        elif not word.startswith("-"):
            wanted = Requirement(re.sub(r"^\.", "verl-vision-r1", word))
            assert wanted.extras <= extras_of(wanted.name), f"{word}: {wanted.name} has {extras_of(wanted.name)}"


def make(words: list[str]) -> None:
    done = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def parse_ray(words: list[str]) -> None:
    """`ray ...`: nothing is started; Ray knows the command and its options."""
    from ray.scripts.scripts import cli

    assert words[0] in cli.commands, f"expected a command of ray, got {words[0]}"
    cli.commands[words[0]].make_context(words[0], list(words[1:]))


def parse_merger(words: list[str]) -> None:
    """`python -m verl.model_merger ...`: verl knows the options."""
    from verl.model_merger.base_model_merger import parse_args

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["model_merger", *words])
        parse_args()


def parse_vllm(words: list[str]) -> None:
    """`vllm serve MODEL ...`: nothing is started; vLLM knows the options."""
    from vllm.entrypoints.openai.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    assert words[0] == "serve", f"expected a known command of vllm, got {words[0]}"
    make_arg_parser(FlexibleArgumentParser()).parse_args(words[1:])


KINDS: dict[str, Callable[[list[str], Path], None]] = {
    "vision-r1": lambda words, page: run_ours(words),
    "python": lambda words, page: run_python(words),
    "...": lambda words, page: compose_run(["+recipe=vision_r1_qwen7b", *STANDING_ON.get(page.name, ()), *words]),
    "bash": run_script,
    "pip": lambda words, page: install(words),
    "uv": lambda words, page: install(words[1:]),
    "make": lambda words, page: make(words),
    "ray": lambda words, page: parse_ray(words),
    "vllm": lambda words, page: parse_vllm(words),
}
"""What is done with a command, by its first word. A word that is not here fails."""


def bare(words: list[str]) -> tuple[str, ...]:
    """A command without the variables before it; nothing where there are only variables."""
    start = int(words[0] == "export")
    while start < len(words) and re.match(r"^[A-Z_]+=", words[start]):
        start += 1
    return tuple(words[start:])


@cache
def done(words: tuple[str, ...], page: Path) -> None:
    """Run a command, each once in a workspace."""
    assert words[0] in KINDS, f"expected a command of a known kind, got {shlex.join(words)}"
    KINDS[words[0]](list(words[1:]), page)


def run_block(block: Block, page: Path) -> None:
    for words in commands(block.text):
        command = bare(words)
        try:
            if command:
                done(command, page if command[0] in ("bash", "...") else ROOT)
        except (Exception, SystemExit) as error:
            raise AssertionError(f"{name_of(page)}:{block.line}: {shlex.join(words)}: {error}") from error


def run_code(block: Block, following: Block | None) -> None:
    """A block of Python runs, and prints what a block of text right behind it shows."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block.text, f"line {block.line}", "exec"), {"__name__": "page"})
    if following and following.language in ("text", "") and printed.getvalue():
        assert printed.getvalue().strip() == following.text.strip()


def look_at(block: Block, following: Block | None, page: Path) -> None:
    if block.language in ("bash", "indented"):
        run_block(block, page)
    elif block.language == "python":
        run_code(block, following)
    elif block.language == "yaml":
        assert yaml.safe_load(block.text)
    elif block.language == "json":
        assert [json.loads(line) for line in block.text.splitlines() if line.startswith("{")] or json.loads(block.text)
    elif is_overrides(block.text):
        run_block(Block(block.line, "text", "... " + shlex.join(overrides(block.text))), page)


@pytest.fixture
def registries() -> Iterator[None]:
    """The registries, as they were before a page."""
    before = [dict(registry) for registry in REGISTRIES]
    yield
    for registry, entries in zip(REGISTRIES, before, strict=True):
        registry.clear()
        registry.update(entries)


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_of_a_page_is_right(page: Path, workspace: Path) -> None:
    for file in ("train.parquet", "val.parquet"):  # As another page may have left others.
        shutil.copy(workspace / "asked" / file, workspace / "data" / file)
    found = blocks(page.read_text(encoding="utf-8"))
    for block, following in zip_longest(found, found[1:]):
        look_at(block, following, page)


@pytest.mark.parametrize("page", DOCS, ids=name_of)
def test_every_block_of_the_site_names_its_language(page: Path) -> None:
    assert {block.language for block in blocks(page.read_text(encoding="utf-8"))} <= set(LANGUAGES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rm -rf /", "known kind"),
        ("vision-r1 dance", "expected a command"),
        ("vision-r1 validate nowhere", "nowhere"),
        ("python -m verl.trainer.main_ppo +recipe=vision_r1_qwen8b", "vision_r1_qwen8b"),
        ("... vision_r1.reward.tasks.detection.criteria.recall.wait=2", "wait"),
        ("bash recipes/nothing/run.sh", "nothing"),
        ("make coffee", "coffee"),
        ("ray start --coffee", "coffee"),
        ("vllm serve MODEL --coffee", "coffee"),
        ("python -m verl.model_merger merge --coffee", "coffee"),
        ('pip install "verl-vision-r1[coffee]"', "coffee"),
        ("python examples/nothing.py", "nothing"),
    ],
)
def test_a_wrong_command_is_found(text: str, message: str, workspace: Path) -> None:
    with pytest.raises(AssertionError, match=message):
        run_block(Block(1, "bash", text), ROOT / "README.md")


def test_the_collector_sees_both_forms_and_leaves_lists_alone() -> None:
    page = "Say\n\n    make test  # all\n\n- a list\n\n    goes on\n\n```bash\nmake \\\n  lint\n```\n"
    page += "\n```text\na=1\n```\n"
    found = blocks(page)
    assert [(block.line, block.language) for block in found] == [(3, "indented"), (9, "bash"), (14, "text")]
    assert [words for block in found[:2] for words in commands(block.text)] == [["make", "test"], ["make", "lint"]]
    assert is_overrides(found[2].text)
    assert not is_overrides("total = 0.1 format")
    assert not is_overrides("three files: a=1")
