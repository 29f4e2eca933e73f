"""The matrix of versions: which cells it has, what goes into them, and how what came out is told."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import environments
import matrix
import pytest
import versions_page
from cells import PINNED, ROOT, SETS, Cell, cells, named, pinned, releases_in
from development import version_of, wheel_of
from packaging.version import Version

REPORT = """<testsuites><testsuite>
<testcase classname="a" name="right"/>
<testcase classname="a" name="wrong"><failure/></testcase>
<testcase classname="a" name="broken"><error/></testcase>
<testcase classname="a" name="left"><skipped/></testcase>
</testsuite></testsuites>"""
PAGE = """before

| verl | Python | set | torch |
|---|---|---|---|
| 0.9.0 | 3.11 | pinned | kept |
| 0.9.1 | 3.11 | newest | replaced |

after
"""
CELL = Cell("0.9.1", "newest", "3.11")


def test_every_release_of_the_range_gets_every_set_and_every_python_the_newest() -> None:
    names = {cell.name for cell in cells(["0.9.0", "0.9.1"])}
    assert names >= {f"{verl}-{packages}-3.11" for verl in ("0.9.0", "0.9.1") for packages in SETS}
    assert names >= {"0.9.1-newest-3.10", "0.9.1-newest-3.12"}
    assert len(names) == 8


def test_releases_are_sorted_as_versions_and_those_outside_left_out() -> None:
    listing = "verl (0.9.10)\nAvailable versions: 0.10.0, 0.9.10, 0.9.2, 0.9.0, 0.8.0\n  INSTALLED: 0.9.1"
    assert releases_in(listing, ">=0.9,<0.10") == ["0.9.0", "0.9.2", "0.9.10"]


def test_the_pinned_set_has_a_version_for_every_column_of_the_table() -> None:
    found = pinned(PINNED.read_text(encoding="utf-8").splitlines())
    assert set(found) >= {*versions_page.ASKED, *environments.OVERRIDDEN}
    assert "verl" not in found


def test_every_path_that_is_tested_is_there() -> None:
    assert all((ROOT / path).exists() for path in matrix.TESTS)


def test_an_interpreter_that_is_not_installed_is_named() -> None:
    with pytest.raises(ValueError, match=r"expected an installed Python 3\.99, found none"):
        environments.interpreter("3.99")


@pytest.mark.process
def test_what_cannot_be_resolved_is_said_in_uvs_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\necho no solution >&2\nexit 1\n")
    uv.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ValueError, match=r"0\.9\.1-newest-3\.11: uv finds no versions .*\n.*no solution"):
        environments.versions_of(CELL)


def test_a_report_is_counted_and_what_failed_is_named() -> None:
    assert matrix.counted(REPORT) == {"passed": 1, "failed": 2, "skipped": 1, "failures": ["a::wrong", "a::broken"]}


def failing(cell: Cell, versions: Mapping[str, str], folder: Path) -> Path:
    folder.mkdir(parents=True)
    raise ChildProcessError("uv pip: no space left")


def test_a_cell_that_cannot_be_installed_is_a_result_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrix, "BUILD", tmp_path)
    monkeypatch.setattr(matrix, "versions_of", lambda cell: {"torch": "2.13.0"})
    monkeypatch.setattr(matrix, "make_environment", failing)
    result = matrix.run_cell(CELL)
    assert result["error"] == "uv pip: no space left"
    assert matrix.is_wrong(result)
    assert not list(tmp_path.iterdir())
    assert "| 0.9.1 | 3.11 | newest | - |" in versions_page.table([result])


@pytest.mark.parametrize(
    ("change", "wrong"),
    [({}, False), ({"failed": 1}, True), ({"doctor": "verl: 0.8"}, True), ({"trained": "no"}, True)],
)
def test_a_cell_is_right_only_if_everything_in_it_is(change: dict[str, object], wrong: bool) -> None:
    assert matrix.is_wrong({"passed": 9, "failed": 0, "doctor": "ok", **change}) == wrong


def test_the_page_gets_the_results_and_keeps_the_lines_of_other_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions_page, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(matrix, "BUILD", tmp_path)
    versions_page.PAGE.write_text(PAGE)
    for verl, packages in (("0.10.0.dev0+1dda039b9", "newest"), ("0.9.1", "newest"), ("0.9.1", "oldest")):
        result = {"verl": verl, "Python": "3.11", "set": packages, "passed": 3}
        (tmp_path / f"{verl}-{packages}.json").write_text(json.dumps(result))
    versions_page.write_page(matrix.results_so_far())
    lines = versions_page.PAGE.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    cells_of = [tuple(line.split(" | ")[0:3]) for line in lines if line.startswith("| 0.")]
    assert cells_of == [
        ("| 0.9.0", "3.11", "pinned"),
        ("| 0.9.1", "3.11", "oldest"),
        ("| 0.9.1", "3.11", "newest"),
        ("| 0.10.0.dev0+1dda039b9", "3.11", "newest"),
    ]
    assert "| 0.9.0 | 3.11 | pinned | kept |" in lines
    assert "| 0.9.1 | 3.11 | newest | replaced |" not in lines


def test_the_page_of_the_project_has_the_columns_of_the_table() -> None:
    page = (ROOT / "docs" / "development" / "versions.md").read_text(encoding="utf-8")
    assert versions_page.table([]).splitlines()[0] in page


# A verl that is not released.


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder as a checkout of verl, without commits."""
    (tmp_path / "verl" / "version").mkdir(parents=True)
    (tmp_path / "verl" / "version" / "version").write_text("0.10.0.dev\n")
    return tmp_path


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


