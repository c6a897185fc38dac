"""The spectra of inspected steps as a person compares them."""

import io
import re

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from tests.browser.reading import endless

FIGURE = '[role=figure][aria-label="Spectrum"]'
RANGE = f"() => document.querySelector('{FIGURE}').layout.xaxis.range.map(Number)"


def wait_for(page: Page, count: int) -> None:
    """Until the chart holds so many spectra and the button is free again."""
    page.wait_for_function(
        """([figure, count]) => {
          const lines = (document.querySelector(figure)?.data ?? []).filter(
            ({ name, showlegend }) => /^step /.test(name) && showlegend !== false);
          return lines.length === count;
        }""",
        arg=[FIGURE, count],
    )
    expect(page.get_by_role("button", name="Inspect the newest step")).to_be_enabled(timeout=60_000)


def step_in(text: str) -> int:
    return int(re.findall(r"[sS]tep ([\d,]+)", text)[0].replace(",", ""))


def test_spectra_of_inspected_steps_appear_are_compared_and_stay(open_lab):
    lab = open_lab(endless("sam-chebyshev"))
    page: Page = lab.page
    page.set_default_timeout(60_000)
    assert lab.button("Inspect the newest step").is_disabled()
    lab.press("Start")
    lab.until_step(30)
    lab.press("Inspect the newest step")
    wait_for(page, 1)
    lab.pause()
    before = lab.last_step()
    lab.press("Step")
    # at once, both commands can arrive together, and the step before is inspected
    lab.until(lambda: lab.last_step() > before, "the step")
    page.keyboard.press("x")
    wait_for(page, 2)
    captions = page.get_by_text(
        re.compile(r"^Spectrum at step [\d,]+ \((solid|dashed) line\) · P = 701")
    )
    expect(captions).to_have_count(2)  # they come after the chart
    drawn = lab.traces("Spectrum", "2/η = 10")
    steps = sorted(step_in(name) for name in drawn if name.startswith("step "))
    assert sorted(map(step_in, captions.all_inner_texts())) == steps
    assert steps[-1] == lab.last_step()
    assert {"2/η = 10", f"eigenvalues, step {steps[-1]:,}"} <= set(drawn)
    # a single eigenvalue is 1 high, most are at 0, and the rug has all of them
    heights = np.array(drawn[f"step {steps[-1]:,}"]["y"])
    assert 300 < heights.max() <= 701.5
    rug = np.array(drawn[f"eigenvalues, step {steps[-1]:,}"]["x"])
    assert len(rug) == 701

    # the eigenvalue that was measured in the row of that step stands at the end of the rug
    measured = lab.line("λ₁ measured by the tracker", "Spectrum")["x"]
    assert max(measured) == pytest.approx(rug.max(), rel=1e-3)

    with page.expect_download() as waiting:
        page.get_by_role("button", name="Spectrum CSV").click()
    frame = pd.read_csv(io.StringIO(waiting.value.path().read_text()))
    assert sorted(set(frame["step"])) == steps
    newest = frame[frame["step"] == steps[-1]]["node"]
    np.testing.assert_allclose(newest, rug, atol=1e-6 * rug.max())  # the chart's are float32

    # zoom, and the chart itself, survive a change of a slider
    page.evaluate(
        f"""() => {{ window.kept = document.querySelector('{FIGURE}');
        return window.Plotly.relayout(window.kept, {{'xaxis.range': [1, 5]}}); }}"""
    )
    lab.set_exact("Step size η", "0.1")
    page.wait_for_timeout(1500)
    assert page.evaluate(RANGE) == [1, 5]
    assert page.evaluate(f"() => window.kept === document.querySelector('{FIGURE}')")
    lab.traces("Spectrum", "2/η = 10")  # still there
    lab.screenshot("spectrum")
    lab.press("Clear")
    page.locator(FIGURE).wait_for(state="detached")
    assert captions.count() == 0
