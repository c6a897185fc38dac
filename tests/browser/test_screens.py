"""The pages on a phone and on a projector: swipes, pinches, and what is in view together."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser.reading import PATIENCE, last, until

PHONE = {"width": 390, "height": 844}
PROJECTOR = {"width": 1280, "height": 720}
SCROLLED = "document.querySelector('[data-testid=stMain]').scrollTop"
OVERFLOW = "document.querySelector('[data-testid=stMain]').scrollWidth"


READ_RANGE = """([name, axis]) => document.querySelector(
  `[role=figure][aria-label="${name}"]`)._fullLayout[axis].range.slice()"""


@pytest.fixture
def open_phone(server, browser: BrowserContext) -> Iterator[Callable[[str], Page]]:
    """`open_phone(path)`: a page in a tab that is a phone, with fingers and without a mouse."""
    url, _ = server
    page, faults = browser.new_page(), []
    page.set_default_timeout(PATIENCE * 1000)
    page.on("pageerror", lambda error: faults.append(str(error)))
    session = browser.new_cdp_session(page)
    session.send("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 2})
    screen = {**PHONE, "deviceScaleFactor": 1, "mobile": True}
    session.send("Emulation.setDeviceMetricsOverride", screen)

    def visit(path: str) -> Page:
        page.goto(f"{url}/{path}")
        return page

    yield visit
    page.close()
    assert faults == []


def fingers(page: Page, *paths: list[tuple[float, float]]) -> None:
    """Put down fingers, move each along its path, all at once, and lift them."""
    session = page.context.new_cdp_session(page)

    def touch(kind: str, points: list) -> None:
        event = {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]}
        session.send("Input.dispatchTouchEvent", event)
        page.wait_for_timeout(16)

    moves = list(zip(*paths, strict=True))
    touch("touchStart", list(moves[0]))
    for points in moves[1:]:
        touch("touchMove", list(points))
    touch("touchEnd", [])
    page.wait_for_timeout(400)


def middle_of(page: Page, figure: str) -> tuple[float, float]:
    plot = page.get_by_role("figure", name=figure, exact=True)
    plot.locator(".nsewdrag").first.wait_for()
    plot.scroll_into_view_if_needed()
    box = plot.locator(".nsewdrag").first.bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def in_view(page: Page, locator, height: float) -> bool:
    box = locator.bounding_box()
    return bool(box) and box["y"] >= 0 and box["y"] + box["height"] <= height


@pytest.mark.parametrize(
    ("path", "figure"),
    [("", "Sharpness"), ("quadratic", "Loss and iterates"), ("lessons", "Loss"), ("paper", "Loss")],
)
def test_a_swipe_over_a_chart_scrolls_the_page(open_phone, path, figure):
    page = open_phone(path)
    x, y = middle_of(page, figure)
    before = page.evaluate(READ_RANGE, [figure, "yaxis"])
    start = page.evaluate(SCROLLED)
    way = -1 if start > 300 else 1  # the last chart may stand at the end of the page
    fingers(page, [(x, y - way * 15 * k) for k in range(11)])
    until(page, lambda: way * (page.evaluate(SCROLLED) - start) > 60, "the page has scrolled")
    assert page.evaluate(READ_RANGE, [figure, "yaxis"]) == before
    assert page.evaluate(OVERFLOW) == PHONE["width"]


def test_two_fingers_zoom_around_what_is_between_them(open_phone):
    page = open_phone("quadratic")
    beside = "Distance, gradient norm, edges"
    x, y = middle_of(page, beside)
    low, high = page.evaluate(READ_RANGE, [beside, "xaxis"])
    fingers(
        page, [(x - 40 - 4 * k, y) for k in range(11)], [(x + 40 + 4 * k, y) for k in range(11)]
    )
    now = page.evaluate(READ_RANGE, [beside, "xaxis"])
    # twice as far apart: half of the range, around the same middle
    assert now[1] - now[0] == pytest.approx((high - low) / 2, rel=0.02)
    assert sum(now) == pytest.approx(low + high, abs=0.02 * (high - low))


def test_on_a_phone_sliders_play_and_picture_are_in_view_together(open_phone):
    page = open_phone("quadratic")
    picture = page.get_by_role("figure", name="Loss and iterates")
    middle_of(page, "Loss and iterates")
    page.evaluate(f"{SCROLLED} = 380")
    page.wait_for_timeout(300)
    assert in_view(page, picture, PHONE["height"])
    assert in_view(page, page.get_by_role("button", name="Play the steps"), PHONE["height"])
    for label in ("Step size η", "Steps"):
        assert in_view(page, page.get_by_role("slider", name=label, exact=True), PHONE["height"])


def test_a_phone_shows_no_letters_of_keys_and_cuts_no_choice_off(open_phone):
    page = open_phone("")
    middle_of(page, "Sharpness")
    assert page.locator("kbd").count() > 0
    assert not any(key.is_visible() for key in page.locator("kbd").all())
    page.get_by_role("button", name="Axes and lines").click()
    choice = page.get_by_text("Gradient evaluations").bounding_box()
    assert choice
    assert choice["x"] + choice["width"] <= PHONE["width"]


def test_buttons_stay_above_the_charts_and_the_controls_open_below_them(open_phone):
    page = open_phone("")
    middle_of(page, "Loss")
    start = page.get_by_role("button", name="Start").first
    assert in_view(page, start, 100)
    page.get_by_test_id("stExpandSidebarButton").click()
    page.wait_for_timeout(400)
    side = page.get_by_test_id("stSidebar").bounding_box()
    assert side
    assert side["y"] > 0.4 * PHONE["height"]
    assert side["y"] + side["height"] <= PHONE["height"]


def test_large_text_is_on_every_page_and_in_the_link(open_page):
    page = open_page("quadratic?large=true", viewport=PROJECTOR)
    size = "parseFloat(getComputedStyle(document.documentElement).fontSize)"
    tick = """() => parseFloat(getComputedStyle(
      document.querySelector("[role=figure]:not([hidden]) .xtick text")).fontSize)"""
    page.locator("[role=figure]:not([hidden]) .xtick text").first.wait_for()
    assert page.evaluate(size) > 16
    assert page.evaluate(tick) > 14
    for name, path in (("Live lab", "/"), ("Lessons", "/lessons"), ("Runs", "/runs")):
        page.get_by_test_id("stSidebar").get_by_role("link", name=name).click()
        until(page, lambda: page.url.split("?")[0].endswith(path), f"the page {name}")  # noqa: B023
        until(page, lambda: "large=true" in page.url, "the link says it")
        until(page, lambda: page.evaluate(size) > 16, "large text")
    page.get_by_text("Large text").click()
    until(page, lambda: page.evaluate(size) == 16, "the usual size")
    until(page, lambda: "large" not in page.url, "the link without it")


def test_on_a_projector_the_picture_and_its_button_are_in_view(open_page):
    page = open_page("?large=true", viewport=PROJECTOR)
    middle_of(page, "Sharpness")
    page.evaluate(f"{SCROLLED} = 0")
    start = page.get_by_role("button", name="Start").first
    assert in_view(page, start, PROJECTOR["height"])
    start.click()
    until(page, lambda: (last(page, "Sharpness", "sharpness") or 0) > 3, "a run")
    chart = page.get_by_role("figure", name="Sharpness", exact=True).locator(".nsewdrag").first
    assert in_view(page, chart, PROJECTOR["height"])
    page.get_by_role("button", name="Pause").first.click()


def test_two_fingers_zoom_the_map_of_fates_and_one_scrolls_the_page(open_phone):
    page = open_phone("sweeps?part=map")
    page.locator(".samedge-fates[data-count='512']").wait_for()
    canvas = page.locator(".samedge-fates canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    x, y = box["x"] + 0.6 * box["width"], box["y"] + box["height"] / 2
    apart = [(x - 40 - 4 * k, y) for k in range(11)], [(x + 40 + 4 * k, y) for k in range(11)]
    view = "document.querySelector('.samedge-fates').dataset.view.split(' ').map(Number)"
    low, high, *_ = page.evaluate(view)
    fingers(page, *apart)
    until(page, lambda: page.evaluate(view)[0] != low, "a closer view")
    until(page, page.locator(".samedge-fates[data-count='512']").count, "a fine picture")
    now = page.evaluate(view)
    assert now[1] - now[0] == pytest.approx((high - low) / 2, rel=0.02)
    assert page.evaluate("visualViewport.scale") == 1  # the map alone
    assert "at=" not in page.url
    start = page.evaluate(SCROLLED)
    fingers(page, [(x, y - 15 * k) for k in range(11)])
    until(page, lambda: page.evaluate(SCROLLED) - start > 60, "the page has scrolled")
    page.wait_for_timeout(300)
    assert page.evaluate(view) == now
    assert page.evaluate(OVERFLOW) == PHONE["width"]
