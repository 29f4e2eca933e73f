"""The page quotes the results that the benchmark wrote."""

import json

import bench_data


def test_page_shows_the_results() -> None:
    results = json.loads(bench_data.RESULTS.read_text(encoding="utf-8"))
    assert bench_data.PAGE.read_text(encoding="utf-8").endswith(bench_data.rendered(results))
