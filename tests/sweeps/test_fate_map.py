"""Maps of fates: exact on quadratics, the same at every zoom, and what is said of them."""

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from samedge_core.fields import ConfigError
from samedge_core.sweeps.fate_map import (
    LOG_SPANS,
    POINTS,
    PREVIEW,
    Plane,
    alone,
    lines,
    picture,
    shares,
    told,
)
from samedge_core.sweeps.fate_process import FateProcess
from samedge_core.sweeps.following import CONVERGED, DIVERGED, FATE, HOPS
from samedge_core.theory.edges import sam_edge
from samedge_core.theory.two_weight import TwoWeightLandscape


@pytest.fixture(scope="module")
def follow_all():
    process = FateProcess()
    yield process.follow_all
    process.close()


def nobody(*request):
    raise AssertionError("a quadratic needs no process")


def fates(plane: Plane, count: int = 128) -> np.ndarray:
    return picture(plane, plane.whole, count, nobody) // FATE


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("rule", ["gd", "sam", "usam", "polyak"])
def test_on_a_quadratic_divergence_begins_exactly_at_the_edge(rule, log):
    plane = Plane("quadratic", rule, "eta", "curvature", log=log, rho=0.3, beta=0.5)
    found = fates(plane)
    eta, curvature = (
        np.array(plane.points(plane.whole, 128)[0]),
        np.array(plane.points(plane.whole, 128)[1])[:, None],
    )
    edge = {
        "gd": eta * curvature > 2,
        "sam": eta * curvature >= 2,
        "usam": eta * curvature * (1 + 0.3 * curvature) > 2,
        "polyak": eta * curvature > 2 + 2 * 0.5,
    }[rule]
    assert np.array_equal(found == DIVERGED, edge)
    assert set(np.unique(found[~edge])) == {HOPS if rule == "sam" else CONVERGED}


def test_on_the_edge_itself_gd_hops_and_sam_diverges():
    for rule, fate in (("gd", HOPS), ("sam", DIVERGED)):
        for eta, expected in ((0.25, fate), (np.nextafter(0.25, 1), DIVERGED)):
            plane = Plane("quadratic", rule, "eta", "curvature", eta=eta, curvature=8.0)
            assert alone(plane)[0] // FATE == expected


def test_the_steps_on_a_quadratic_are_those_that_a_power_needs():
    plane = Plane("quadratic", "gd", "eta", "curvature", eta=0.25, curvature=2.0)
    assert told(alone(plane)[0]) == f"converges in {math.ceil(12 / math.log10(2))} steps"
    grows = Plane("quadratic", "gd", "eta", "curvature", eta=1.5, curvature=2.0)
    assert told(alone(grows)[0]) == f"diverges in {math.ceil(4 / math.log10(2))} steps"
    slow = Plane("quadratic", "gd", "eta", "curvature", eta=1e-9, curvature=1.0)
    assert told(alone(slow)[0]) == "converges in 16,383 or more steps"


@pytest.mark.parametrize("rule", ["gd", "sam", "usam", "polyak"])
@pytest.mark.parametrize("width", [1.0, 1e-6, 1e-11])
def test_at_every_zoom_a_pixel_is_the_point_computed_alone(follow_all, rule, width):
    plane = Plane(rule=rule, x="eta", y="a", log=rule == "sam")
    x, y = (math.log10(0.62) if plane.is_log("eta") else 0.62), 1.6  # near the border of each
    view = plane.within((x - width / 4, x + width / 4, y - width, y + width))
    values, (xs, ys) = picture(plane, view, 64, follow_all), plane.points(view, 64)
    random = np.random.default_rng(1)
    for column, row in random.integers(0, 64, (60, 2)):
        assert alone(plane.at(xs[column], ys[row]))[0] == values[row, column]
    assert values.shape == (64, 64)


def test_a_part_of_a_picture_is_what_zooming_into_it_shows(follow_all):
    plane = Plane()
    whole = picture(plane, (0.0, 1.0, 0.0, 2.0), 64, follow_all)
    part = picture(plane, (0.5, 0.75, 1.5, 2.0), 16, follow_all)  # powers of two: the same points
    assert np.array_equal(whole[48:, 32:48], part)


def test_the_boundary_of_gd_has_structure_at_every_scale(follow_all):
    """Zooming onto a boundary point, over and over, never leaves one fate alone."""
    plane = Plane(y="b", x="a", eta=0.3)
    view = plane.whole
    for _ in range(8):
        values = picture(plane, view, 64, follow_all) // FATE
        rows, columns = np.nonzero(values[:, 1:] != values[:, :-1])
        assert len(rows) > 32  # a line crosses 64 rows: here it does not thin out
        xs, ys = plane.points(view, 64)
        middle = len(rows) // 2
        x, y = xs[columns[middle]], ys[rows[middle]]
        width = (view[1] - view[0]) / 20
        view = plane.within((x - width, x + width, y - width, y + width))


