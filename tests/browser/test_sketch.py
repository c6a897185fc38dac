"""A curve that is drawn in a real browser: with a mouse, with keys, and with a finger."""

import re

import pytest
from playwright.sync_api import Page, expect

from pages.parts.lessons.sketching import CHART
from samedge_core.experiments.lessons import LESSONS
from samedge_core.experiments.lessons.sketch import COLUMNS
from tests.browser.reading import until
from tests.browser.test_accessibility import violations
from tests.browser.test_screens import PHONE, SCROLLED, fingers, open_phone

__all__ = ["open_phone"]

LESSON = LESSONS["draw-first"]
PATH = f"lessons?lesson={LESSON.name}"


def pad_of(page: Page) -> dict:
    page.get_by_role("figure", name=CHART).wait_for()
    pad = page.locator(".samedge-sketch-pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box
    return dict(box)


def drawn(page: Page) -> list[float]:
    """The curve as the address keeps it, NaN where there is none."""
    assert LESSON.canvas
    found = re.search(r"sketch=([^&]*)", page.url)
    return LESSON.canvas.read(found[1] if found else "").tolist()


def test_a_mouse_draws_a_curve_that_outlives_a_reload_and_is_held_against_the_run(open_page):
    page = open_page(PATH)
    box = pad_of(page)

    def move(across: float, sharpness: float) -> None:
        x, y = box["x"] + across * box["width"], box["y"] + (1 - sharpness / 20) * box["height"]
        page.mouse.move(x, y, steps=6)

    move(0, 6.5)
    page.mouse.down()
    move(0.5, 10)
    move(1, 10)
    page.mouse.up()
    until(page, lambda: "sketch=" in page.url, "the curve in the address")
    # a pixel is 0.05
    assert drawn(page)[COLUMNS // 4] == pytest.approx(8.25, abs=0.15)
    assert drawn(page)[COLUMNS // 2 + 1 :] == pytest.approx([10.0] * (COLUMNS // 2), abs=0.1)
    before = drawn(page)
    page.reload()
    box = pad_of(page)
    expect(page.get_by_text("your curve", exact=True)).to_be_visible()
    move(0.8, 2)
    page.mouse.down()
    move(0.6, 2)  # backwards: the newest counts
    page.mouse.up()
    until(page, lambda: drawn(page)[COLUMNS * 7 // 10] < 3, "the second stroke")
    assert drawn(page)[: COLUMNS // 2] == before[: COLUMNS // 2]
    page.get_by_role("button", name="Undo").click()
    until(page, lambda: drawn(page) == before, "the first stroke alone")
    page.get_by_role("button", name="See what the theory says").click()
    page.get_by_text("Dashed: what the flow says").wait_for()
    expect(page.get_by_text("flow", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Clear")).to_have_count(0)
    page.keyboard.press("p")
    page.get_by_text(re.compile(r"Your curve is off by [\d.]+ % at the median")).wait_for()
    assert drawn(page) == before
    assert not violations(page)


def test_keys_move_points_that_are_sliders_with_their_values(open_page):
    page = open_page(PATH, color_scheme="dark")
    pad_of(page)
    points = page.get_by_role("slider", name=re.compile("Sharpness of your curve at step"))
    expect(points).to_have_count(6)
    second = page.get_by_role("slider", name="Sharpness of your curve at step 333")
    assert second.get_attribute("aria-valuetext") == "not drawn yet"
    second.focus()
    assert second.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    at = COLUMNS // 3
    until(page, lambda: drawn(page)[at] > 6.7, "two steps up from the start")
    assert second.get_attribute("aria-valuetext") == f"{drawn(page)[at]:g}"
    assert drawn(page)[0] == pytest.approx(6.47, abs=0.02)  # joined to the start
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    until(page, lambda: drawn(page)[COLUMNS // 2] == 20, "the upper end of the next one")
    page.get_by_role("button", name="Undo").press("Enter")
    until(page, lambda: len({*map(str, drawn(page)[at + 1 :])}) == 1, "nothing after the second")
    page.get_by_role("button", name="Clear").press("Enter")
    until(page, lambda: "sketch=" not in page.url, "an empty chart")
    assert not violations(page)


def test_a_finger_draws_without_scrolling_and_scrolls_beside_the_chart(open_phone):
    page = open_phone(f"{PATH}&large=true")  # then it is longer than the screen
    box = pad_of(page)
    start = page.evaluate(SCROLLED)
    y = box["y"] + box["height"] / 2
    fingers(page, [(box["x"] + 20 * k, y - 6 * k) for k in range(11)])
    until(page, lambda: "sketch=" in page.url, "the curve in the address")
    assert page.evaluate(SCROLLED) == start
    page.evaluate(f"{SCROLLED} = 0")
    fingers(page, [(20, 600 - 15 * k) for k in range(11)])
    until(page, lambda: page.evaluate(SCROLLED) > 30, "the page has scrolled")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
