"""The report from disk, without a network: charts that are drawn and that answer the mouse."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page

import samedge_core as se
from samedge_core.sharing.report import report_html

HERE = ("file:", "data:", "blob:")
READ_LINES = """chart => Object.fromEntries(Array.from(
  chart.querySelectorAll('.scatterlayer .trace .js-line'),
  (line, index) => [index, line.getTotalLength()]))"""


@pytest.fixture(scope="module")
def history() -> se.History:
    config = se.RunConfig(problem="two-weight", rule="sam", eta=0.3, rho=0.05, steps=120)
    return se.run(config, interventions=[se.Intervention(60, {"eta": 0.25})])


@pytest.fixture(scope="module")
def file(history, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("a folder & more") / "report.html"
    path.write_text(report_html(history), encoding="utf-8")
    return path


@pytest.fixture(scope="module", params=["light", "dark"])
def page(request, browser: BrowserContext, file: Path) -> Iterator[Page]:
    """The open report; an error, or a request that leaves the disk, fails the test."""
    browser.set_offline(True)
    faults: list[str] = []
    page = browser.new_page()
    page.emulate_media(color_scheme=request.param)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text))
    page.on("request", lambda sent: None if sent.url.startswith(HERE) else faults.append(sent.url))
    page.goto(file.as_uri())
    page.wait_for_function("document.querySelectorAll('.main-svg .xtick').length > 0")
    yield page
    page.close()
    browser.set_offline(False)
    assert faults == []


def _luminance(colour: str) -> float:
    """Relative luminance of "rgb(r, g, b)", after WCAG 2."""
    parts = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    low, high = sorted([_luminance(one), _luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_no_button_offers_to_upload_the_run(page):
    buttons = page.locator(".js-plotly-plot").first.locator(".modebar-btn")
    titles = buttons.evaluate_all("buttons => buttons.map(button => button.dataset.title)")
    assert titles == [
        "Download plot as a PNG",
        "Zoom",
        "Pan",
        "Zoom in",
        "Zoom out",
        "Autoscale",
        "Reset axes",
    ]


def test_every_chart_is_drawn(page):
    charts = page.locator(".js-plotly-plot")
    assert charts.count() == 4
    for chart in charts.all():
        lengths = chart.evaluate(READ_LINES)
        assert lengths
        assert all(length > 100 for length in lengths.values()), lengths  # pixels


def test_a_chart_has_the_run_of_the_page(page, history):
    chart = page.locator(".js-plotly-plot").first
    read = "c => { const t = c._fullData[0]; return [t.name, Array.from(t.x), Array.from(t.y)]; }"
    name, steps, values = chart.evaluate(read)
    assert name == "sharpness |λ₁|"
    assert steps == list(range(120))
    assert values == history.columns()["sharpness"].tolist()


def test_hover_tells_the_numbers_and_is_readable(page, history):
    chart = page.locator(".js-plotly-plot").first
    chart.scroll_into_view_if_needed()
    box = chart.locator(".nsewdrag").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    label = chart.locator(".hoverlayer .legend")
    label.wait_for()
    step = int(label.locator(".legendtitletext").text_content() or "")
    sharpness = history.columns()["sharpness"][step]
    texts = label.locator(".legendtext").all_text_contents()
    assert any(f"sharpness |λ₁| : {sharpness:.5g} ±" in text for text in texts), texts
    colours = label.evaluate(
        "l => [l.querySelector('text'), l.querySelector('.bg')].map(e => getComputedStyle(e).fill)"
    )
    assert _contrast(*colours) > 4.5  # WCAG 2, AA


def test_dragging_zooms_and_a_double_click_goes_back(page):
    chart = page.locator(".js-plotly-plot").first
    chart.scroll_into_view_if_needed()
    box = chart.locator(".nsewdrag").bounding_box()
    middle = box["y"] + box["height"] / 2
    left, right = (box["x"] + share * box["width"] for share in (0.25, 0.75))
    span = "c => c._fullLayout.xaxis.range[1] - c._fullLayout.xaxis.range[0]"
    before = chart.evaluate(span)
    page.mouse.move(left, middle)
    page.mouse.down()
    page.mouse.move(right, middle, steps=5)
    page.mouse.up()
    # half of the width was dragged over, to a pixel or two
    assert chart.evaluate(span) == pytest.approx(before / 2, rel=0.01)
    page.mouse.dblclick(left, middle)
    page.wait_for_function(
        "([c, before]) => Math.abs(c._fullLayout.xaxis.range[1] - c._fullLayout.xaxis.range[0] "
        "- before) < 1e-6 * before",
        arg=[chart.element_handle(), before],
    )
