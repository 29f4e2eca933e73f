"""A verl that is not released: from a folder or a wheel."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

VERSION: Final = Path("verl", "version", "version")
LEFT_OUT: Final = shutil.ignore_patterns(".git", "build", "dist", "*.egg-info", "__pycache__")


def version_of(path: Path) -> str:
    """The version of a verl, with the commit of a checkout as its local part.

    Args:
        path: A folder with verl's source, or a wheel.

    Raises:
        ValueError: It is neither.
    """
    from packaging.utils import parse_wheel_filename
    from packaging.version import Version

    if path.is_file() and re.fullmatch(r"verl-[^-]+-[^-]+-[^-]+-[^-]+\.whl", path.name):
        return str(parse_wheel_filename(path.name)[1])
    if not (path / VERSION).is_file():
        raise ValueError(
            f"VERL: expected a folder with {VERSION.as_posix()}, as a checkout of verl has it, or a wheel"
            f" verl-VERSION-py3-none-any.whl, got {path}"
        )
    version, commit = Version((path / VERSION).read_text(encoding="utf-8")), _commit(path)
    return f"{version}+{commit}" if commit else str(version)


def _commit(folder: Path) -> str:
    """The commit of a checkout, with `.changed` if files differ from it; empty for another folder."""
    if not (folder / ".git").exists():
        return ""
    asked = ["git", "-C", str(folder), "describe", "--always", "--exclude=*", "--abbrev=9", "--dirty=.changed"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def wheel_of(path: Path, folder: Path) -> Path:
    """A wheel of a verl: the wheel itself, or one that is built from a copy of the folder.

    Args:
        path: A folder with verl's source, or a wheel.
        folder: Where to put a wheel that is built.

    Raises:
        ChildProcessError: It cannot be built; with uv's message.
    """
    if path.is_file():
        return path.resolve()
    with tempfile.TemporaryDirectory() as place:
        copy = shutil.copytree(path, Path(place) / "verl", ignore=LEFT_OUT)
        command = ["uv", "build", "--quiet", "--wheel", "--no-sources", "--out-dir", str(folder), str(copy)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChildProcessError(f"uv build {path}: {done.stderr.strip()}")
    return max(folder.glob("verl-*.whl"), key=lambda wheel: wheel.stat().st_mtime).resolve()
