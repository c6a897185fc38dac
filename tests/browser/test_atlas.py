"""The map of fates as a person uses it: with wheel, mouse, keys and fingers."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.reading import until
from tests.browser.test_accessibility import violations

MAP = ".samedge-fates canvas"
READ = """() => {
  const { count, view } = document.querySelector(".samedge-fates")?.dataset ?? {};
  return { count: Number(count), view: (view ?? "").split(" ").map(Number) };
}"""


def fine(page: Page) -> list[float]:
    """The view, once its fine picture has come."""

    def settled() -> bool:
        before = page.evaluate(READ)
        page.wait_for_timeout(600)  # what was asked for by then is on its way
        return before["count"] == 512 and page.evaluate(READ) == before

    until(page, settled, "a fine picture")
    return page.evaluate(READ)["view"]


def visit(open_page, path: str = "sweeps?part=map", **options) -> tuple[Page, list[float]]:
    page = open_page(path, **options)
    page.locator(MAP).wait_for()
    return page, fine(page)


def at(page: Page, u: float, v: float) -> tuple[float, float]:
    """A point of the canvas, as shares of it from the lower left."""
    page.locator(MAP).scroll_into_view_if_needed()
    box = page.locator(MAP).bounding_box()
    assert box
    return box["x"] + u * box["width"], box["y"] + (1 - v) * box["height"]


def width(view: list[float]) -> float:
    return view[1] - view[0]


def test_the_wheel_zooms_about_the_pointer_and_the_link_shares_the_view(open_page):
    page, whole = visit(open_page)
    assert whole == [0, 2.2, -4, 4]
    page.mouse.move(*at(page, 0.5, 0.7))
    tip = page.locator(".samedge-fates-tip")
    said = tip.inner_text()
    eta = float(re.findall(r"η ([\d.]+)", said)[0])
    assert re.search(r"(converges|diverges) in \d+ steps|never settles|still settling", said)
    for _ in range(4):
        page.mouse.wheel(0, -400)
        page.wait_for_timeout(40)
    view = fine(page)
    assert width(view) == pytest.approx(2.2 * 1.0015**-1600, rel=1e-9)
    assert view[0] < eta < view[1]
    page.wait_for_url(re.compile(r"view=0\.\d+_"))
    link = page.url
    again, seen = visit(open_page, link.split("/", 3)[3])
    assert seen == view
    again.close()
    page.go_back()
    until(page, lambda: page.evaluate(READ)["view"] == whole, "the view of before")


def test_drag_moves_double_click_zooms_out_and_buttons_do_both(open_page):
    page, whole = visit(open_page)
    page.get_by_label("Zoom in").click()
    page.get_by_label("Zoom in").click()
    near = fine(page)
    assert width(near) == pytest.approx(2.2 / 1.6**2)
    page.mouse.move(*at(page, 0.6, 0.5))
    page.mouse.down()
    page.mouse.move(*at(page, 0.4, 0.5), steps=6)
    page.mouse.up()
    moved = fine(page)
    assert width(moved) == pytest.approx(width(near))
    assert moved[0] > near[0]
    assert moved[2:] == pytest.approx(near[2:])
    assert "at=" not in page.url  # a drag is no click
    page.mouse.dblclick(*at(page, 0.5, 0.5))
    assert fine(page) == pytest.approx(whole)
    assert "at=" not in page.url  # nor are two
    page.get_by_label("Zoom in").click()
    page.get_by_label("The whole map").click()
    assert fine(page) == whole


def test_the_keyboard_moves_zooms_and_chooses(open_page):
    page, _ = visit(open_page)
    page.locator(MAP).focus()
    for key in ("+", "+", "ArrowRight", "ArrowUp", "-"):
        page.keyboard.press(key)
    view = fine(page)
    assert width(view) == pytest.approx(2.2 / 1.6)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Open this run in the live lab")).to_be_visible()
    chosen = [float(x) for x in re.findall(r"at=([\d.e-]+)_([\d.e-]+)", page.url)[0]]
    assert chosen[0] == pytest.approx((view[0] + view[1]) / 2, abs=width(view) / 512)
    page.keyboard.press("0")
    assert fine(page) == [0, 2.2, -4, 4]


def test_a_click_tells_the_run_and_opens_it(open_page):
    page, _ = visit(open_page)
    page.mouse.click(*at(page, 0.3, 0.65))
    words = page.get_by_text("converges in").last.inner_text()
    steps = int(re.findall(r"converges in (\d+) steps", words)[0])
    page.get_by_role("button", name="Open this run in the live lab").click()
    page.wait_for_url("**/?v=1&problem=two-weight*")
    page.get_by_role("button", name=re.compile("^Start")).first.click()
    ended = re.compile(rf"converged: the gradient norm is .* at step {steps}", re.IGNORECASE)
    page.get_by_text(ended).wait_for()


def test_zooming_ends_with_the_digits_and_says_so(open_page):
    page, _ = visit(open_page, "sweeps?part=map&rule=polyak&view=1.2_1.3_1.2_1.3&b=0.3")
    page.mouse.move(*at(page, 0.5, 0.5))
    for _ in range(70):
        page.mouse.wheel(0, -400)
        page.wait_for_timeout(15)
    view = fine(page)
    assert 0 < width(view) < 1e-12
    page.get_by_text("the digits of Float64 are used up").wait_for()


def test_no_serious_rule_of_accessibility_is_broken(open_page):
    page, _ = visit(open_page, "sweeps?part=map&at=0.3_1")
    found = violations(page)
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(500)
    assert not found + violations(page)


def test_a_lessons_map_appears_when_its_runs_have_ended(open_page):
    page = open_page("lessons?lesson=what-can-happen")
    page.get_by_text("Here you will see a map").wait_for()
    page.get_by_role("button", name="Start").click()
    page.locator(MAP).wait_for()
    page.get_by_text("at a larger η the run stays again. η = 1.228").wait_for()
    view = fine(page)
    assert view == pytest.approx([1.198, 1.278, 1.36, 1.44])
    page.get_by_role("radio", name="0.001", exact=True).click()
    until(page, lambda: page.evaluate(READ)["view"][:1] == [pytest.approx(1.234)], "a closer view")
