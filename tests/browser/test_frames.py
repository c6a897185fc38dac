"""The pages in a frame of another site."""

import threading
from collections.abc import Iterator
from functools import partial
from html import escape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import FrameLocator, expect


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):  # a request is no news
        del format, args


@pytest.fixture
def framed(tmp_path, browser, server) -> Iterator:
    """Opens an address of the lab in a frame of a page that another server has made."""
    url, _ = server
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        page = browser.new_page()

        def open_framed(address: str) -> FrameLocator:
            frame = f'<iframe src="{url}/{escape(address)}" width="1300" height="800"></iframe>'
            (tmp_path / "slide.html").write_text(frame)
            page.goto(f"http://127.0.0.1:{other.server_port}/slide.html")
            return page.frame_locator("iframe")

        yield open_framed
        page.close()
        other.shutdown()


@pytest.mark.parametrize("address", ["", "runs", "?embed=false", "lessons?embed=1"])
def test_another_site_gets_no_page_that_can_be_clicked(framed, address):
    frame = framed(address)
    expect(frame.get_by_text("only with ?embed=true")).to_be_visible()
    expect(frame.get_by_role("link", name="Open it in a tab")).to_have_attribute("target", "_blank")
    assert frame.get_by_role("button").count() == 0


def test_an_embedded_page_steers_no_run_of_others(framed, open_lab):
    lab = open_lab("?v=1&problem=two-weight&eta=0.1&steps=1000000")
    lab.press("Start")
    lab.until_step(100)
    frame = framed(f"{lab.page.url.split('/')[-1]}&embed=true")
    start = frame.get_by_role("button", name="Start Shortcut p")
    expect(start).to_be_visible()  # Pause, where it could be paused
    start.click()
    expect(frame.get_by_role("button", name="Pause Shortcut p")).to_be_visible()
    expect(lab.button("Pause")).to_be_visible()
    seen = lab.line("sharpness")["x"][-1]
    lab.until_step(int(seen) + 100)
