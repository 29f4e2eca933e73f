"""What importing costs: the arithmetic needs numpy and scipy, the package itself nothing."""

import json
import subprocess
import sys

import pytest

HEAVY = {"torch", "verl", "ray", "transformers", "vllm", "hydra", "omegaconf", "pyarrow", "PIL"}


def loaded_by(statement: str) -> set[str]:
    code = f"import json, sys\n{statement}\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "module", ["boxes", "frames", "answers", "matching", "criteria", "scoring", "explanation", "api"]
)
def test_the_arithmetic_imports_nothing_heavy(module: str) -> None:
    assert not loaded_by(f"import verl_vision_r1.{module}") & HEAVY


def test_the_package_alone_imports_nothing() -> None:
    assert not loaded_by("import verl_vision_r1") & (HEAVY | {"numpy", "scipy", "yaml"})


def test_an_unknown_name_is_an_attribute_error() -> None:
    import verl_vision_r1

    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = verl_vision_r1.nonsense