def test_a_view_stays_on_the_map_and_ends_where_float64_does():
    plane = Plane()
    assert plane.within((-1.0, 9.0, -9.0, 9.0)) == plane.whole
    assert plane.within((0.5, 0.7, 1.0, 2.0)) == (0.5, 0.7, 1.0, 2.0)
    for wrong in (
        (),
        (0.0,),
        (1.0, 0.5, 0.0, 1.0),
        (math.nan, 1.0, 0.0, 1.0),
        (5.0, 6.0, 0.0, 1.0),
    ):
        assert plane.within(wrong) == plane.whole
    x0, x1, y0, y1 = plane.within((0.7, 0.7 + 1e-16, 1.5, 1.5 + 1e-15))
    for values in plane.points((x0, x1, y0, y1), POINTS):
        assert len(set(values)) > 0.9 * POINTS  # about one number of Float64 for each
    assert x1 - x0 < 1e-12


def test_what_has_no_map_is_refused_with_what_has():
    cases: list[tuple[dict[str, Any], str]] = [
        ({"problem": "digits-mlp"}, "must be one of two-weight, quadratic, got 'digits-mlp'"),
        ({"rule": "nesterov"}, "must be one of gd, sam, usam, polyak, got 'nesterov'"),
        ({"x": "curvature"}, "x must be one of eta, rho, beta, a, b, got 'curvature'"),
        ({"y": "eta"}, "y must be one of rho, beta, a, b, got 'eta'"),
    ]
    for changed, message in cases:
        with pytest.raises(ConfigError, match=message):
            Plane(**changed)


def test_shares_are_of_all_points():
    values = np.array([[0, 5], [FATE * DIVERGED + 3, FATE * HOPS]], np.uint16)
    assert shares(values) == {CONVERGED: 0.5, HOPS: 0.25, 2: 0.0, DIVERGED: 0.25}


@pytest.mark.parametrize("log", [False, True])
def test_the_curves_are_where_the_start_is_at_an_edge(log):
    plane = Plane(rule="sam", x="eta", y="rho", log=log)
    found = lines(plane, plane.whole)
    landscape = TwoWeightLandscape()
    sharpness, norm = landscape.sharpness([2.5, 0.6]), np.hypot(*landscape.gradient([2.5, 0.6]))
    eta, rho = (10.0**v if log else v for v in found["SAM-edge = λ₀"][0])
    assert sam_edge(eta, rho, norm) == pytest.approx(np.full(len(eta), sharpness), rel=1e-9)
    eta, _ = found["ηλ₀ = 2"][0]
    assert (10.0**eta if log else eta) * sharpness == pytest.approx(np.full(len(eta), 2.0))
    assert LOG_SPANS["rho"][0] > 0


def test_in_the_plane_of_starts_the_curve_has_the_sharpness_of_the_edge():
    for x, y in (("a", "b"), ("b", "a")):
        ((u, v),) = lines(Plane(x=x, y=y, eta=0.3), (-4.0, 4.0, -4.0, 4.0))["λ₀ = 2/η"]
        known = ~np.isnan(u)
        a, b = (u, v) if x == "a" else (v, u)
        sharpness = TwoWeightLandscape().sharpness([a[known], b[known]])
        assert sharpness == pytest.approx(np.full(known.sum(), 2 / 0.3), rel=1e-6)


def test_the_map_loads_neither_a_compiler_nor_torch():
    code = (
        "import sys, samedge_core.sweeps.fate_map, samedge_core.sweeps.fate_process;"
        "print([m for m in ('numba', 'torch', 'dask', 'distributed') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_a_preview_and_a_view_are_quick(follow_all):
    """The costliest view, every point of which takes all steps under SAM. On a machine with two
    free cores a preview takes .02 s and a view .7 s; here others may be at work."""
    from time import perf_counter

    plane = Plane(rule="sam", x="a", y="b", rho=0.2)
    view = plane.within((0.5, 1.5, 0.5, 1.5))
    picture(plane, view, 8, follow_all)  # starts the process
    seconds = []
    for count in (PREVIEW, POINTS):
        start = perf_counter()
        picture(plane, view, count, follow_all)
        seconds.append(perf_counter() - start)
    assert seconds[0] < 2
    assert seconds[1] < 20
