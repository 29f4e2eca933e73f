"""The fuzz run, in short."""

import fuzz


def test_nothing_raises_and_nothing_takes_long() -> None:
    figures, wrong = fuzz.run(seed=1, count=3000)
    assert wrong == []
    assert sum(row[0] for row in figures.values()) == 3000


def test_the_same_of_points_alone() -> None:
    figures, wrong = fuzz.run(seed=2, count=2000, task_of_all="pointing")
    assert wrong == []
    assert {name for name, row in figures.items() if row[0]} == {"robust", "vision_r1"}
