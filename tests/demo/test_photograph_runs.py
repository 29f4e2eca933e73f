"""The runs on a dataset: each seed once, supervised training for as long, and the table."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from finished_demo import finished
from prediction_lines import lines_of, narrowed, write
from rich.console import Console

from verl_vision_r1.data.parquet import Row
from verl_vision_r1.demo import ablations, photograph_runs
from verl_vision_r1.demo.ablation_results import Point, Results, start_variant
from verl_vision_r1.demo.photograph_runs import PhotographRuns, run_photographs
from verl_vision_r1.demo.photograph_table import HEADING, photograph_table, photograph_tables
from verl_vision_r1.demo.plan import Demo


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PhotographRuns:
    """Two seeds of a dataset whose trainings write their results at once."""
    calls: list[Any] = []

    def run_demo(demo: Demo, data: Path, console: Console) -> dict[str, Any]:
        demo.model.mkdir(parents=True)
        (demo.model / "config.json").touch()
        finished(demo.folder)
        calls.append(("demo", demo.seed))
        return {"supervised": {"steps": 100, "seconds": 0.5}}

    def teach(model: Path, rows: list[Row], steps: int, seed: int, report: Any) -> int:
        calls.append(("supervised", seed, len(rows)))
        return steps

    def train(demo: Demo, command: list[str]) -> list[str]:
        if "trainer.val_only=true" not in command:
            calls.append(("grpo", demo.seed, demo.overrides))
            finished(demo.folder)
            return []
        demo.validations.mkdir(parents=True)
        rows = read_rows(demo.rows / "val.parquet")
        write(demo.validations / "0.jsonl", lines_of(rows, narrowed(0.5, 0.9)))
        return []

    photographs = pytest.importorskip("verl_vision_r1.demo.photographs")
    teaching = pytest.importorskip("verl_vision_r1.demo.teach")
    read_rows = teaching.read_rows
    monkeypatch.setattr(photograph_runs, "run_demo", run_demo)
    monkeypatch.setattr(ablations, "train", train)
    monkeypatch.setattr(photographs, "teach_photographs", teach)
    monkeypatch.setattr(teaching, "read_rows", lambda path: read_rows(path.with_name("val.parquet")))
    made = PhotographRuns(tmp_path / "runs", tmp_path / "shapes", 2, 2, Results(tmp_path / "results.jsonl"))
    object.__setattr__(made, "calls", calls)
    return made


def test_each_run_is_made_once(plan: PhotographRuns) -> None:
    run_photographs(plan, Console(file=StringIO()))
    calls = plan.calls  # type: ignore[attr-defined]
    assert calls == [("demo", 0), ("supervised", 0, 8), ("demo", 1), ("supervised", 1, 8)]
    run_photographs(plan, Console(file=StringIO()))
    assert len(calls) == 4


def test_a_line_has_the_gain_with_its_interval(plan: PhotographRuns) -> None:
    run_photographs(plan, Console(file=StringIO()))
    first, second = photograph_table(plan.results, 2).rows
    found = dict(zip(HEADING, first, strict=True))
    assert (found[""], found["seed"], second[1]) == ("shapes", "0", "1")
    before, after = float(found["AP, supervised"]), float(found["AP, then GRPO"])
    assert before < after
    low, high = map(float, found["change, 95 % CI"].split(" to "))
    assert low <= after - before <= high
    assert before < float(found["AP, supervised for as long"]) < after


def test_other_settings_start_from_the_same_supervised_model(plan: PhotographRuns) -> None:
    other = PhotographRuns(plan.folder, plan.data, plan.steps, 1, plan.results, ("actor_rollout_ref.rollout.n=4",))
    for _ in range(2):  # The second time nothing is left to do.
        run_photographs(other, Console(file=StringIO()))
    first, (kind, seed, overrides) = plan.calls  # type: ignore[attr-defined]
    assert (first, kind, seed) == (("demo", 0), "grpo", 0)
    assert overrides.index("actor_rollout_ref.rollout.n=16") < overrides.index("actor_rollout_ref.rollout.n=4")
    (default,), (tried,) = (table.rows for table in photograph_tables(plan.results, plan.steps))
    assert tried == ("shapes: rollout.n=4", *default[1:6])


def test_other_settings_need_the_supervised_model(plan: PhotographRuns) -> None:
    run_photographs(plan, Console(file=StringIO()))
    elsewhere = PhotographRuns(plan.folder / "none", plan.data, plan.steps, 1, plan.results, ("trainer.save_freq=1",))
    with pytest.raises(FileNotFoundError, match="expected the supervised model of seed 0, got none; --out: give the"):
        run_photographs(elsewhere, Console(file=StringIO()))


def test_supervised_training_has_the_updates_of_the_time(plan: PhotographRuns) -> None:
    """100 updates in 0.5 seconds: as many per second in the whole time of the demo."""
    results = plan.results
    measures = {"shapes": {"AP": 0.5, "AP_change_low": 0.0, "AP_change_high": 0.1}}
    for seed in range(2):
        plan.folder_of("grpo", seed).mkdir(parents=True)
        finished(plan.folder_of("grpo", seed))
        results.add(start_variant("shapes"), 0, seed, [Point(100, 50.0, measures)])
        results.add("shapes/grpo", 2, seed, [Point(2, 150.0, measures)])
    run_photographs(plan, Console(file=StringIO()))
    seen = [results.of("shapes/supervised", 2)[seed].points[-1].step for seed in range(2)]
    assert seen == [300, 300]
    assert [row[-2:] for row in photograph_table(results, 2).rows] == [("2.5", "0.8")] * 2
