"""The matrix of versions: which cells it has, what goes into them, and how what came out is told."""

import json
from collections.abc import Mapping
from pathlib import Path

import environments
import matrix
import pytest
from cells import PINNED, ROOT, Cell, cells, pinned, releases_in

REPORT = """<testsuites><testsuite>
<testcase classname="a" name="right"/>
<testcase classname="a" name="wrong"><failure/></testcase>
<testcase classname="a" name="broken"><error/></testcase>
<testcase classname="a" name="left"><skipped/></testcase>
</testsuite></testsuites>"""
PAGE = "before\n\n| verl | old |\n|---|---|\n| 0 | 1 |\n\nafter\n"
CELL = Cell("0.9.1", "newest", "3.11")


def test_every_release_of_the_range_gets_every_set_and_every_python_the_newest() -> None:
    names = {cell.name for cell in cells(["0.9.0", "0.9.1"])}
    assert names >= {f"{verl}-{packages}-3.11" for verl in ("0.9.0", "0.9.1") for packages in matrix.SETS}
    assert names >= {"0.9.1-newest-3.10", "0.9.1-newest-3.12"}
    assert len(names) == 8


def test_releases_are_sorted_as_versions_and_those_outside_left_out() -> None:
    listing = "verl (0.9.10)\nAvailable versions: 0.10.0, 0.9.10, 0.9.2, 0.9.0, 0.8.0\n  INSTALLED: 0.9.1"
    assert releases_in(listing, ">=0.9,<0.10") == ["0.9.0", "0.9.2", "0.9.10"]


def test_the_pinned_set_has_a_version_for_every_column_of_the_table() -> None:
    found = pinned(PINNED.read_text(encoding="utf-8").splitlines())
    assert set(found) >= {*matrix.ASKED, *environments.OVERRIDDEN}
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
    assert "| 0.9.1 | 3.11 | newest | - |" in matrix.table([result])


@pytest.mark.parametrize(
    ("change", "wrong"),
    [({}, False), ({"failed": 1}, True), ({"doctor": "verl: 0.8"}, True), ({"trained": "no"}, True)],
)
def test_a_cell_is_right_only_if_everything_in_it_is(change: dict[str, object], wrong: bool) -> None:
    assert matrix.is_wrong({"passed": 9, "failed": 0, "doctor": "ok", **change}) == wrong


def test_the_page_gets_the_table_of_all_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(matrix, "BUILD", tmp_path)
    matrix.PAGE.write_text(PAGE)
    for verl in ("0.9.1", "0.9.0"):
        result = {"verl": verl, "Python": "3.11", "set": "newest", "passed": 3}
        (tmp_path / f"{verl}.json").write_text(json.dumps(result))
    matrix.write_page(matrix.results_so_far())
    lines = matrix.PAGE.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    assert [line[:9] for line in lines if line.startswith("| 0.9")] == ["| 0.9.0 |", "| 0.9.1 |"]


def test_the_page_of_the_project_has_the_columns_of_the_table() -> None:
    page = (ROOT / "docs" / "development" / "versions.md").read_text(encoding="utf-8")
    assert matrix.table([]).splitlines()[0] in page
