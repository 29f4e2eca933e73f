"""The fuzz run, in short."""

import fuzz


def test_nothing_raises_and_nothing_takes_long() -> None:
    figures, wrong = fuzz.run(seed=1, count=3000)
    assert wrong == []
    assert sum(row[0] for row in figures.values()) == 3000
