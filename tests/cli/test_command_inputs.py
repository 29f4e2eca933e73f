"""Files of any form: every command that scores, compares or reports ends well, or with one line that says why."""

import copy
import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import prediction_lines
import pytest
import yaml
from run_on_disk import CURRICULUM
from typer.testing import CliRunner, Result

from verl_vision_r1 import Target
from verl_vision_r1.cli import app
from verl_vision_r1.rewards.presets import read_preset

SECONDS = 0.8
"""For each kind of file."""
TARGET = Target([[10, 10, 60, 60], [5, 5, 90, 90]], ["cat", "dog"], 100, 100, ("cat", "dog"))
COMPLETION = json.dumps([{"bbox_2d": [100, 100, 600, 600], "label": "cat"}])
LINE = prediction_lines.line(TARGET, COMPLETION) | {"total": 1.0, "recall": 0.5, "recall_raw": 0.5}
CASE = {
    "id": "one",
    "completion": COMPLETION,
    "target": {"width": 100, "height": 100, "input_width": 100, "input_height": 100, "boxes": [[0, 0, 50, 50]]},
    "params": {"stage": "off"},
    "expected": {"format": 1, "recall": 1.0, "total": 3.0},
}
EVALUATE = ["evaluate", "0.jsonl", "--protocol", "plain", "--partial", "--no-figures", "--annotations"]
COCO = {
    "images": [{"id": 1, "file_name": "1.jpg", "width": 100, "height": 100}],
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 50, 50], "area": 2500, "iscrowd": 0}],
}
SAMPLE = {
    "data_source": "coco/detection",
    "prompt": [{"role": "user", "content": "<image>Where?"}],
    "images": [{"image": "1.jpg", "min_pixels": 3136, "max_pixels": 401408}],
    "ability": "detection",
    "reward_model": {"style": "rule", "ground_truth": TARGET.to_json()},
    "extra_info": {"split": "val", "index": 0, "image_id": "1", "question": "categories", "subject": ""},
}
RUN = {
    "kind": "training",
    "total_steps": 4,
    "samples": [],
    "vision_r1": {"reward": read_preset("robust"), "curriculum": CURRICULUM},
}
ODD: list[Any] = [
    *(None, True, 0, -1, 2, 0.5, 10**400, -(10**400), 2**63, 1e308, float("inf"), float("nan"), "", "x" * 10_000),
    *(
        "\x1b[31m",
        "\ud800",
        "[/]",
        "a:b",
        "../../x",
        "\0",
        [],
        {},
        [[]],
        [{}],
        {"a": 1},
        {"": []},
        [1, 2, 3, 4],
        [None],
    ),
]
TEXTS = [
    "[" * 100_000,
    "{" * 100_000,
    "",
    "null",
    "7",
    "[]",
    "{}",
    "\ufeff",
    "9" * 5000,
    '{"a": NaN}',
    "a: *b",
    "\x00",
]


def changed(document: Any, generator: random.Random) -> Any:
    """A document with one to three odd values, missing keys or odd keys."""
    document = copy.deepcopy(document)
    for _ in range(generator.choice((1, 1, 2, 3))):
        parent, key = generator.choice(list(places({"": document}, None)))
        change, value = generator.randrange(6), copy.deepcopy(generator.choice(ODD))
        if parent is None:
            return value
        if change == 0:
            del parent[key]
        elif change == 1 and isinstance(parent, dict):
            parent[generator.choice(("x", "", "\x1b[31m", "__proto__", "function"))] = value
        elif change == 2 and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[key]))
        else:
            parent[key] = value
    return document


def places(container: Any, top: Any) -> Iterator[tuple[Any, Any]]:
    """Every container and key in a document; None for the document itself."""
    items = list(container.items()) if isinstance(container, dict) else list(enumerate(container))
    for key, value in items:
        yield (None, None) if top is None else (container, key)
        if isinstance(value, dict | list):
            yield from places(value, container)


