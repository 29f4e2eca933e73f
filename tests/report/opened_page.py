"""A page in Chromium: what it shows, by text and by pixel."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from verl_vision_r1.evaluation.presentation.style import OUTCOME_COLOURS

GROUND_TRUTH, FIRST, SECOND = (27, 120, 55), (213, 94, 0), (0, 114, 178)
"""Colours of the ground truth and of the first two rollouts."""
OUTCOMES = {name: tuple(bytes.fromhex(colour[1:])) for name, colour in OUTCOME_COLOURS.items()}


class Opened:
    """An open page, its errors and its requests."""

    def __init__(self, browser: Any, path: Path, width: int = 1500, height: int = 1200) -> None:
        self.tab = browser.new_page(viewport={"width": width, "height": height})
        self.tab.set_default_timeout(120_000)  # A machine that trains at the same time takes long to load plotly.
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.tab.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.goto(path.as_uri())
        self.tab.wait_for_selector("#picture svg, #heading:empty", state="attached")

    def text(self, selector: str) -> str:
        return str(self.tab.locator(selector).inner_text())

    def column(self, number: int) -> list[str]:
        return list(self.tab.locator(f"#prompts tbody td:nth-child({number})").all_inner_texts())

    def choose(self, name: str, value: str) -> None:
        self.tab.locator(f"#filters [name={name}]").select_option(value)

    def write(self, name: str, value: str) -> None:
        self.tab.locator(f"#filters [name={name}]").fill(value)

    def pixels(self, selector: str = "#picture") -> np.ndarray:
        image = Image.open(io.BytesIO(self.tab.locator(selector).screenshot())).convert("RGB")
        return np.asarray(image)


def has_box(
    pixels: np.ndarray, box: tuple[float, ...], colour: tuple[int, int, int], size: tuple[int, int] = (400, 300)
) -> list[bool]:
    """Whether each edge of a box in original-image pixels has a colour, to one pixel of the screen.

    Checks the middle of each edge, and six pixels inside and outside of it, which must have another colour.
    """
    near = (np.abs(pixels.astype(int) - colour) < 40).all(axis=2)
    scale = np.tile([pixels.shape[1] / size[0], pixels.shape[0] / size[1]], 2)
    x1, y1, x2, y2 = (np.array(box) * scale).round().astype(int).tolist()
    middle = ((x1 + x2) // 2, (y1 + y2) // 2)
    found = []
    for (x, y), (right, down) in (
        *(((x, middle[1]), (6, 0)) for x in (x1, x2)),
        *(((middle[0], y), (0, 6)) for y in (y1, y2)),
    ):
        around = near[y + down, x + right] or near[y - down, x - right]
        found.append(bool(near[y - 1 : y + 2, x - 1 : x + 2].any() and not around))
    return found


def seconds_until_drawn(shown: Opened, act: Callable[[], None], repeats: int = 5) -> float:
    """Seconds from the browser's event to the first frame after its effects: the least of several.

    What else the machine does can only add to the time that the page takes.
    """
    return min(_seconds_once(shown, act) for _ in range(repeats))


def _seconds_once(shown: Opened, act: Callable[[], None]) -> float:
    shown.tab.evaluate(
        """() => {
          window.taken = new Promise((done) => {
            const begin = (event) => {
              const start = event.timeStamp;
              setTimeout(() => requestAnimationFrame(() => setTimeout(() => done(performance.now() - start))));
              for (const name of ["input", "click", "keydown"]) document.removeEventListener(name, begin, true);
            };
            for (const name of ["input", "click", "keydown"]) document.addEventListener(name, begin, true);
          });
        }"""
    )
    act()
    return float(shown.tab.evaluate("() => window.taken")) / 1000
