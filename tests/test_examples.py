"""Every example runs, and the README shows one of them with what it prints."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(path: Path) -> str:
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_runs_and_prints(path: Path) -> None:
    assert run(path).strip()


def test_readme_shows_the_first_example_and_its_output() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    example = ROOT / "examples" / "score_an_answer.py"
    code = example.read_text(encoding="utf-8").split("\n\n", maxsplit=1)[1].strip()
    assert code in readme
    assert run(example).strip() in readme
