"""A lesson in a real browser: a guess, a run, its answer, and on to the next."""

import re

import numpy as np
from playwright.sync_api import expect

from tests.browser.reading import ARTEFACTS, READ_MARKS, last, traces, until

CHARTS = ["Sharpness", "Gradient norm", "Loss"]
NEW_EDGE = re.compile("the new 2/\u2060?η is 6.67")  # no line ends within 2/η


def test_a_guess_is_answered_by_the_run_and_the_address_keeps_it(open_page):
    page = open_page("lessons?lesson=new-step")
    figures = page.locator("[role=figure]:visible")
    page.get_by_role("figure", name="Loss", exact=True).wait_for()
    # a chart without data is hidden once the first message says so
    expect(figures).to_have_count(len(CHARTS))
    assert figures.evaluate_all("all => all.map((c) => c.getAttribute('aria-label'))") == CHARTS
    page.get_by_text("It stays where it is: GD has found its place.").click()
    expect(page.get_by_text("Guess first")).to_have_count(0)
    page.keyboard.press("p")
    shows = re.compile(
        r"^You guessed “It stays where it is: .*”\. The run shows, with η\s=\s0\.2 from "
        r"step 500 on: It goes to the new edge\."
    )
    page.get_by_text(shows).wait_for()
    until(page, lambda: last(page, "Sharpness", "sharpness") == 1499, "the whole run")
    until(page, lambda: page.evaluate(READ_MARKS) == ["η 0.4 → 0.2"], "the mark of the new eta")
    page.screenshot(path=ARTEFACTS / "lesson.png")
    page.get_by_role("radio", name="0.3").click()
    page.get_by_text(NEW_EDGE).wait_for()
    assert "previous sharpness" in traces(page, "Sharpness", "previous sharpness")
    page.keyboard.press("n")
    page.wait_for_url("**/lessons?lesson=look-uphill**")
    page.get_by_text("What will the gradient norm do").wait_for()
    page.go_back()
    page.get_by_text(NEW_EDGE).wait_for()


def test_narrow_screens_stack_the_charts_and_do_not_scroll_sideways(open_page):
    page = open_page("lessons?lesson=step-size", viewport={"width": 768, "height": 1000})
    page.get_by_role("figure", name="Loss", exact=True).wait_for()
    boxes = [page.get_by_role("figure", name=n, exact=True).bounding_box() for n in CHARTS]
    assert len({round(box["x"]) for box in boxes if box}) == 1
    assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth")


def test_a_phone_shows_the_hops_before_the_reason_and_a_reload_keeps_what_is_done(open_page):
    page = open_page("lessons?lesson=1", viewport={"width": 390, "height": 844})
    picture = page.get_by_role("figure", name="Loss and iterates")
    picture.wait_for()
    page.get_by_text("It grows and grows.").first.click()
    page.get_by_role("button", name="Start").click()
    page.get_by_text("As you guessed").wait_for()
    # 15 hops, to four times its start, with the start
    hops = """() => document.querySelector('[aria-label="Loss and iterates"]').data
      .find((trace) => trace.name === "GD" && trace.mode === "markers").x.length"""
    until(page, lambda: page.evaluate(hops) == 16, "all hops that are in the picture")
    page.get_by_role("button", name="Play the steps").wait_for()
    top = [item.bounding_box() for item in (picture, page.get_by_text("Why.").first)]
    assert top[0]
    assert top[1]
    assert top[0]["y"] < top[1]["y"]
    assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    page.wait_for_url("**/lessons?lesson=step-size&guess=1&run=*&done=1")
    page.reload()
    page.get_by_text("1 of 16 lessons answered: 1").wait_for()


def test_rounding_alone_does_not_fill_a_chart(open_page):
    page = open_page("lessons?lesson=step-size")
    page.get_by_role("button", name="Start").click()
    page.get_by_text("It grows and grows. In 104 steps").wait_for()
    page.get_by_role("radio", name="0.4", exact=True).click()
    page.get_by_text("each step multiplies the distance along v₁ by 1 − ηλ = −1.").last.wait_for()
    shown = """() => document.querySelector('[aria-label="Sharpness"]')._fullLayout.yaxis.range"""
    until(page, lambda: np.allclose(page.evaluate(shown), np.log10([4.95, 5.05])), "some room")


def test_back_leads_to_the_lesson_and_to_the_live_lab(open_page):
    page = open_page("lessons?lesson=step-size")
    page.get_by_role("button", name="Start").click()
    page.get_by_text("It grows and grows. In 104 steps").wait_for()
    lesson = page.url
    page.get_by_role("button", name="Open in the live lab").click()
    page.wait_for_url("**/?run=*")
    lab, diverged = page.url, page.get_by_text("Diverged: the loss is")
    diverged.wait_for()
    page.go_back()
    page.get_by_text("It grows and grows. In 104 steps").wait_for()
    until(page, lambda: page.url == lesson, "the lesson's own address")
    page.get_by_role("link", name="Live lab").click()
    diverged.wait_for()
    page.get_by_role("link", name="Lessons").click()
    page.get_by_text("It grows and grows. In 104 steps").wait_for()
    page.go_back()
    diverged.wait_for()
    until(page, lambda: page.url == lab, "the lab's own address")
