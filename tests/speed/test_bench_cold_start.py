"""The benchmark of cold starts: each command of each round has empty caches of its own."""

import json
import os
from pathlib import Path
from typing import Any

import bench_cold_start
import pytest


def test_each_command_has_empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def train(*arguments: Any) -> dict[str, float]:
        folders = {os.environ[name] for name in bench_cold_start.CACHES}
        assert len(folders) == len(bench_cold_start.CACHES)
        assert not any(Path(folder).exists() for folder in folders)
        assert "PYTHONDONTWRITEBYTECODE" not in os.environ
        seen.extend(folders)
        return {"to the first step": float(len(seen))}

    for name in bench_cold_start.CACHES:
        monkeypatch.setenv(name, "the user's")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(bench_cold_start, "MEMORY", tmp_path / "drop_caches")
    monkeypatch.setattr(bench_cold_start, "prepare_shapes", lambda folder, seed: None)
    monkeypatch.setattr(bench_cold_start, "ours", train)
    monkeypatch.setattr(bench_cold_start, "rival", train)
    made = list(bench_cold_start.rounds(tmp_path, 2))
    assert [list(found) for found in made] == [["verl-vision-r1", "TRL", "floor"]] * 2
    assert len(seen) == len(set(seen)) == 6 * len(bench_cold_start.CACHES)
    assert (tmp_path / "drop_caches").read_text(encoding="utf-8") == "3"


def test_the_measured_rounds_are_complete() -> None:
    rounds = json.loads(bench_cold_start.RESULTS.read_text(encoding="utf-8"))["rounds"]
    assert len(rounds) >= 3
    assert all(list(found) == ["verl-vision-r1", "TRL", "floor"] for found in rounds)
