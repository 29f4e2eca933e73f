"""Whatever is in a file, `prepare`, `validate`, `view` and `convert` end with a result or with a one-line error."""

import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from budget import budget
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from random_sets import WRITERS, Object
from small_sets import coco_document, write_coco, write_image, write_images, write_json, write_lines
from typer.testing import CliRunner

from verl_vision_r1.cli import app
from verl_vision_r1.data.parquet import schema

DEEP: list[Any] = []
for _ in range(100):
    DEEP = [DEEP]
VALUES: list[Any] = [
    *(None, True, 0, -1, 2**63, 10**400, 1.5, 1e308, float("inf"), float("nan"), "", "1", "x" * 5000, "\ud800"),
    *("../../etc/passwd", "/etc/hostname", "http://x/y.jpg", "_", "\x1b[31m", "a\0b", [], {}, [[]], [1, 2, 3, 4]),
    *({"a": 1}, DEEP),
]
TEXTS = [
    *("<", "&a;", "]]>", "inf", "nan", "1e400", "\0", "\ufeff", " ", "\n", "9" * 400, "<a>" * 200, "[" * 3000, "*a"),
    *("&a", 'encoding="x"', "encoding='utf-16'", "- ", ": ", "!!bool x", "!!python/object:os.system x", "{", '"'),
]


def changed(document: Any, generator: random.Random) -> Any:
    """A copy of a JSON document with up to three values replaced, removed or repeated."""
    for _ in range(generator.choice((1, 1, 2, 3))):
        places = list(_places(document, ()))
        *path, key = generator.choice(places) or (None,)
        if key is None:
            document = generator.choice(VALUES) if generator.random() < 0.3 else document
            continue
        parent = document
        for step in path:
            parent = parent[step]
        if generator.random() < 0.2:
            del parent[key]
        else:
            parent[key] = json.loads(json.dumps(generator.choice(VALUES)))
    return document


def _places(document: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(document, dict | list):
        for key in document if isinstance(document, dict) else range(len(document)):
            yield from _places(document[key], (*path, key))


def damage(path: Path, generator: random.Random) -> None:
    """Change a file: the values of JSON, otherwise its text or bytes."""
    text = path.read_bytes().decode("latin-1")
    if path.suffix in (".json", ".jsonl") and generator.random() < 0.8:
        lines = path.suffix == ".jsonl"
        document = changed([json.loads(line) for line in text.splitlines()] if lines else json.loads(text), generator)
        entries = document if lines and isinstance(document, list) else [document]
        text = "\n".join(map(json.dumps, entries))
    else:
        for _ in range(generator.choice((1, 2, 5))):
            place = generator.randrange(len(text) + 1)
            text = text[:place] + generator.choice(TEXTS) + text[place + generator.choice((0, 1, 9)) :]
    path.write_bytes(text.encode("utf-8", "surrogatepass"))


def expect_a_result_or_one_line(*arguments: Any) -> None:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    lines = [line for line in result.stderr.splitlines() if not line.startswith("defect: ") and "%|" not in line]
    assert result.exit_code in (0, 1)
    if result.exit_code == 1 and arguments[0] != "validate":
        assert len(lines) == 1, result.stderr
        assert lines[0].startswith("error: ")
    assert max(map(len, result.stderr.splitlines()), default=0) < 3000


OBJECTS = [Object(index % 5, "cat", index % 6, index) for index in range(12)]
FUZZ: dict[str, Any] = {"suppress_health_check": [HealthCheck.too_slow]}
SEEDS = st.integers(0, 2**32)


@pytest.mark.parametrize("case", WRITERS)
@budget(12, **FUZZ)
@given(seed=SEEDS)
def test_damaged_annotations(case: str, seed: int) -> None:
    generator, (name, write) = random.Random(seed), WRITERS[case]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "set")
        write(source, OBJECTS, False)
        files = sorted(path for path in source.rglob("*") if path.is_file() and path.suffix != ".jpg")
        for path in generator.sample(files, min(len(files), 2)):
            damage(path, generator)
        how = generator.choice(["--skip-bad", "--skip-bad", "--strict"])
        ask = generator.choice(["categories", "category", "count", "referring", "class"])
        arguments = ("prepare", name, "--source", source, "--out", Path(folder, "out"), how, "--ask", ask)
        expect_a_result_or_one_line(*arguments, *generator.choice([[], ["--clip"], ["--keep-empty"], ["--json"]]))


TURNS = [{"from": "human", "value": "<image>Where?"}, {"from": "gpt", "value": "[1, 2, 10, 12]"}]
MESSAGES = [{"role": "user", "content": "<image>Find <ref-object>"}, {"role": "assistant", "content": "<bbox>"}]
SHAPES = [{"label": "target", "shape_type": "polygon", "points": [[1, 2], [3, 4], [9, 2]]}]
CLEVR = [{"image_filename": "000.jpg", "question": "How many?", "answer": "3"}]
OTHERS: dict[str, tuple[str, Any]] = {
    "vlm_r1": ("a.jsonl", [{"image": "000.jpg", "conversations": TURNS}]),
    "easyr1": ("a.json", [{"images": ["000.jpg"], "problem": "<image>?", "answer": {"bbox_2d": [1, 2, 3, 4]}}]),
    "swift": (
        "a.jsonl",
        [{"messages": MESSAGES, "images": ["000.jpg"], "objects": {"ref": ["a"], "bbox": [[1, 2, 10, 12]]}}],
    ),
    "lisa": ("train/000.json", {"text": ["a"], "is_sentence": False, "shapes": SHAPES}),
    "clevr": ("questions/CLEVR_train_questions.json", {"questions": CLEVR}),
    "pixmo_count": ("train.jsonl", [{"image_url": "https://x/000.jpg", "label": "p", "count": 3}]),
    "imagefolder": ("labels.json", {"cat": "Cat", "dog": "Dog"}),
}