def as_text(document: Any, generator: random.Random, dump: Callable[[Any], str]) -> str:
    """A changed document as text, sometimes cut, or with other characters in it."""
    if generator.random() < 0.05:
        return generator.choice(TEXTS)
    text = dump(changed(document, generator))
    place = generator.randrange(len(text) + 1)
    return {
        0: text[:place],
        1: text[:place] + generator.choice(("\x1b", "\0", "9" * 400, "[", '"', "{", ",")) + text[place:],
    }.get(generator.randrange(12), text)


def dumped_yaml(document: Any) -> str:
    return yaml.safe_dump(document, allow_unicode=True)


def checked(result: Result) -> None:
    """The command ended well, or with one printable line."""
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in (0, 1)
    if result.exit_code == 1 and not result.stdout:
        (line,) = result.stderr.splitlines()
        assert line.startswith("error: ")
        assert line.isprintable()
        assert len(line) < 2000


def one_of(document: Any) -> Callable[[random.Random], bytes]:
    """One JSON document."""
    return lambda generator: encoded(as_text(document, generator, json.dumps))


def lines_of(document: Any) -> Callable[[random.Random], bytes]:
    """JSON lines, of which one is changed."""
    good = json.dumps(document)
    return lambda generator: encoded(f"{good}\n{as_text(document, generator, json.dumps)}\n{good}\n")


def yaml_of(document: Any) -> Callable[[random.Random], bytes]:
    return lambda generator: encoded(as_text(document, generator, dumped_yaml))


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


