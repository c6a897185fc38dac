"""What a network computes as figures: valid for Plotly, true to the run, small, to one scale."""

import json
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

from pages.parts.components.figures import encode
from pages.parts.views import computed as module
from pages.parts.views.computed import _figures, function, regions
from samedge_core.training.compute import compute, examples_of
from samedge_core.training.computed import Computed, Examples
from samedge_core.training.config import RunConfig
from samedge_core.training.loop import build_problem
from tests.pages.lab.test_inspection import plain


def made(problem: str, step: int = 1234, **options) -> tuple[Examples, Computed]:
    built = build_problem(RunConfig(problem=problem, options=options))
    domain = built.domain()
    assert domain is not None
    w = 2 * built.init(seed=0)
    found = compute(built, domain, w, step, probabilities=False)
    assert found is not None
    return examples_of(domain), found


@pytest.mark.parametrize("shape", ["circles", "spirals-3"])
def test_the_regions_are_drawn_with_their_points(shape):
    given, found = made("points-mlp", shape=shape, n=30, n_test=12)
    figure = regions(given, found, "GD", 100)
    go.Figure(plain(list(figure.traces)), plain(dict(figure.layout)))
    (raster,) = figure.rasters
    np.testing.assert_array_equal(raster.z, found.values)
    # colours stand around the points of the grid, so that half of one looks out on each side
    (left, right), side = given.ranges[0], len(found.values)
    half = (right - left) / (side - 1) / 2
    assert raster.x == pytest.approx((left - half, right + half))
    # a colour for each class, and no byte without one
    values = [value for value, _ in raster.stops]
    assert values == sorted(values)
    assert (values[0], values[-1] >= found.values.max()) == (0, True)
    drawn = [trace for trace in figure.traces if trace["type"] == "scatter"]
    for kind, x, y in (("", given.x, given.y), ("-open", given.x_test, given.y_test)):
        its = [t for t in drawn if t["marker"]["symbol"].endswith("-open") == bool(kind)]
        assert len(its) == given.classes
        for k, trace in enumerate(its):
            np.testing.assert_array_equal(trace["x"], x[y == k][:, 0])
            np.testing.assert_array_equal(trace["y"], x[y == k][:, 1])
    shown = [trace["name"] for trace in drawn if trace["showlegend"]]
    assert sorted(shown) == [*(f"class {k}" for k in range(given.classes)), "held out"]


def test_the_border_is_where_the_prediction_changes():
    given, found = made("points-mlp", shape="spirals-3")
    figure = regions(given, found, "", 100)
    borders = [trace["z"] for trace in figure.traces if trace["type"] == "contour"]
    which = found.values // 85
    assert len(np.unique(which)) > 1
    for k, border in zip((1, 2), borders, strict=True):
        np.testing.assert_array_equal(border > 127.5, which == k)


def test_it_says_its_step_and_how_much_is_right():
    given, found = made("points-mlp")
    told = replace(found, accuracy=0.985, held_out_accuracy=0.5)
    words = "step 1,234: 98.5 % right, held out 50 %"
    figure = regions(given, told, "", 100)
    assert figure.layout["xaxis"]["title"]["text"] == words
    assert figure.summary == f"Decision surface at {words}"
    named = regions(given, told, "SAM", 100)
    assert named.layout["xaxis"]["title"]["text"] == f"<b>SAM</b><br>{words}"
    assert named.summary == f"Decision surface (SAM) at {words}"
    nothing = replace(given, sizes=(200, 0))
    assert "held out" not in regions(nothing, told, "", 100).summary


def test_the_function_is_drawn_with_its_examples():
    given, found = made("chebyshev-mlp")
    figure = function(given, found, "", (-2.0, 2.0))
    go.Figure(plain(list(figure.traces)), plain(dict(figure.layout)))
    curve, examples = figure.traces
    np.testing.assert_array_equal(curve["y"], found.values)
    assert (curve["x"][0], curve["x"][-1], len(curve["x"])) == (-1, 1, len(found.values))
    np.testing.assert_array_equal(examples["y"], given.y[:, 0])
    assert f"step 1,234: loss {found.loss:.4g}" in figure.summary


def test_functions_have_one_scale_that_holds_all_of_them():
    given, found = made("chebyshev-mlp")
    tall = replace(found, values=5 * np.abs(found.values) + 3)
    figures = _figures([(given, found, "GD"), (given, tall, "SAM")])
    spans = [figure.layout["yaxis"]["range"] for figure in figures]
    assert spans[0] == spans[1]
    assert spans[0][1] > tall.values.max()
    assert spans[0][0] < min(given.y.min(), found.values.min())


@pytest.mark.parametrize(("runs", "most"), [(1, 15_000), (2, 20_000), (6, 50_000)])
def test_an_update_is_small(runs, most):
    given, found = made("points-mlp", n=5000, n_test=5000)
    busy = replace(found, values=torch.randint(0, 256, found.values.shape).numpy().astype("uint8"))
    figures = _figures([(given, busy, f"run {number}") for number in range(runs)])
    assert len(json.dumps(encode(figures))) < most


def test_the_points_of_all_pictures_together_are_limited():
    given, found = made("points-mlp", n=1000, n_test=1000)
    for runs in (1, 2, 6):
        figures = _figures([(given, found, f"run {number}") for number in range(runs)])
        points = [len(t["x"]) for f in figures for t in f.traces if t["type"] == "scatter"]
        assert 0.9 * module.MOST_POINTS < sum(points) <= module.MOST_POINTS