@pytest.mark.parametrize("name", OTHERS)
@budget(12, **FUZZ)
@given(seed=SEEDS)
def test_damaged_questions(name: str, seed: int) -> None:
    generator, (file, document) = random.Random(seed), OTHERS[name]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "set")
        for place in (".", "train", "images/train", "cat", "dog"):
            write_images(source / place, 1)
        path = write_lines(source / file, *document) if file[-1] == "l" else write_json(source / file, document)
        damage(path, generator)
        expect_a_result_or_one_line("prepare", name, "--source", source, "--out", Path(folder, "out"), "--skip-bad")


MIX = """parts:
  - {name: coco, source: coco, max_samples: 3, hard_fraction: 0.5, clip: true, difficulty_range: [0, 1], split: null}
"""


@budget(12, **FUZZ)
@given(seed=SEEDS)
def test_damaged_mixes_and_lists(seed: int) -> None:
    generator = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        source, mix = write_coco(Path(folder, "coco"), coco_document()), Path(folder, "mix.yaml")
        mix.write_text(MIX)
        scores = write_json(Path(folder, "scores.json"), {"000": 0.5, "001": 0.7})
        names = write_json(Path(folder, "names.json"), {"000": ["dog"], "001": []})
        for path in (mix, scores, names):
            damage(path, generator)
        out = ("--out", Path(folder, "out"))
        expect_a_result_or_one_line("prepare", "mix", "--source", mix, *out)
        expect_a_result_or_one_line("prepare", "coco", "--source", source, "--difficulty", scores, *out)
        asked = ("--ask", "category", "--category-list", names)
        expect_a_result_or_one_line("prepare", "coco", "--source", source, *asked, *out)


def row(image: Path) -> dict[str, Any]:
    target = {"task": "detection", "boxes": [[1, 2, 10, 12]], "labels": ["cat"], "categories": ["cat", "dog"]}
    return {
        "data_source": "x/detection",
        "prompt": [{"role": "user", "content": "<image>Find"}],
        "images": [{"image": str(image), "min_pixels": 100, "max_pixels": 1000}],
        "ability": "detection",
        "reward_model": {"style": "rule", "ground_truth": {**target, "width": 40, "height": 30}},
        "extra_info": {"split": "train", "index": 0, "image_id": "1", "question": "categories", "subject": ""},
    }


@budget(30, **FUZZ)
@given(seed=SEEDS)
def test_damaged_samples(seed: int) -> None:
    generator = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        samples = [row(write_image(Path(folder, "a.jpg")))]
        truth = changed(samples[0]["reward_model"].pop("ground_truth"), generator)
        samples[0]["reward_model"]["ground_truth"] = json.dumps(truth)
        samples = changed(samples, generator) if generator.random() < 0.5 else samples
        file = Path(folder, "set", "train.jsonl")
        write_lines(file, *(samples if isinstance(samples, list) else [samples]))
        try:
            pq.write_table(pa.Table.from_pylist(samples), file.with_name("val.parquet"))
        except (pa.ArrowException, TypeError, AttributeError, ValueError, OverflowError):
            pq.write_table(pa.table({"other": [1]}), file.with_name("val.parquet"))
        if generator.random() < 0.3:
            data = bytearray(file.with_name("val.parquet").read_bytes())
            for _ in range(5):
                data[generator.randrange(len(data))] = generator.randrange(256)
            file.with_name("val.parquet").write_bytes(bytes(data))
        for path in (file, file.with_name("val.parquet")):
            expect_a_result_or_one_line("validate", path, *generator.choice([[], ["--json"]]))
            expect_a_result_or_one_line("view", path, "--out", Path(folder, "view"))
            to = generator.choice(["swift", "easyr1"])
            expect_a_result_or_one_line("convert", path, "--to", to, "--out", Path(folder, "there.jsonl"))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.parquet", b"no parquet", "expected a parquet file, got one that cannot be read"),
        ("a.parquet", b"", "expected a parquet file, got one that cannot be read"),
        ("a.jsonl", b"", "expected a JSON object on each line, got no such line"),
        ("a.jsonl", b"\n\n", "expected a JSON object on each line, got no such line"),
        ("a.jsonl", b"[" * 100_000, "expected a JSON object, got"),
        ("a.jsonl", b'{"a": 1}', "expected the key 'data_source', got only"),
    ],
)
def test_a_file_without_samples_is_a_defect(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    result = CliRunner().invoke(app, ["validate", str(tmp_path)])
    assert (result.exit_code, message in result.stdout.replace("\n", " ")) == (1, True)
    expect_a_result_or_one_line("view", tmp_path)


def test_a_parquet_file_of_other_columns_or_no_rows_is_a_defect(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    result = CliRunner().invoke(app, ["validate", str(tmp_path)])
    assert (result.exit_code, "expected the columns" in result.stdout) == (1, True)
    pq.write_table(schema().empty_table(), tmp_path / "a.parquet")
    result = CliRunner().invoke(app, ["validate", str(tmp_path)])
    assert (result.exit_code, "expected at least one sample, got none" in result.stdout) == (1, True)
    expect_a_result_or_one_line("view", tmp_path)
    assert not (tmp_path / "view").exists()
