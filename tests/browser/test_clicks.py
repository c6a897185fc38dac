"""Clicks while the parts of the page that follow a run tick."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, expect

from tests.browser.reading import endless

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
    expect(lab.button("Resume")).to_be_visible()
    lab.page.wait_for_timeout(1000)  # two ticks: the last rows
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
