"""The report: one file, nothing loaded, nothing unescaped, the run's own numbers."""

import re
from html import unescape
from html.parser import HTMLParser

import pytest
from plotly.offline import get_plotlyjs

import samedge_core as se
from samedge_core.sharing.report import report_html

LOADING = {"script", "link", "img", "iframe", "object", "embed", "source", "video", "audio"}


class _Page(HTMLParser):
    """Tags with their attributes, and the text outside scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._in = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._in = ""

    def handle_data(self, data):
        if self._in == "script":
            self.scripts[-1] += data
        elif self._in != "style":
            self.text += data + "\n"


@pytest.fixture(scope="module")
def history() -> se.History:
    config = se.RunConfig(problem="two-weight", rule="sam", eta=0.3, rho=0.05, steps=40)
    return se.run(config, interventions=[se.Intervention(20, {"eta": 0.25})])


@pytest.fixture(scope="module")
def page(history) -> _Page:
    return _Page(report_html(history))


def test_nothing_is_loaded_from_anywhere(page, history):
    for tag, attributes in page.tags:
        assert not {"src", "href", "srcset", "data"} & set(attributes), (tag, attributes)
    ours = report_html(history).replace(get_plotlyjs(), "")
    assert not re.search(r"https?://|url\(|@import", ours)


def test_plotly_js_is_there_once(page):
    assert sum(len(script) > 1_000_000 for script in page.scripts) == 1
    assert sum("Plotly.newPlot" in script for script in page.scripts[1:]) == 4


def test_configuration_and_summary_are_shown(page, history):
    text = page.text
    for piece in ("SAM on two-weight, seed 0", "Step size η (eta)\n0.3\n", "Start a (a)\n2.5\n"):
        assert piece in text
    assert f"Training loss at the end\n{history.columns()['loss'][-1]:.5g}\n" in text
    assert "Step size η at the end\n0.25\n" in text
    assert "Step 20\nη 0.3 → 0.25\n" in text


def test_the_stop_is_named(page):
    assert "40 steps are recorded; all 40 steps are taken." in page.text


def test_what_is_unknown_is_a_dash(page):
    assert "Held-out loss at the end\n–\n" in page.text
    assert "nan" not in page.text


def test_text_from_outside_is_escaped(history):
    hostile = '</script><img src="http://example.com/x" onerror="alert(1)">'
    history = se.run(se.RunConfig(problem="two-weight", steps=2))
    history.stop = se.Stop(se.StopReason.FAILED, 2, hostile)
    text = report_html(history)
    assert hostile not in text
    assert hostile in unescape(text)
    assert "img" not in {tag for tag, _ in _Page(text).tags}


def test_both_colour_schemes(history):
    assert "prefers-color-scheme: dark" in report_html(history)


def test_equal_runs_give_equal_files(history):
    assert report_html(history) == report_html(history)


def test_a_run_without_rows_has_a_report():
    assert "0 steps are recorded; the run goes on." in report_html(se.History(se.RunConfig()))
