"""Every example runs, and the README shows one of them with what it prints."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[2]
TEACHING = ROOT / "examples" / "teach_the_demo_model.py"
EXAMPLES = sorted({*(ROOT / "examples").glob("*.py")} - {TEACHING})


def run(path: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(path), *arguments], capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_runs_and_prints(path: Path) -> None:
    assert run(path).strip()


@pytest.mark.verl
def test_the_demo_model_is_made_by_its_script(tmp_path: Path) -> None:
    run(TEACHING, str(tmp_path), "--ability-steps", "4", "--habit-steps", "2")
    measured = json.loads((tmp_path / "measured.json").read_text(encoding="utf-8"))
    for stage in ("ability", "start"):
        assert measured[stage] == {"scenes": 256, "F1_50": 0, "F1": 0, "predicted": 0, "objects": 1.82031}
    shipped = ROOT / "verl_vision_r1" / "demo" / "model"
    assert {path.name for path in (tmp_path / "start").iterdir()} == {path.name for path in shipped.iterdir()}
    assert (tmp_path / "start" / "tokenizer.json").read_text() == (shipped / "tokenizer.json").read_text()


@pytest.mark.verl
def test_the_demo_model_sees_a_little_and_says_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TEACHING.parent))
    from teach_the_demo_model import measure

    found = measure(ROOT / "verl_vision_r1" / "demo" / "model", scenes=64)
    assert 0.4 < found["F1_50"] < 0.6
    assert 0.2 < found["F1"] < 0.4
    assert found["predicted"] < 0.75 * found["objects"]


def test_readme_shows_the_first_example_and_its_output() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    example = ROOT / "examples" / "score_an_answer.py"
    code = example.read_text(encoding="utf-8").split("\n\n", maxsplit=1)[1].strip()
    assert code in readme
    assert run(example).strip() in readme
