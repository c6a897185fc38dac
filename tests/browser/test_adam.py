"""Rules that are held against a threshold, in the live lab's charts."""

import re
from urllib.parse import urlencode

import numpy as np
import pandas as pd

from samedge_core.sharing import links
from samedge_core.training.config import RunConfig

ADAM = RunConfig(problem="chebyshev-mlp", rule="adam", eta=0.002, beta2=0.99, steps=120)
TITLE = "name => document.querySelector(`[aria-label='${name}']`).layout.yaxis.title.text"
SHOWN = "() => [...document.querySelectorAll('[role=figure]:not([hidden])')].map(e => e.ariaLabel)"


def run(open_lab, config: RunConfig):
    """The lab with a run that has ended, and its id."""
    lab = open_lab(f"?{urlencode(links.to_query(config))}")
    lab.press("Start")
    lab.page.get_by_text(re.compile("All .* steps are taken")).wait_for(timeout=90_000)
    return lab, re.search(r"run=(\w+)", lab.page.url)[1]  # pyright: ignore[reportOptionalSubscript]


def test_adam_is_drawn_against_its_threshold_and_beside_gd_against_its_edge(open_lab):
    lab, adam = run(open_lab, ADAM)
    lab.until(lambda: lab.page.evaluate(SHOWN)[0] == "Edge value", "the chart of the edge value")
    assert "Sharpness" not in lab.page.evaluate(SHOWN)
    assert lab.page.evaluate(TITLE, "Sharpness / edge") == "edge value / threshold"
    drawn = lab.traces("Edge value", "edge value", "threshold")
    ratio = lab.line("edge value / threshold", "Sharpness / edge")
    lab.page.get_by_text("Numbers", exact=True).click()
    with lab.page.expect_download() as waiting:
        lab.page.get_by_role("button", name="Download CSV").click()
    rows = pd.read_csv(waiting.value.path()).set_index("step")
    # the chart's numbers went through float32
    for line, column in (
        (drawn["edge value"], "edge_value"),
        (drawn["threshold"], "threshold"),
        (ratio, "ratio"),
    ):
        np.testing.assert_allclose(abs(rows[column].loc[line["x"]]), line["y"], rtol=1e-6)
    np.testing.assert_allclose(rows["threshold"], 38 / 0.002, rtol=1e-12)
    assert not np.isfinite(rows["edge"]).any()

    _, gd = run(open_lab, ADAM.replace(rule="gd", eta=0.2))
    both = open_lab(f"?run={adam},{gd}")
    first = ["Edge value", "Sharpness", "Sharpness / edge"]
    both.until(lambda: both.page.evaluate(SHOWN)[:3] == first, "the charts of both")
    (edge_value,) = [n for n in both.traces("Edge value") if n.startswith("edge value")]
    (sharpness,) = [n for n in both.traces("Sharpness") if n.startswith("sharpness")]
    assert "Adam" in edge_value
    assert "GD" in sharpness
    title = "edge value / threshold<br>sharpness / edge"
    assert set(both.page.evaluate(TITLE, "Sharpness / edge").split("<br>")) == set(
        title.split("<br>")
    )
    np.testing.assert_allclose(both.line(edge_value, "Edge value")["y"], drawn["edge value"]["y"])
    both.screenshot("adam-beside-gd")
