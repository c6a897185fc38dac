"""The live lab as it is installed, in a browser."""

import ctypes
import subprocess
from pathlib import Path

from tests.browser.conftest import visiting
from tests.packaged import Installed, free_port, install

NOWHERE = "/proc/nowhere"  # can't be made
DROP, DAC_OVERRIDE = 24, 1  # of Linux: prctl's PR_CAPBSET_DROP, and the right to write everywhere


def obey_modes() -> None:
    """From the next program on, have root write no more than the modes of files allow."""
    ctypes.CDLL(None).prctl(DROP, DAC_OVERRIDE)


def plotly_js(installed: Installed, browser, log: Path, **process) -> str:
    """Open the live lab until its charts are drawn; the address of the Plotly.js that draws."""
    port = free_port()
    options = ["--server.port", str(port), "--server.headless", "true"]
    with installed.serving(options, port, log, **process) as url, visiting(browser) as visit:
        page = visit("about:blank", first=True)
        with page.expect_response("**/plotly.min.js?*") as answer:
            page.goto(url)
            page.get_by_role("button", name="Start").first.click()
        page.locator('[role=figure][aria-label="Sharpness"] .main-svg').first.wait_for()
        assert answer.value.status == 200
        return answer.value.url.removeprefix(url)


def test_the_charts_are_drawn_by_a_copy_that_browsers_keep(browser, tmp_path):
    installed = install(tmp_path / "site", tmp_path)
    address = plotly_js(installed, browser, tmp_path / "log")
    assert address.startswith("/app/static/plotly.min.js?v=")
    assert (tmp_path / "site" / "samedge_app" / "static" / "plotly.min.js").is_file()


def test_the_charts_are_drawn_where_nothing_can_be_written(browser, tmp_path):
    site = tmp_path / "site"
    installed = install(site, tmp_path, HOME=NOWHERE, SAMEDGE_HOME=NOWHERE)
    subprocess.run(["chmod", "-R", "a-w", site], check=True)
    try:
        address = plotly_js(installed, browser, tmp_path / "log", preexec_fn=obey_modes)
    finally:
        subprocess.run(["chmod", "-R", "u+w", site], check=True)
    assert address.startswith("/component/pages.parts.frame.assets.plotly/plotly.min.js?v=")
    assert not (site / "samedge_app" / "static" / "plotly.min.js").exists()
