"""Tables for papers, of categories and of TIDE's errors."""

import json
from pathlib import Path
from typing import Any

import prediction_lines
import pytest

from verl_vision_r1.data.parquet import write_rows
from verl_vision_r1.evaluation import measure
from verl_vision_r1.evaluation.evaluate import Evaluation, evaluate
from verl_vision_r1.evaluation.measure import Effort
from verl_vision_r1.evaluation.presentation.detail_tables import error_tables, paper_tables
from verl_vision_r1.evaluation.presentation.files import write_results
from verl_vision_r1.evaluation.presentation.tables import notes


def evaluated(tmp_path: Path, samples: list[Any]) -> Evaluation:
    write_rows(tmp_path / "samples.parquet", samples)
    lines = prediction_lines.lines_of(samples, prediction_lines.perturbed(0))
    predictions = prediction_lines.write(tmp_path / "0.jsonl", lines)
    return evaluate(predictions, tmp_path / "samples.parquet", "vision_r1", effort=Effort(permutations=0))


def test_a_paper_has_one_row_for_each_set_and_their_mean(tmp_path: Path, scattered: list[Any]) -> None:
    run = evaluated(tmp_path, scattered)
    table = next(paper_tables(run))
    assert table.title == f"Detection: protocol vision_r1, 60 images, {run.date}"
    assert table.heading[:10] == ("Data set", "AP", "AP50", "AP75", "APs", "APm", "APl", "AR100", "F1@0.5", "F1@mIoU")
    assert [row[0] for row in table.rows] == ["made_up/a/detection", "made_up/b/detection", "Mean"]
    values = [measured.values for measured in run.sets]
    assert [row[1] for row in table.rows[:2]] == [f"{100 * found['AP']:.1f}" for found in values]
    assert table.rows[2][8] == f"{100 * run.means['detection']['F1_50']:.1f}"
    assert table.rows[0][4] == "-"  # No object is small.


def test_categories_are_sorted_by_objects_and_summed(tmp_path: Path, scattered: list[Any]) -> None:
    run = evaluated(tmp_path, scattered)
    _, table, _ = paper_tables(run)
    assert table.title.startswith("made_up/a/detection by category: protocol vision_r1, 30 images")
    assert table.heading == ("Category", "Objects", "Predicted", "AP", "AP50", "F1@0.5", "P@0.5", "R@0.5")
    *categories, total = table.rows
    assert {row[0] for row in categories} == {"ant", "bee", "cow"}
    counts = [int(row[1]) for row in categories]
    assert counts == sorted(counts, reverse=True)
    assert (total[0], int(total[1])) == ("All", sum(counts))
    assert int(total[2]) == sum(int(row[2]) for row in categories)
    assert total[5] == f"{100 * run.sets[0].values['F1_50']:.1f}"


def test_the_file_begins_with_the_table_for_a_paper(tmp_path: Path, scattered: list[Any]) -> None:
    run = evaluated(tmp_path, scattered)
    results, table = write_results(tmp_path / "out", run, None)
    lines = table.read_text().splitlines()
    assert lines[0] == f"**Detection: protocol vision_r1, 60 images, {run.date}**"
    assert lines[2].startswith("| Data set | AP | AP50 |")
    assert "| Category | Objects |" in table.read_text()
    assert json.loads(results.read_text())["date"] == run.date


def test_errors_have_gains_and_counts(tmp_path: Path, scattered: list[Any]) -> None:
    run = evaluated(tmp_path, scattered)
    (table,) = error_tables(run)
    assert table.heading == ("", "made_up/a/detection", "made_up/b/detection")
    assert [row[0].partition(":")[0] for row in table.rows] == ["Cls", "Loc", "Both", "Dupe", "Bkg", "Miss"]
    tide = run.as_dict()["sets"]["made_up/b/detection"]["tide"]
    assert tide["counts"]["Miss"] > 0
    assert table.rows[5][2] == f"{100 * tide['gains']['Miss']:.1f} ({tide['counts']['Miss']})"
    many = [{**row, "data_source": f"set {index % 4}"} for index, row in enumerate(scattered)]
    (table,) = error_tables(evaluated(tmp_path, many))
    assert table.heading == ("data set", "Cls", "Loc", "Both", "Dupe", "Bkg", "Miss")
    assert len(table.rows) == 4


def test_without_hotcoco_the_notes_say_so(
    tmp_path: Path, scattered: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not any("hotcoco" in note for note in notes(evaluated(tmp_path, scattered)))
    monkeypatch.setattr(measure, "tide", lambda *arguments: None)
    run = evaluated(tmp_path, scattered)
    assert list(error_tables(run)) == []
    assert "TIDE's errors: not computed, since hotcoco is not installed" in notes(run)
