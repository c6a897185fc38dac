"""The figures of an inspection as data: valid for Plotly, and true to the inspection."""

from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest

from pages.parts.components.figures import encode
from pages.parts.lab.inspection import _multiplier_figure, multiplier_words
from pages.parts.views import slices
from pages.parts.views.classified_images import about_fit, fit_figures
from samedge_core.theory.rules import RULES
from samedge_core.training.config import RunConfig
from samedge_core.training.inspect_step import inspection_at
from samedge_core.training.inspection import Inspection
from samedge_core.training.loop import build_problem
from samedge_core.training.state import TrainState

NET = RunConfig(problem="digits-mlp", options={"n": 30, "width": 3}, top_k=3)


def made(rule: str) -> Inspection:
    config = NET.replace(rule=rule, eta=0.002 if RULES[rule].preconditioned else NET.eta)
    problem = build_problem(config)
    state = TrainState.initial(config, problem)
    return inspection_at(config, problem, state, 5, with_spectrum=False)


def plain(value):
    """Names of colours replaced by a colour, so that Plotly's own check can read all the rest."""
    if isinstance(value, str) and value.startswith("@"):
        return "#123456"
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("rule", list(RULES))
def test_figures_are_valid_and_show_the_moment_s_own_numbers(rule):
    found = made(rule)
    drawn = slices.figures_of(found, "", height=300)
    drawn.append(_multiplier_figure(found, " (GD)", columns=2))
    for figure in drawn:
        go.Figure(plain(list(figure.traces)), plain(dict(figure.layout)))
        encode(figure.traces)
    for figure, line in zip(drawn, found.slices, strict=False):
        traces = {trace["name"]: trace for trace in figure.traces}
        np.testing.assert_array_equal(traces["loss"]["y"], line.losses)
        np.testing.assert_array_equal(traces["quadratic model"]["y"], line.model)
        uphill = RULES[rule].perturbed
        points = ["w", uphill, "w′"] if uphill else ["w", "w′"]
        assert [n for n in traces if n.startswith("w")] == points
        for name, mark in zip(points, line.marks, strict=True):
            assert (traces[name]["x"][0], traces[name]["y"][0]) == (mark.offset, mark.on_line)
    np.testing.assert_array_equal(drawn[2].traces[0]["y"], found.multipliers)


@pytest.mark.parametrize("rule", ["gd", "sam"])
def test_the_function_is_drawn_with_its_examples_and_what_the_step_adds(rule):
    config = RunConfig(problem="chebyshev-mlp", rule=rule, eta=0.2, rho=0.02)
    problem = build_problem(config)
    state = TrainState.initial(config, problem)
    fit = inspection_at(config, problem, state, 5, with_spectrum=False).fit
    assert fit is not None
    computes, changes = fit_figures(fit, rule, " (a)")
    for figure in (computes, changes):
        go.Figure(plain(list(figure.traces)), plain(dict(figure.layout)))
        encode(figure.traces)
    drawn = {trace["name"]: trace["y"] for trace in (*computes.traces, *changes.traces)}
    np.testing.assert_array_equal(drawn["examples"], fit.y)
    np.testing.assert_array_equal(drawn["f at w"], fit.values)
    np.testing.assert_allclose(drawn["f at w′"] - drawn["f at w"], fit.change, atol=1e-7)
    np.testing.assert_array_equal(drawn["all of it"], fit.change)
    np.testing.assert_array_equal(drawn["its part along v₁"], fit.along_v1)
    half = replace(fit, along_v1=fit.change / 2)
    assert "Without it, 50 % of the change is left" in about_fit(half)
    still = replace(fit, change=0 * fit.change, along_v1=0 * fit.change)
    assert "Without it" not in about_fit(still)


def test_words_say_what_a_step_does():
    found = made("gd")
    eta = found.hyper.eta
    values = np.array([2.03 / eta, 0.5 / eta, -0.1 / eta, 1.5 / eta, np.nan])
    words = multiplier_words(replace(found, eigenvalues=values, residuals=np.zeros(5)))
    assert [text.partition(" is ")[2] or text for text in words] == [
        "multiplied by −1.03: unstable, grows by 3 % a step, changing sign",
        "multiplied by 0.5: stable, shrinks by 50 % a step",
        "multiplied by 1.1: unstable, grows by 10 % a step",
        "multiplied by −0.5: stable, shrinks by 50 % a step, changing sign",
        "λ₅ was not found",
    ]
