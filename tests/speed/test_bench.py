"""The page quotes the results that the benchmark wrote."""

import json

import bench


def test_page_shows_the_results() -> None:
    results = json.loads(bench.RESULTS.read_text(encoding="utf-8"))
    assert bench.PAGE.read_text(encoding="utf-8").endswith(bench.rendered(results))


def test_contestants_score_the_same_scene() -> None:
    answer, target = bench.scene(20, 20)
    rows, columns = bench.floor(answer, target)()
    assert rows.tolist() == columns.tolist() == list(range(20)) or len(set(columns.tolist())) == 20
    scores = bench.ours("vision_r1", answer, target, bench.OFF)()
    assert scores.parts["recall"] == 1.0
    assert 0.5 < bench.pycocotools(answer, target)() <= 1.0


def test_points_score_the_same_targets() -> None:
    found = bench.point_scene(20)
    for name in ("points", "points, outlines"):
        text, target = found[name]
        scores = bench.score_completion(text, target, bench.POINTING, (bench.WIDTH, bench.HEIGHT), bench.OFF)
        assert (scores.predicted, scores.targets) == (20, 20)
        assert scores.parts["hit"] > 0.9
