"""The page in Chromium: boxes are at their coordinates, filters and keys work, and text is never markup."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from opened_page import FIRST, GROUND_TRUTH, SECOND, Opened, has_box, seconds_until_drawn
from PIL import Image
from run_on_disk import Run, boxes_text

from verl_vision_r1.report.writer import write_report
from verl_vision_r1.targets import Target

pytestmark = pytest.mark.process

TARGET = Target([[100, 60, 300, 240]], ["cat"], width=400, height=300)
BOXES = ((40.0, 30.0, 200.0, 150.0), (220.0, 20.0, 390.0, 280.0))
HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\"><b>bold</b>"


@pytest.fixture
def page(run: Run, tmp_path: Path) -> Path:
    """Two prompts at two steps, with different rollouts."""
    images = {name: run.image(name) for name in ("a", "b")}
    good, bad = boxes_text(((100, 60, 300, 240), "cat")), boxes_text(*[(box, "cat") for box in BOXES])
    for step, completions in (
        (1, {"a": [bad, good], "b": ["no idea", "[]"]}),
        (4, {"a": [good, good], "b": [bad, good]}),
    ):
        for name, texts in completions.items():
            run.add(texts, TARGET, image=images[name], image_id=name, step=step, source=f"{name}/detection")
    run.add([good], TARGET, image=images["a"], image_id="a", step=4, kind="validation", source="a/detection")
    return write_report(run.write(), tmp_path / "page.html").path


def test_the_page_opens_and_sends_no_requests(page: Path, opened: Callable[..., Opened]) -> None:
    shown = opened(page)
    assert shown.errors == []
    assert [url for url in shown.requests if not url.startswith("data:")] == [page.as_uri()]
    assert shown.tab.locator("#prompts tbody tr").count() == 5
    assert shown.tab.locator("#figure .scatterlayer .trace").count() > 3


def test_boxes_are_at_their_coordinates(page: Path, opened: Callable[..., Opened]) -> None:
    shown = opened(page)
    shown.choose("step", "1")
    shown.choose("source", '"a/detection"')
    shown.tab.locator("#prompts tbody tr").click()
    shown.tab.keyboard.press("a")
    pixels = shown.pixels()
    assert all(has_box(pixels, (100, 60, 300, 240), GROUND_TRUTH))
    for box in BOXES:
        assert all(has_box(pixels, box, FIRST))
        assert not any(has_box(pixels, box, GROUND_TRUTH))


def test_boxes_are_toggled(page: Path, opened: Callable[..., Opened]) -> None:
    shown = opened(page)
    shown.choose("step", "1")
    shown.choose("source", '"a/detection"')
    shown.tab.locator("#heading").click()
    shown.tab.keyboard.press("a")
    shown.tab.locator("#rollouts input").nth(0).click()
    assert not any(edge for box in BOXES for edge in has_box(shown.pixels(), box, FIRST))
    shown.tab.locator("#truth").click()
    assert all(has_box(shown.pixels(), (100, 60, 300, 240), SECOND))
    shown.tab.keyboard.press("a")
    assert all(edge for box in BOXES for edge in has_box(shown.pixels(), box, FIRST))


def test_a_thumbnail_does_not_move_the_boxes(run: Run, tmp_path: Path, opened: Callable[..., Opened]) -> None:
    """An image larger than its thumbnail, with an aspect ratio of 2, and predictions in a smaller frame."""
    run.frame = (500.0, 250.0)
    target = Target([[1000, 100, 1800, 900]], ["cat"], width=2000, height=1000)
    run.add([boxes_text(((50, 25, 150, 125), "cat"))], target, image=run.image("large", size=(2000, 1000)))
    shown = opened(write_report(run.write(), tmp_path / "page.html").path)
    shown.tab.keyboard.press("a")
    pixels = shown.pixels()
    assert all(has_box(pixels, (1000, 100, 1800, 900), GROUND_TRUTH, (2000, 1000)))
    assert all(has_box(pixels, (200, 100, 600, 500), FIRST, (2000, 1000)))


def test_boxes_are_drawn_without_the_image(run: Run, tmp_path: Path, opened: Callable[..., Opened]) -> None:
    run.add([boxes_text(((100, 60, 300, 240), "cat"))], TARGET, image="/nowhere.png")
    shown = opened(write_report(run.write(), tmp_path / "page.html").path)
    assert "image not found" in shown.text("#asked")
    shown.tab.keyboard.press("a")
    assert all(has_box(shown.pixels(), (100, 60, 300, 240), GROUND_TRUTH))


def test_a_source_of_any_name_can_be_selected(run: Run, tmp_path: Path, opened: Callable[..., Opened]) -> None:
    sources = ("all", "none", "__proto__", '"', "b")
    for source in sources:
        run.add(["[]"], TARGET, image="/dev/null", source=source)
    shown = opened(write_report(run.write(), tmp_path / "page.html").path)
    for source in sources:
        shown.choose("source", json.dumps(source))
        assert shown.column(3) == [source]
    shown.choose("source", "all")
    assert len(shown.column(3)) == len(sources)
    assert shown.errors == []


@pytest.mark.parametrize(
    ("name", "value", "listed"),
    [
        ("kind", "validation", [("validation", "4", "a")]),
        ("step", "1", [("training", "1", "a"), ("training", "1", "b")]),
        ("source", '"b/detection"', [("training", "4", "b"), ("training", "1", "b")]),
        ("flag", "unparsed", [("training", "1", "b")]),
    ],
)
def test_filters_select_prompts(
    page: Path, opened: Callable[..., Opened], name: str, value: str, listed: list[tuple[str, str, str]]
) -> None:
    shown = opened(page)
    shown.choose(name, value)
    found = zip(shown.column(1), shown.column(2), [text.split()[0] for text in shown.column(4)], strict=True)
    assert set(found) == set(listed)
    assert len(shown.column(1)) == len(listed)
    shown.tab.locator("#filters button").click()
    shown.tab.locator("#prompts tbody tr").nth(4).wait_for()


def test_a_criterion_range_and_a_text_select_rollouts(page: Path, opened: Callable[..., Opened]) -> None:
    shown = opened(page)
    shown.choose("criterion", "recall")
    shown.write("most", "0.1")
    assert sorted(zip(shown.column(2), shown.column(3), strict=True)) == [
        *[("1", "a/detection"), ("1", "b/detection"), ("4", "b/detection")]
    ]
    shown.write("text", "NO IDEA")
    assert shown.column(3) == ["b/detection"]
    passing = shown.tab.locator("#rollouts tr.passing td:nth-child(2)").all_inner_texts()
    assert passing == ["1"]
    assert shown.text("#completion") == "no idea"
    shown.write("text", "no such text")
    assert shown.tab.locator("#detail").is_hidden()
    assert "no prompt passes the filters" in shown.text("#list")


@pytest.mark.parametrize(("column", "number"), [("reward", 5), ("std", 6), ("change", 7)])
def test_the_list_is_sorted_by_its_columns(
    page: Path, opened: Callable[..., Opened], column: str, number: int
) -> None:
    shown = opened(page)
    for ascending in (True, False):
        shown.tab.locator("#prompts thead th", has_text=column).click()
        order = "ascending" if ascending else "descending"  # DataTables sorts asynchronously.
        shown.tab.wait_for_selector(f"#prompts thead th[aria-sort={order}]", state="attached")
        values = [float(text) for text in shown.column(number) if text]
        assert len(set(values)) > 1
        assert values == sorted(values, reverse=not ascending)


def test_change_compares_with_the_same_prompt_at_an_earlier_step(page: Path, opened: Callable[..., Opened]) -> None:
    shown = opened(page)
    shown.choose("kind", "training")
    rewards = {key: float(value) for *key_, value in _rows(shown, 5) for key in [tuple(key_)]}
    changes = {key: value for *key_, value in _rows(shown, 7) for key in [tuple(key_)]}
    assert changes["1", "a/detection"] == changes["1", "b/detection"] == ""
    for source in ("a/detection", "b/detection"):
        difference = rewards["4", source] - rewards["1", source]
        assert float(changes["4", source]) == pytest.approx(difference, abs=2e-3)
    shown.choose("since", "4")
    assert set(shown.column(7)) == {""}


def _rows(shown: Opened, column: int) -> list[tuple[str, str, str]]:
    return list(zip(shown.column(2), shown.column(3), shown.column(column), strict=True))


def test_keys_move_through_prompts_and_rollouts(page: Path, opened: Callable[..., Opened]) -> None:
    shown = opened(page)
    shown.tab.locator("#prompts tbody tr").first.click()
    seen = [shown.text("#heading")]
    for key in ("j", "ArrowDown", "j", "j"):
        shown.tab.keyboard.press(key)
        seen.append(shown.text("#heading"))
    assert len(set(seen)) == 5
    shown.tab.keyboard.press("j")  # There is no further one.
    assert shown.text("#heading") == seen[-1]
    shown.tab.keyboard.press("k")
    assert shown.text("#heading") == seen[-2]
    shown.choose("step", "1")
    shown.tab.locator("#heading").click()
    shown.tab.keyboard.press("l")
    assert shown.text("#which").startswith("Rollout 2,")
    shown.tab.keyboard.press("ArrowLeft")
    assert shown.text("#which").startswith("Rollout 1,")
    shown.tab.keyboard.press("/")
    shown.tab.keyboard.type("jkl")
    assert shown.tab.locator("#filters [name=text]").input_value() == "jkl"


def test_the_numbers_of_a_rollout_are_those_of_its_file(page: Path, opened: Callable[..., Opened], run: Run) -> None:
    shown = opened(page)
    shown.choose("step", "1")
    shown.choose("source", '"a/detection"')
    (first, _second) = [line for line in run.lines["training", 1] if line["image_id"] == "a"]
    cells = shown.tab.locator("#rollouts tr").nth(1).locator("td").all_inner_texts()
    assert float(cells[2]) == pytest.approx(first["total"], abs=5e-4)
    refined, raw = cells[4].split(" ")
    assert first["precision"] != first["precision_raw"]
    assert float(refined) == pytest.approx(first["precision"], abs=5e-4)
    assert float(raw.strip("()")) == pytest.approx(first["precision_raw"], abs=5e-4)
    assert shown.text("#completion").strip() == first["output"].strip()
    matches = shown.tab.locator("#matches tr").all_inner_texts()
    assert len(matches) == 3
    assert ["unmatched" in line for line in matches[1:]].count(True) == 1


def test_the_start_of_a_stage_is_drawn(page: Path, opened: Callable[..., Opened]) -> None:
    shown = opened(page)
    assert "stage 1: xi0 0.75, xi1 0.75, xi2 0.9" in shown.text("#figure")
    assert shown.tab.locator("#figure .shapelayer path").count() == 1


def test_curves_follow_the_data_source(page: Path, opened: Callable[..., Opened]) -> None:
    shown = opened(page)
    figure = "() => document.getElementById('figure').data.find((trace) => trace.name === 'total').y"
    every = shown.tab.evaluate(figure)
    shown.choose("source", '"b/detection"')
    assert shown.tab.evaluate(figure) != every


@pytest.mark.parametrize(
    ("label", "completion"),
    [
        (HOSTILE, HOSTILE),
        ("\u202egnp.exe", "\u202e\u2067\u05e9\u05dc\u05d5\u05dd right to left"),
        ("😀🦝 " + "🦝" * 300, "😀" * 5000),
        ("x" * 5000, "y" * 300_000),
        ("a\x00b\nc", "\x00\x1b[31m\ud800"),
        ("${label} {{data}} {{script}}", "{{data}} ${1} \\u003c </pre>"),
    ],
    ids=["markup", "right to left", "emoji", "huge", "control", "templates"],
)
def test_hostile_text_is_text(
    run: Run, tmp_path: Path, opened: Callable[..., Opened], label: str, completion: str
) -> None:
    target = Target([[100, 60, 300, 240]], [label], width=400, height=300)
    text = completion + boxes_text(((100, 60, 300, 240), label))
    run.add([text], target, image=run.image("a"), source=label[:40], image_id=label[:40], subject=label)
    shown = opened(write_report(run.write(), tmp_path / "page.html").path)
    assert shown.errors == []
    assert shown.tab.title() == "run: rollouts"
    assert shown.tab.locator("b, #completion *, #heading *, #matches script, #prompts img").count() == 0
    visible = text[:20_000].replace("\ud800", "\ufffd")
    assert shown.tab.evaluate("document.getElementById('completion').firstChild.data.toWellFormed()") == visible
    assert label[:40] in shown.tab.evaluate("document.getElementById('heading').textContent")
    # Long text must not widen the page: it is wrapped or cut.
    assert shown.tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    shown.write("text", label.split("\x00")[0][:30])
    assert shown.tab.locator("#prompts tbody tr td").count() == 8


def test_the_page_fits_a_narrow_window(page: Path, opened: Callable[..., Opened]) -> None:
    shown = opened(page, width=420, height=800)
    assert shown.tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_page_that_is_written_again_keeps_its_state(run: Run, page: Path, opened: Callable[..., Opened]) -> None:
    shown = opened(page)
    shown.choose("step", "1")
    shown.write("text", "cat")
    shown.tab.locator("#rollouts tr").nth(2).click()
    before = shown.text("#heading"), shown.text("#which")
    run.add(["[]"], TARGET, image="", step=3, image_id="new")
    write_report(run.write(), page)
    shown.tab.reload()
    shown.tab.wait_for_selector("#picture svg")
    assert (shown.text("#heading"), shown.text("#which")) == before
    assert shown.tab.locator("#filters [name=text]").input_value() == "cat"
    assert "3" in shown.tab.locator("#filters [name=step] option").all_inner_texts()


def test_a_followed_page_reloads_itself(run: Run, tmp_path: Path, opened: Callable[..., Opened]) -> None:
    run.add(["[]"], TARGET, image=run.image("a"))
    path = tmp_path / "page.html"
    shown = opened(write_report(run.write(), path, refresh=1).path)
    run.add(["[]"], TARGET, image="", image_id="new", step=2)
    write_report(run.write(), path, refresh=1)
    shown.tab.locator("#prompts tbody tr").nth(1).wait_for(timeout=20_000)
    shown.tab.locator("#following input").uncheck()
    loads = len(shown.requests)
    shown.tab.wait_for_timeout(2500)
    assert len([url for url in shown.requests[loads:] if not url.startswith("data:")]) == 0


def test_two_thousand_rollouts_are_small_and_respond_fast(
    run: Run, tmp_path: Path, opened: Callable[..., Opened]
) -> None:
    random = np.random.default_rng(0)
    words = " ".join(["a raccoon, seen from the left"] * 20)
    for index in range(250):
        # As detailed as a photograph, so that it compresses to a similar size.
        coarse = Image.fromarray(random.integers(0, 255, (96, 128, 3), dtype=np.uint8))
        image = run.image(str(index))
        coarse.resize((640, 480), Image.Resampling.BICUBIC).save(image)
        for _ in range(8):
            boxes = [((x, 10.0, x + 40.0, 90.0), "cat") for x in random.integers(0, 300, 5).tolist()]
            run.add([words + boxes_text(*boxes)], TARGET, image=image, image_id=str(index), step=index // 50)
    made = write_report(run.write(), tmp_path / "page.html")
    assert made.completions == 2000
    assert made.size < 40e6
    shown = opened(made.path)
    actions: dict[str, Callable[[], None]] = {
        "flag": lambda: shown.choose("flag", "none"),
        "text": lambda: shown.write("text", "raccoon"),
        "step": lambda: shown.choose("step", "3"),
        "all": lambda: shown.tab.locator("#filters button").click(),
        "sort": lambda: shown.tab.locator("#prompts thead th", has_text="std").click(),
        "next": lambda: shown.tab.keyboard.press("j"),
        "since": lambda: shown.choose("since", "0"),
    }
    taken = {name: seconds_until_drawn(shown, act) for name, act in actions.items()}
    assert max(taken.values()) < 0.2, taken


POINTED = Target(
    [[100, 60, 300, 240]], ["cat"], width=400, height=300, task="pointing", outlines=[[[100, 60, 300, 60, 100, 240]]]
)


def test_points_and_outlines_are_at_their_coordinates(run: Run, tmp_path: Path, opened: Callable[..., Opened]) -> None:
    places = ((150, 100), (290, 230))
    text = json.dumps([{"point_2d": place, "label": "cat"} for place in places])
    run.add([text], POINTED, image=run.image("a"), image_id="a", source="a/pointing")
    shown = opened(write_report(run.write(), tmp_path / "page.html").path)
    assert shown.errors == []
    shown.tab.keyboard.press("a")
    pixels = shown.pixels()
    scale = pixels.shape[1] / 400
    hit, miss, side = ((round(x * scale), round(y * scale)) for x, y in (*places, (200, 150)))
    orange, green = ((np.abs(pixels.astype(int) - colour) < 40).all(axis=2) for colour in (FIRST, GROUND_TRUTH))
    assert orange[hit[1], hit[0]]
    assert orange[miss[1], miss[0]]
    # A dot is filled; between the arms of a cross there is none of its colour.
    assert orange[hit[1] - 4, hit[0]]
    assert not orange[miss[1] - 5, miss[0]]
    assert green[side[1] - 2 : side[1] + 3, side[0] - 2 : side[0] + 3].any()
    assert not green[round(150 * scale), round(300 * scale) - 2 : round(300 * scale) + 3].any()
    assert shown.text("#matches").startswith("point")
    assert "nearness" in shown.text("#matches")
