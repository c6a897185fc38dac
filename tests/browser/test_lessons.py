"""A lesson in a real browser: a guess, a run, its answer, and on to the next."""

import re

from playwright.sync_api import expect

from tests.browser.reading import ARTEFACTS, READ_MARKS, last, traces, until

CHARTS = ["Sharpness", "Gradient norm", "Loss"]


def test_a_guess_is_answered_by_the_run_and_the_address_keeps_it(open_page):
    page = open_page("lessons?lesson=new-step")
    figures = page.locator("[role=figure]:visible")
    page.get_by_role("figure", name="Loss").wait_for()
    assert figures.evaluate_all("all => all.map((c) => c.getAttribute('aria-label'))") == CHARTS
    page.get_by_text("It stays at 5: GD has found a flat place.").click()
    expect(page.get_by_text("Guess first")).to_have_count(0)
    page.keyboard.press("p")
    shows = re.compile(
        r"^You guessed “It stays at 5: .*”\. The run shows: It goes to the new edge\."
    )
    page.get_by_text(shows).wait_for()
    until(page, lambda: last(page, "Sharpness", "sharpness") == 1499, "the whole run")
    until(page, lambda: page.evaluate(READ_MARKS) == ["η 0.4 → 0.2"], "the mark of the new eta")
    page.screenshot(path=ARTEFACTS / "lesson.png")
    page.get_by_role("radio", name="0.3").click()
    page.get_by_text("the new 2/η is 6.67").wait_for()
    assert "previous sharpness" in traces(page, "Sharpness", "previous sharpness")
    page.keyboard.press("n")
    page.wait_for_url("**/lessons?lesson=sam-orbit")
    page.get_by_text("What will the gradient norm do").wait_for()
    page.go_back()
    page.get_by_text("the new 2/η is 6.67").wait_for()


def test_narrow_screens_stack_the_charts_and_do_not_scroll_sideways(open_page):
    page = open_page("lessons?lesson=step-size", viewport={"width": 768, "height": 1000})
    page.get_by_role("figure", name="Loss").wait_for()
    boxes = [page.get_by_role("figure", name=name).bounding_box() for name in CHARTS]
    assert len({round(box["x"]) for box in boxes if box}) == 1
    assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
