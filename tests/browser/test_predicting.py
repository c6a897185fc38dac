"""The prediction in a real browser: dashed before the run, which then follows it."""

import re

import numpy as np
import pytest

from samedge_core.prediction.deviation import deviation

STEPS = 120
# the parts of a line join where it begins or ceases to hold
PREDICTED = """(name) => {
  const plot = document.querySelector(`[role=figure][aria-label="${name}"]`);
  const found = (plot?.data ?? []).filter((trace) => trace.name === "predicted");
  return {
    dashes: [...new Set(found.map((trace) => trace.line.dash))],
    points: found.flatMap((trace) => Array.from(trace.x, (x, i) => [x, trace.y[i]])),
  };
}"""
CHARTS = ("Sharpness", "Sharpness / edge", "Gradient norm", "Loss")


def test_the_run_follows_the_dashed_line_and_the_page_says_how_well(open_lab):
    lab = open_lab(f"?v=1&problem=two-weight&rule=sam&eta=0.1&rho=0.05&steps={STEPS}")

    def predicted(chart: str) -> dict[int, float]:
        return dict(lab.page.evaluate(PREDICTED, chart)["points"])

    lab.page.keyboard.press("d")
    lab.until(lambda: all(len(predicted(chart)) == STEPS for chart in CHARTS), "dashed lines")
    assert lab.last_step() == -1  # the run has yet to take its first step
    (dash,) = lab.page.evaluate(PREDICTED, "Sharpness")["dashes"]
    assert "px" in dash
    assert "predict=true" in lab.page.url
    before = predicted("Sharpness")
    lab.press("Resume")
    lab.until_step(STEPS - 1)
    said = lab.page.get_by_text(re.compile("Predicted: the sharpness is off by"))
    lab.until(lambda: f"{STEPS:,} of {STEPS:,}" in lab.page.inner_text("body"), "the end")
    assert predicted("Sharpness") == before  # the run has not moved it
    measured = {}
    for column, chart, trace in (("sharpness", "Sharpness", "sharpness"), ("loss", "Loss", "loss")):
        measured[column] = np.array(lab.line(trace, chart)["y"])
    measured["step"] = np.arange(STEPS)
    columns = {"step": np.array([*before]), "sharpness": np.array([*before.values()])}
    columns["loss"] = np.array([predicted("Loss")[step] for step in before])
    error = deviation(columns, measured)
    lab.until(lambda: f"at step {error.at}" in said.inner_text(), "the words of the whole run")
    median, most = map(float, re.findall(r"([\d.e-]+) %", said.inner_text())[:2])
    # the charts have Float32 numbers, and the words two digits
    assert median == pytest.approx(100 * error.median, rel=0.06, abs=1e-4)
    assert most == pytest.approx(100 * error.most, rel=0.06, abs=1e-4)
    lab.page.keyboard.press("d")
    lab.until(lambda: not predicted("Sharpness"), "no dashed line")