@pytest.mark.process
def test_a_folder_has_its_version_and_a_checkout_its_commit(checkout: Path) -> None:
    assert version_of(checkout) == "0.10.0.dev0"
    git(checkout, "init")
    git(checkout, "add", ".")
    git(checkout, "commit", "-m", "first")
    assert re.fullmatch(r"0\.10\.0\.dev0\+[0-9a-f]{9}", version_of(checkout))
    (checkout / "verl" / "version" / "version").write_text("0.10.0.dev1\n")
    assert re.fullmatch(r"0\.10\.0\.dev1\+[0-9a-f]{9}\.changed", version_of(checkout))
    Version(version_of(checkout))


def test_a_wheel_is_taken_as_it_is(tmp_path: Path) -> None:
    wheel = tmp_path / "verl-0.10.0.dev0-py3-none-any.whl"
    wheel.write_bytes(b"")
    assert version_of(wheel) == "0.10.0.dev0"
    assert wheel_of(wheel, tmp_path / "elsewhere") == wheel
    (cell,) = named(["pinned-3.11"], cells([version_of(wheel)], wheel=wheel))
    assert cell.requirement == f"verl @ file://{wheel}"


@pytest.mark.parametrize("name", ["", "missing", "notes.txt", "torch-2.11.0-py3-none-any.whl"])
def test_a_path_that_is_neither_is_an_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in ("notes.txt", "torch-2.11.0-py3-none-any.whl"):
        (tmp_path / file).write_text("")
    monkeypatch.setattr(matrix, "BUILD", tmp_path / "build")
    monkeypatch.setattr(sys, "argv", ["matrix.py", "--verl", str(tmp_path / name)])
    with pytest.raises(SystemExit, match="2"):
        matrix.main()
    expected = "VERL: expected a folder with verl/version/version, as a checkout of verl has it, or a wheel"
    assert expected in " ".join(capsys.readouterr().err.split())


@pytest.mark.process
def test_a_wheel_is_built_from_a_copy(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\necho no setup.py >&2\nexit 1\n")
    uv.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ChildProcessError, match=f"uv build {checkout}: no setup.py"):
        wheel_of(checkout, tmp_path / "wheels")


def test_an_unknown_cell_is_named() -> None:
    with pytest.raises(ValueError, match=r"expected some of 0\.9\.1-oldest-3\.11, .*, got 0\.9\.1-newer-3\.11"):
        named(["0.9.1-newer-3.11"], cells(["0.9.1"]))
