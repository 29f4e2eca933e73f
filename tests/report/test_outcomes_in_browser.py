"""The page in Chromium: outcomes by pixel, labels, zoom, links, filters by outcome, refusals, two runs."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from opened_page import OUTCOMES, Opened, has_box, seconds_until_drawn
from run_on_disk import Run, boxes_text

from verl_vision_r1.report.writer import write_report
from verl_vision_r1.targets import Target

pytestmark = pytest.mark.process

OBJECTS = [[20, 20, 100, 100], [150, 20, 230, 100], [280, 20, 360, 100], [20, 180, 100, 260]]
TARGET = Target(OBJECTS, ["cat", "cat", "dog", "cat"], width=400, height=300)
PREDICTED = {
    "found": ((22, 22, 102, 102), "cat"),
    "duplicate": ((26, 26, 96, 96), "cat"),
    "wrong label": ((286, 26, 366, 106), "cat"),
    "misplaced": ((190, 20, 270, 100), "cat"),
    "false": ((200, 180, 300, 280), "dog"),
}
SAMPLE = boxes_text(*PREDICTED.values())


@pytest.fixture
def page(run: Run, tmp_path: Path) -> Path:
    """A sample with every outcome, and a better answer to it at an earlier step; then refusals."""
    image = run.image("a", "#333333")
    good = boxes_text(*[(box, label) for box, label in zip(OBJECTS, TARGET.labels, strict=True)])
    run.add([good, good], TARGET, image=image, image_id="a", step=1)
    run.add([SAMPLE, good], TARGET, image=image, image_id="a", step=2)
    run.add(["[]"], TARGET, image=image, image_id="b", step=2)
    nothing = Target([], [], width=400, height=300, categories=("cat",))
    run.add(["[]", boxes_text(((20, 20, 200, 200), "cat"))], nothing, image=image, image_id="c", step=2)
    return write_report(run.write(), tmp_path / "page.html").path


def shapes(shown: Opened) -> dict[str, int]:
    """The number of shapes of each outcome on the picture."""
    found = shown.tab.locator("#picture g[data-outcome]").evaluate_all("all => all.map(one => one.dataset.outcome)")
    return {name: found.count(name) for name in dict.fromkeys(found)}


def labels(shown: Opened) -> list[str]:
    return list(shown.tab.locator("#picture text").all_text_contents())


def test_outcomes_have_their_colours_at_their_coordinates(page: Path, opened: Callable[..., Opened]) -> None:
    shown = opened(page)
    assert shown.errors == []
    shown.tab.keyboard.press("n")
    shown.tab.keyboard.press("n")
    assert labels(shown) == []
    pixels = shown.pixels()
    for name, (box, _label) in PREDICTED.items():
        found = has_box(pixels, box, OUTCOMES[name])
        # The sides that lie on those of an object or of another prediction are drawn over.
        assert sum(found) >= (4 if name in ("false", "wrong label") else 2), (name, found)
    missed = np.abs(pixels.astype(int) - OUTCOMES["missed"]).max(axis=2) < 40
    scale = pixels.shape[1] / 400
    side = missed[round(180 * scale) - 1 : round(180 * scale) + 2, round(20 * scale) : round(100 * scale)].any(axis=0)
    assert 0.3 < side.mean() < 0.9  # Dashed.
    assert shapes(shown) == {**dict.fromkeys(PREDICTED, 1), "missed": 3, "truth": 1}


def test_the_legend_counts_outcomes_and_hides_them(page: Path, opened: Callable[..., Opened]) -> None:
    shown = opened(page)
    chips = {name: shown.tab.locator(f"#legend [data-outcome='{name}']") for name in (*PREDICTED, "missed")}
    assert [chip.inner_text().split()[-1] for chip in chips.values()] == ["1"] * 5 + ["3"]
    chips["missed"].click()
    chips["false"].click()
    assert not {"missed", "false"} & shapes(shown).keys()
    assert not all(has_box(shown.pixels(), PREDICTED["false"][0], OUTCOMES["false"]))
    assert "hide=missed%2Cfalse" in shown.tab.url
    chips["false"].click()
    assert "false" in shapes(shown)


def test_the_page_opens_at_the_greatest_drop_and_says_why(page: Path, opened: Callable[..., Opened]) -> None:
    shown = opened(page)
    assert shown.text("#heading") == "training, step 2, shapes/detection, image a"
    assert shown.text("#highlights").startswith("Opened at: the greatest drop, 3.00 to ")
    assert "since step 1" in shown.text("#highlights")
    assert shown.tab.locator("#prompts tr.chosen").count() == 1
    shown.choose("step", "1")
    shown.tab.locator("#highlights button", has_text="the widest spread").click()
    assert "step 2" in shown.text("#heading")
    assert shown.tab.locator("#filters [name=step]").input_value() == "all"


def test_labels_are_shown_where_there_is_room_or_on_hover(page: Path, opened: Callable[..., Opened]) -> None:
    shown = opened(page)
    assert {"5 dog", "3 cat"} <= set(labels(shown))
    shown.tab.locator("#switches button", has_text="none").click()
    assert labels(shown) == []
    place = shown.tab.locator("#picture").bounding_box()
    assert place is not None
    scale = place["width"] / 400
    shown.tab.mouse.move(place["x"] + 250 * scale, place["y"] + 230 * scale)
    assert shown.text("#tip") == "box 5 dog: false, overlaps no object"
    shown.tab.mouse.move(place["x"] + 60 * scale, place["y"] + 60 * scale)
    assert shown.text("#tip").startswith("box 2 cat: duplicate, IoU 0.77 with object 1 cat")
    shown.tab.mouse.move(place["x"] + 60 * scale, place["y"] + 220 * scale)
    assert shown.text("#tip") == "object 4 cat: missed"
    shown.tab.mouse.move(5, 5)
    assert shown.tab.locator("#tip").is_hidden()


def test_zoom_keeps_the_place_under_the_pointer(page: Path, opened: Callable[..., Opened]) -> None:
    shown = opened(page)
    place = shown.tab.locator("#picture").bounding_box()
    assert place is not None
    before = shown.pixels()
    corner = (round(200 * place["width"] / 400), round(180 * place["width"] / 400))
    shown.tab.mouse.move(place["x"] + corner[0], place["y"] + corner[1])
    shown.tab.mouse.wheel(0, -200)
    shown.tab.wait_for_function("() => VIEW.scale > 1.3 && !waiting")
    zoomed = shown.pixels()
    false = np.abs(zoomed.astype(int) - OUTCOMES["false"]).max(axis=2) < 40
    assert false[corner[1] - 3 : corner[1] + 4, corner[0] - 3 : corner[0] + 4].any()
    # The strokes stay as thin on the screen.
    scale = float(shown.tab.evaluate("VIEW.scale"))
    across = false[corner[1] + round(40 * scale), corner[0] - 10 : corner[0] + 11].sum()
    assert 1 <= across <= 4
    shown.tab.mouse.down()
    shown.tab.mouse.move(place["x"] + corner[0] + 30, place["y"] + corner[1] + 20)
    shown.tab.mouse.up()
    shown.tab.wait_for_function("() => !waiting")
    moved = np.abs(shown.pixels().astype(int) - OUTCOMES["false"]).max(axis=2) < 40
    assert moved[corner[1] + 17 : corner[1] + 24, corner[0] + 27 : corner[0] + 34].any()
    assert "zoom=" in shown.tab.url
    shown.tab.keyboard.press("0")
    shown.tab.wait_for_function("() => VIEW.scale === 1 && !waiting")
    shown.tab.mouse.move(5, 5)
    assert np.abs(shown.pixels().astype(int) - before).mean() < 1
    for key in ("+", "-"):
        shown.tab.keyboard.press(key)
    shown.tab.wait_for_function("() => VIEW.scale === 1 && !waiting")


def test_a_link_names_what_is_shown(page: Path, opened: Callable[..., Opened]) -> None:
    shown = opened(page)
    identity = shown.tab.evaluate("STATE.prompt.identity")
    link = f"#step=1&prompt={identity}&rollout=2&labels=all&zoom=2,0.25,0.5&filter.kind=training&nonsense=5&filter.x=y"
    shown.tab.evaluate("link => { location.hash = link; }", link)
    shown.tab.wait_for_function("() => STATE.prompt.step === 1 && !waiting")
    assert shown.text("#which").startswith("Rollout 2,")
    assert shown.tab.evaluate("[VIEW.scale, VIEW.x, VIEW.y, STATE.labels]") == [2, 0.25, 0.5, "all"]
    assert "nonsense" not in shown.tab.url
    kept = shown.tab.url
    shown.tab.reload()
    shown.tab.wait_for_selector("#picture svg")
    assert shown.tab.url == kept
    assert shown.text("#which").startswith("Rollout 2,")


@pytest.mark.parametrize(
    "link",
    [
        *("#step=x&prompt=__proto__&rollout=-5", "#rollout=1e99&labels=<b>&hide=all,%00", "#zoom=NaN,1", "#%E0%A4%A"),
        *("#filter.step=99&filter.least=abc&filter.text=%00", "#zoom=1e9,-5,7&step=2&run=9", '#{"kind":"training"}'),
    ],
)
def test_a_link_of_any_form_opens_the_page(page: Path, opened: Callable[..., Opened], link: str) -> None:
    shown = opened(page)
    shown.tab.evaluate("link => { location.hash = link; }", link)
    shown.tab.wait_for_timeout(300)
    assert shown.errors == []
    assert shown.tab.locator("#prompts").count() == 1


@pytest.mark.parametrize(
    ("outcome", "category", "images"),
    [
        ("duplicate", None, ["a"]),
        ("missed", None, ["a", "b"]),
        ("missed", '"dog"', ["a", "b"]),
        ("false", '"cat"', ["c"]),
        ("found", '"dog"', ["a", "a"]),
        ("wrongly refused", None, ["b"]),
        ("rightly refused", None, ["c"]),
        ("answered a negative", None, ["c"]),
        (None, '"dog"', ["a", "a", "b"]),
    ],
)
def test_filters_by_outcome_and_category(
    page: Path, opened: Callable[..., Opened], outcome: str | None, category: str | None, images: list[str]
) -> None:
    shown = opened(page)
    for name, value in (("outcome", outcome), ("category", category)):
        if value is not None:
            shown.choose(name, value)
    assert sorted(text.split()[0] for text in shown.column(4)) == images


def test_refusals_are_said_on_the_picture(page: Path, opened: Callable[..., Opened]) -> None:
    shown = opened(page)
    shown.choose("outcome", "wrongly refused")
    assert shown.text("#picture .said") == "wrongly refused: all 4 objects are missed"
    shown.choose("outcome", "rightly refused")
    assert shown.text("#picture .said") == "rightly refused: there is nothing to find"
    shown.choose("outcome", "answered a negative")
    assert shown.text("#picture .said") == "answered, but there is nothing to find: 1 predicted"
    assert shapes(shown) == {"false": 1}


def test_points_have_the_colour_of_their_outcome(run: Run, tmp_path: Path, opened: Callable[..., Opened]) -> None:
    target = Target([[100, 60, 300, 240]], ["cat"], width=400, height=300, task="pointing")
    text = json.dumps([{"point_2d": place, "label": "cat"} for place in ((150, 100), (350, 200))])
    run.add([text], target, image=run.image("a"), source="a/pointing")
    shown = opened(write_report(run.write(), tmp_path / "page.html").path)
    pixels = shown.pixels()
    scale = pixels.shape[1] / 400
    for name, (x, y) in (("found", (150, 100)), ("false", (350, 200))):
        near = np.abs(pixels.astype(int) - OUTCOMES[name]).max(axis=2) < 40
        assert near[round(y * scale), round(x * scale)]
        across = round(x * scale)
        # A dot is filled above its centre, a cross has a gap there; both may be a pixel aside.
        assert near[round(y * scale) - 4, across - 2 : across + 1].all() == (name == "found")


def test_two_runs_are_side_by_side(page: Path, run: Run, tmp_path: Path, opened: Callable[..., Opened]) -> None:
    other = Run(tmp_path / "other")
    best = boxes_text(*zip(OBJECTS, TARGET.labels, strict=True))
    other.add([best], TARGET, image=run.image("a"), image_id="a", step=2)
    other.add(["[]"], TARGET, image=run.image("a"), image_id="mine", step=2)
    shown = opened(write_report(run.folder, page, against=other.write()).path, width=1700)
    assert shown.errors == []
    assert shown.text("#highlights").startswith("Opened at: the greatest loss, 3.00 in step 2 of other, ")
    assert has_box(shown.pixels(), PREDICTED["false"][0], OUTCOMES["false"]).count(True) >= 3
    second = shown.pixels("#picture-against")
    assert has_box(second, (20, 180, 100, 260), OUTCOMES["found"]).count(True) >= 3
    assert not any(has_box(second, PREDICTED["false"][0], OUTCOMES["false"]))
    assert shown.text("#which-against").startswith("Rollout 1, step 2, ")
    shown.tab.keyboard.press("+")
    shown.tab.wait_for_function("() => VIEW.scale > 1 && !waiting")
    boxes = [shown.tab.locator(f"{name} svg").get_attribute("viewBox") for name in ("#picture", "#picture-against")]
    assert boxes[0] == boxes[1] != "0 0 400 300"
    table = list(zip(*(shown.column(number) for number in (2, 3, 4, 5, 6)), strict=True))
    by_prompt = {(step, prompt.split()[0]): numbers for step, prompt, *numbers in table}
    assert by_prompt["2", "mine"] == ["", "1.000", ""]
    assert by_prompt["2", "b"][1:] == ["", ""]
    own, against, difference = map(float, by_prompt["2", "a"])
    assert difference == pytest.approx(own - against, abs=2e-3)
    shown.tab.locator("#prompts td", has_text="mine").click()
    assert shown.text("#absent") == "This prompt is not among those of this run."
    assert "run=2" in shown.tab.url


def test_five_hundred_objects_on_one_image(run: Run, tmp_path: Path, opened: Callable[..., Opened]) -> None:
    places = [(x * 16.0, y * 15.0) for x in range(25) for y in range(20)]
    boxes = [(x + 1, y + 1, x + 14, y + 13) for x, y in places]
    target = Target(boxes, ["cat"] * 500, width=400, height=300)
    moved = [(x1 + 1, y1, x2 + 1, y2) for x1, y1, x2, y2 in boxes]
    run.add([boxes_text(*[(box, "cat") for box in moved])] * 2, target, image=run.image("a"))
    shown = opened(write_report(run.write(), tmp_path / "page.html").path)
    assert shown.errors == []
    assert shapes(shown) == {"truth": 500, "found": 500}
    actions: dict[str, Callable[[], None]] = {
        "rollout": lambda: shown.tab.keyboard.press("l"),
        "back": lambda: shown.tab.keyboard.press("h"),
        "zoom": lambda: shown.tab.keyboard.press("+"),
        "every": lambda: shown.tab.keyboard.press("a"),
        "outcome": lambda: shown.tab.keyboard.press("o"),
        "labels": lambda: shown.tab.keyboard.press("n"),
    }
    taken = {name: seconds_until_drawn(shown, act) for name, act in actions.items()}
    assert max(taken.values()) < 0.5, taken