KINDS: dict[str, tuple[str, Callable[[random.Random], bytes], list[str]]] = {
    "score a target": ("t.json", one_of(json.loads(TARGET.to_json())), ["score", COMPLETION, "--target", "t.json"]),
    "score lines": (
        "s.jsonl",
        lines_of({"completion": COMPLETION, "target": json.loads(TARGET.to_json()), "frame": "100x100", "image": "a"}),
        ["score", "--from", "s.jsonl", "--json"],
    ),
    "score a rollout": ("s.jsonl", lines_of(LINE), ["score", "--from", "s.jsonl", "--line", "2", "--draw", "d.png"]),
    "score a preset": (
        "p.yaml",
        yaml_of(read_preset("visual_rft")),
        ["score", COMPLETION, "--target", TARGET.to_json(), "--preset", "p.yaml"],
    ),
    "attacks": ("p.yaml", yaml_of(read_preset("vision_r1_release_2025")), ["attacks", "--preset", "p.yaml", "--json"]),
    "conformance": ("c.json", one_of({"source": "x", "cases": [CASE, CASE]}), ["conformance", "c.json"]),
    "evaluate predictions": ("0.jsonl", lines_of(LINE), [*EVALUATE, "coco.json"]),
    "evaluate annotations": ("coco.json", one_of(COCO), [*EVALUATE, "coco.json"]),
    "evaluate samples": ("samples.jsonl", lines_of(SAMPLE), [*EVALUATE, "samples.jsonl"]),
    "evaluate a category list": (
        "list.json",
        one_of({"1": ["cat", "dog"]}),
        [*EVALUATE, "coco.json", "--category-list", "list.json"],
    ),
    "report a run file": ("run.yaml", yaml_of(RUN), ["report", "."]),
    "report rollouts": ("1.jsonl", lines_of(LINE | {"step": 1}), ["report", "."]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_file_ends_in_at_most_one_line(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from verl_vision_r1.report import writer

    # The bundles of the page take most of the time, and do not depend on the files.
    monkeypatch.setattr(writer, "render", lambda document: json.dumps(document, allow_nan=False))
    monkeypatch.chdir(tmp_path)
    name, make, command = KINDS[kind]
    folder = tmp_path if command[0] != "report" else tmp_path / "rollouts"
    folder.mkdir(exist_ok=True)
    good = json.dumps(LINE | {"question": "category", "subject": "cat"} if "list" in kind else LINE)
    files = {"report": {"1.jsonl": good}, "evaluate": {"0.jsonl": good, "coco.json": json.dumps(COCO)}}
    for other, text in files.get(command[0], {}).items():
        (folder / other).write_text(text)
    generator, end, count = random.Random(kind), time.monotonic() + SECONDS, 0
    while time.monotonic() < end or count < 10:
        content = make(generator)
        (folder / name).write_bytes(content)
        try:
            checked(CliRunner().invoke(app, command))
        except Exception as error:
            raise AssertionError(f"{kind}, file {count}: {content[-3000:]!r}") from error
        count += 1


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["attacks", "--policies", "--preset", "p.yaml"], "--policies: expected presets for detection, got p.yaml"),
        (["attacks", "--preset", "p.yaml"], "preset: expected rules for one of counting, got task 'detection'"),
        (["attacks", "--preset", "."], "vision_r1/reward: expected one of"),
        (["conformance", "."], "expected a regular file, got a folder"),
        (["report", "p.yaml"], "p.yaml: expected the folder of a run"),
    ],
)
def test_a_file_for_another_purpose_is_refused(
    command: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    task = {"parser": "tagged_text", "matcher": "none", "criteria": {"count": {"weight": 1}}}
    Path("p.yaml").write_text(yaml.safe_dump({"tasks": {"counting": task}}))
    result = CliRunner().invoke(app, command)
    checked(result)
    assert result.exit_code == 1
    assert message in result.stderr


HOSTILE = "[/]x\x1b[31m\x1b]0;t\x07\u202e\n.yaml"


@pytest.mark.parametrize(
    "command",
    [
        ["score", COMPLETION, "--target", TARGET.to_json(), "--preset", HOSTILE],
        ["score", "--from", HOSTILE],
        ["score", COMPLETION, "--target", HOSTILE],
        ["score", COMPLETION, "--target", TARGET.to_json(), "--frame", HOSTILE],
        ["attacks", "--preset", HOSTILE],
        ["attacks", "--curriculum", HOSTILE],
        ["conformance", HOSTILE],
        ["evaluate", HOSTILE, "--annotations", "coco.json", "--protocol", "plain"],
        ["evaluate", "0.jsonl", "--annotations", HOSTILE, "--protocol", HOSTILE],
        ["report", HOSTILE],
    ],
)
def test_names_cannot_control_the_terminal(command: list[str]) -> None:
    result = CliRunner().invoke(app, command)
    checked(result)
    assert result.exit_code == 1


@pytest.mark.parametrize("command", [["score", "--stage", HOSTILE], ["report", "--limit", HOSTILE], [HOSTILE]])
def test_wrong_usage_with_markup_is_no_exception(command: list[str]) -> None:
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)


def test_labels_and_criteria_cannot_control_the_terminal(tmp_path: Path) -> None:
    label = "[/]x\x1b[31m\x9b\u202e"
    target = Target([[10, 10, 60, 60]], [label], 100, 100, (label,))
    criterion = {f"{label}{'x' * 40}": {"function": "recall", "weight": 1}}
    config = {"tasks": {"detection": {"parser": "json_boxes", "matcher": "assignment", "criteria": criterion}}}
    preset = tmp_path / "own.yaml"
    preset.write_text(yaml.safe_dump(config))
    lines = tmp_path / "lines.jsonl"
    text = json.dumps([{"bbox_2d": [10, 10, 60, 60], "label": label}], ensure_ascii=False)
    lines.write_text(json.dumps({"completion": text, "target": json.loads(target.to_json())}) + "\n")
    one = ["score", "--from", str(lines), "--preset", str(preset)]
    for command in (one, [*one, "--line", "1"], [*one, "--json"], ["attacks", "--preset", str(preset)]):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0
        assert all(line.isprintable() for line in result.output.split("\n"))
        assert "[/]x" in result.output or command[0] == "attacks"
