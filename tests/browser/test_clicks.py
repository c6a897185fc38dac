"""Clicks while the parts of the page that follow a run tick."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import serve, visiting
from tests.browser.reading import ROOT, endless

# A busy browser sends a click only after the ticks that came due meanwhile: here, some three.
_BUSY = """() => {
  window.idle = window.setTimeout;
  window.setTimeout = (f, ms, ...given) => window.idle(f, ms ? ms : 1700, ...given);
}"""


@contextmanager
def busy(page: Page) -> Iterator[None]:
    page.evaluate(_BUSY)
    yield
    page.wait_for_timeout(2500)  # until the click itself has been sent, and heard
    page.evaluate("() => { window.setTimeout = window.idle; }")


def test_a_busy_page_pauses_and_steps_once(open_lab):
    lab = open_lab(endless("sam-two-weights"))
    lab.press("Start")
    lab.until_step(20)
    with busy(lab.page):
        lab.press("Pause")
    lab.until_paused()
    before = lab.last_step()
    with busy(lab.page):
        lab.press("Step")
    lab.until_step(before + 1)
    assert lab.last_step() == before + 1


def test_a_busy_page_forks_once(open_lab):
    lab = open_lab(endless("sam-two-weights"))
    lab.press("Start")
    lab.until_step(20)
    lab.pause()
    lab.put_cursor(10)
    lab.page.get_by_role("button", name="Fork from step 10").click()
    with busy(lab.page):
        lab.button("Fork").click()
    runs = lab.page.url.split("run=")[1].replace("%2C", ",")
    assert runs.count(",") == 1


@pytest.fixture
def slow_page(request, browser) -> Iterator[Page]:
    script, environ = ROOT / "tests/browser/slow_page.py", getattr(request, "param", {})
    with serve(script, "slow_page.log", environ) as (url, _), visiting(browser) as visit:
        page = visit(url)
        page.get_by_text("0 begun").wait_for()
        yield page


def test_both_of_two_quick_clicks_are_heard_to_their_end_and_none_beside_a_tick(slow_page):
    for _ in range(3):
        slow_page.get_by_role("button", name="One").click()
        slow_page.wait_for_timeout(200)
        slow_page.get_by_role("button", name="Two").click()
        slow_page.wait_for_timeout(2500)
    slow_page.get_by_text("6 begun, 6 ended, 0 beside a tick").wait_for()


@pytest.mark.parametrize("slow_page", [{"UNPATCHED": "1"}], indirect=True)
def test_without_our_patches_a_click_of_a_busy_page_is_heard_more_than_once(slow_page):
    begun = clicks = 0
    while begun <= clicks < 3:  # how often a click is heard depends on the ticks that come due
        clicks += 1
        with busy(slow_page):
            slow_page.get_by_role("button", name="One").click()
        slow_page.wait_for_timeout(2500)
        begun = int(slow_page.get_by_text(" begun").inner_text().split()[0])
    assert begun > clicks
