"""The pictures of the quadratic page as data: valid for Plotly, finite, true to the formulas."""

import itertools

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pages.parts.components.figures import Figure, encode
from pages.parts.quadratic import (
    balanced,
    catapult,
    derivation,
    draw,
    one_dimension,
    stability_map,
    two_dimensions,
    two_weights,
)
from pages.parts.quadratic.remarks import remarks
from pages.parts.quadratic.scenes import DESCENTS
from pages.parts.quadratic.settings import AXES, DEFAULTS, FIELDS, LOGGED, PARTS, PRESETS, Values
from pages.parts.views import drawing
from samedge_core.theory.descent import PLAIN_RULES, Trajectory
from samedge_core.theory.edges import sam_edge
from samedge_core.theory.quadratics import orbit_radius


def figures(values: Values) -> list[Figure]:
    module = DESCENTS.get(values["part"])
    if module:
        return module.figures(values, module.runs(values))
    return {"map": stability_map, "derivation": derivation}[values["part"]].figures(values)


def trace(figure: Figure, name: str) -> dict:
    return next(trace for trace in figure.traces if trace.get("name") == name)


def plain(value):
    """Names of colours replaced by a colour, so that Plotly's own check can read all the rest."""
    if isinstance(value, str) and value.startswith("@"):
        return "#123456"
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list | tuple) else value


def check(figure: Figure) -> None:
    layout = dict(figure.layout)
    go.Figure(plain(list(figure.traces)), plain(layout))  # raises on what Plotly does not know
    for axis in (value for name, value in layout.items() if "axis" in name):
        if "range" in axis:
            assert np.isfinite(axis["range"]).all()
            assert axis["range"][0] < axis["range"][1]
    texts = [str(item["text"]) for item in layout.get("annotations", [])]
    texts += [str(item.get("name", "")) for item in figure.traces]
    assert not any(word in text for text in texts for word in ("nan", "inf"))
    for raster in figure.rasters:
        assert np.isfinite(raster.z).all()
    encode(figure.traces)
    assert any(_drawn(item) for item in figure.traces) or figure.rasters


def _drawn(item: dict) -> bool:
    return len(item.get("x", ())) > 0 and item["x"][0] is not None


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_draws_valid_figures(preset):
    for figure in figures({**DEFAULTS, **PRESETS[preset].values}):
        check(figure)


@pytest.mark.parametrize(("x", "y"), list(itertools.permutations(AXES, 2)))
@pytest.mark.parametrize("rule", ["gd", "sam", "usam"])
def test_every_map_is_valid(x, y, rule):
    values = {**DEFAULTS, "part": "map", "map_x": x, "map_y": y, "map_rule": rule}
    for figure in figures(values):
        check(figure)


def _any_value(name: str):
    field = FIELDS[name]
    if field.kind == "bool":
        return st.booleans()
    assert field.suggested
    assert field.low is not None
    assert field.high is not None
    usual = st.floats(*map(float, field.suggested))
    extreme = st.sampled_from([field.low or 1e-9, field.high, *field.suggested])
    if field.low <= 0 and not field.open_low:
        extreme |= st.just(0.0)
    return (usual | extreme).map(lambda v: int(v) if field.kind == "int" else v)


NUMBERS = [name for name, field in FIELDS.items() if field.suggested or field.kind == "bool"]


@settings(max_examples=60, deadline=None)
@given(
    part=st.sampled_from(list(PARTS)),
    changed=st.fixed_dictionaries({name: _any_value(name) for name in NUMBERS}),
)
def test_any_allowed_setting_draws_valid_figures(part, changed):
    values = {**DEFAULTS, **changed, "part": part}
    if not any(values[rule] for rule in PLAIN_RULES):
        values |= {"sam": True}  # the page never shows none
    if values["steps"] > 500 or values["walk"] > 500:
        values |= {"steps": 500, "walk": 500}  # long runs have a test of their own
    for figure in figures(values):
        check(figure)
    module = DESCENTS.get(part)
    for remark in remarks(values, module.runs(values) if module else {}):
        assert "nan" not in remark


def outcome(run: Trajectory) -> str:
    """What a long descent does: it diverges, settles, or keeps hopping over one distance."""
    size = np.hypot.reduce(run.w, axis=1)
    if run.escaped or size[-1] > 50 * max(size[0], 1):
        return "diverges"
    return "settles" if size[-1] < 1e-9 else "hops"


BEYOND = {
    "every rule diverges": "diverges diverges diverges",
    "every rule hops": "hops hops hops",
    "those of SAM and USAM grow": "hops diverges diverges",
    "USAM diverges": "settles hops diverges",
    "": "settles hops settles",
}


PLACES = [
    {},
    {"part": "plane"},
    {"part": "plane", "ratio": 1.0},
    {"part": "plane", "x0": 0.0, "angle": 0.0, "ratio": 0.5},
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("stretch", [0.5, 1.0, 1.9, 2.0, 2.05])
@pytest.mark.parametrize("rho", [0.0, 0.05, 0.3])
def test_remarks_say_what_the_rules_do(place, stretch, rho):
    """eta lambda below, at and beyond 2, along the direction that the start has a part in."""
    curvature = 5 if place.get("x0") != 0 else 2.5
    values = {
        **DEFAULTS,
        **place,
        "eta": stretch / curvature,
        "rho": rho,
        "usam": True,
        "steps": 3000,
    }
    runs = DESCENTS[values["part"]].runs(values)
    text = " ".join(remarks(values, runs))
    expected = next(words for said, words in BEYOND.items() if said in text).split()
    if rho == 0 and stretch < 2:
        expected = ["settles"] * 3
    assert [outcome(run) for run in runs.values()] == expected


def test_without_a_part_along_the_top_eigenvector_the_orbit_is_that_of_the_other():
    values = {**DEFAULTS, "part": "plane", "angle": 0.0, "x0": 0.0, "steps": 500}
    runs = two_dimensions.runs(values)
    predicted = trace(two_dimensions.figures(values, runs)[2], "‖g*‖, predicted")["y"][0]
    assert runs["sam"].grad_norm[-1] == pytest.approx(predicted, rel=1e-9)
    assert "no part along v₁" in " ".join(remarks(values, runs))


def test_the_valley_hops_as_its_preset_says():
    values = {**DEFAULTS, **PRESETS["valley"].values}
    run = two_weights.runs(values)["sam"]
    ratio = run.sharpness / run.edge
    assert sorted(f"{value:.2f}" for value in ratio[-2:]) == ["0.88", "1.17"]
    assert "0.88 and 1.17" in PRESETS["valley"].look


def test_a_peak_is_not_said_to_grow_on():
    values = {**DEFAULTS, "part": "valley", "eta": 0.6, "rho": 0.0045, "a0": 0.48, "b0": 1.98}
    runs = two_weights.runs(values)
    assert runs["gd"].grad_norm[-1] < 1e-9
    beside = two_weights.figures(values, runs)[1]
    top = f"GD goes up to {runs['gd'].grad_norm.max():.3g}"
    assert top in [item["text"] for item in beside.layout["annotations"]]


def test_the_dashed_orbit_and_the_iterates_meet():
    values = dict(DEFAULTS)
    figure = one_dimension.figures(values, one_dimension.runs(values))[0]
    radius = float(orbit_radius(5.0, 0.3, 0.2))
    assert [shape["x0"] for shape in figure.layout["shapes"]] == [-radius, radius]
    assert np.abs(trace(figure, "SAM")["x"][-1]) == pytest.approx(radius, rel=1e-9)


def test_the_edge_over_steps_is_the_formula_at_each_gradient_norm():
    values = dict(DEFAULTS)
    runs = one_dimension.runs(values)
    beside = one_dimension.figures(values, runs)[1]
    edge = trace(beside, "SAM-edge")
    norms = runs["sam"].grad_norm[edge["x"]]
    np.testing.assert_allclose(edge["y"], sam_edge(0.3, 0.2, norms), rtol=1e-14)


def test_what_diverges_is_clipped_with_an_arrow():
    values = {**DEFAULTS, **PRESETS["gd-above"].values}
    parabola, beside = one_dimension.figures(values, one_dimension.runs(values))
    assert "GD leaves at step" in parabola.layout["annotations"][0]["text"]
    assert [item["text"] for item in beside.layout["annotations"]] == ["GD grows on"] * 2
    assert np.nanmax(trace(beside, "GD")["y"]) > beside.layout["yaxis"]["range"][1]


def test_ten_thousand_steps_are_computed_and_few_are_drawn():
    values = {**DEFAULTS, "steps": 10_000, "part": "plane", "usam": True, "eta": 0.2}
    runs = two_dimensions.runs(values)
    assert runs["sam"].steps == 10_000
    for figure in two_dimensions.figures(values, runs):
        assert all(len(item["x"]) <= 1300 for item in figure.traces)


def test_no_hop_is_drawn_that_was_not_made():
    values = {**DEFAULTS, **PRESETS["valley"].values, "walk": 4001}
    run = two_weights.runs(values)["sam"]
    picture = two_weights.figures(values, {"sam": run})[0]
    hops = trace(picture, "SAM")
    steps = hops["meta"]["step"]
    drawn = np.isfinite(hops["x"])
    joined = drawn[1:] & drawn[:-1]
    assert joined.sum() > 200
    assert (np.diff(steps)[joined] == 1).all()
    np.testing.assert_array_equal(hops["x"][drawn], run.w[steps[drawn], 0])
    mean = trace(picture, "SAM: middle of its hops")
    late = mean["meta"]["step"] > 1000
    for axis, column in (("x", 0), ("y", 1)):
        assert np.ptp(run.w[1000:, column]) > 0.05
        # the drift of some 20 steps, from point to point
        assert np.abs(np.diff(mean[axis][late])).max() < 2e-3


def test_thousands_of_steps_are_a_band_and_a_middle_line_that_does_not_wave():
    values = {**DEFAULTS, **PRESETS["valley"].values, "walk": 4001}
    run = two_weights.runs(values)["sam"]
    beside = two_weights.figures(values, {"sam": run})[1]
    for name, y in (("SAM sharpness", run.sharpness), ("SAM ‖g‖", run.grad_norm)):
        middle = trace(beside, name)
        low, high = (trace(beside, f"{name}, {rim}") for rim in ("least", "most"))
        assert np.abs(np.diff(middle["y"][middle["x"] > 1000])).max() < 5e-3 * np.ptp(y[1000:])
        steps = np.arange(len(y))
        assert (y <= np.interp(steps, high["x"], high["y"]) + 1e-12).all()
        assert (y >= np.interp(steps, low["x"], low["y"]) - 1e-12).all()
        assert [item["showlegend"] for item in (low, high, middle)] == [False, False, True]


def test_the_gauge_shows_minus_one_on_the_orbit():
    values = {**DEFAULTS, "part": "plane", "steps": 500}
    gauge = two_dimensions.figures(values, two_dimensions.runs(values))[1]
    sam = trace(gauge, "SAM")
    assert sam["y"][-2:] == ["SAM v₁", "SAM v₂"]
    assert sam["x"][-2] == pytest.approx(-1, abs=1e-9)
    assert -1 < sam["x"][-1] < 1


def test_regions_of_the_map_change_at_the_drawn_boundary():
    values = {**DEFAULTS, "part": "map"}
    picture = stability_map.figures(values)[0]
    edge = trace(picture, "SAM-edge")
    xs, ys = edge["x"], np.geomspace(*stability_map.span("curvature"), stability_map.GRID)
    grows = picture.rasters[0].z == 2
    for k in range(0, len(xs), 20):
        np.testing.assert_array_equal(grows[:, k], ys > np.asarray(edge["y"])[k])


@pytest.mark.parametrize("part", PARTS)
def test_a_log_scale_changes_the_parts_that_offer_it_and_no_others(part):
    off, on = (
        [repr(figure.layout) for figure in figures({**DEFAULTS, "part": part, "log": log})]
        for log in (False, True)
    )
    assert (off != on) == (part in LOGGED)


def test_a_short_log_axis_has_whole_numbers_on_it():
    assert drawing.log_ticks(0.19, 1.7)["ticktext"] == ["0.1", "0.2", "0.5", "1", "2", "5"]
    assert drawing.log_ticks(0.19, 1.7)["minor"] == {}  # else Plotly draws thousands of them
    assert drawing.log_ticks(2, 9)["ticktext"] == ["1", "2", "5"]
    two = drawing.log_ticks(0.003, 0.2)["ticktext"]
    assert two == ["0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5"]
    assert {"0.4", "0.5", "0.6", "0.7", "0.8"} < {*drawing.log_ticks(0.36, 0.8)["ticktext"]}
    assert drawing.log_ticks(0.52, 0.58) == {}
    assert drawing.log_ticks(1e-9, 1) == {"dtick": 2}


def test_the_dot_is_the_current_setting():
    values = {**DEFAULTS, "part": "map", "grad_norm": 0.5}
    left, right = stability_map.figures(values)
    dots = [item for item in left.traces if item["name"].startswith("now")]
    assert (dots[0]["x"], dots[0]["y"]) == ([0.5], [5.0])
    dots = [item for item in right.traces if item["name"].startswith("now")]
    assert dots[0]["y"] == [sam_edge(0.3, 0.2, 0.5)]


def test_numbers_beside_the_scrubber_are_those_of_the_run():
    values = {**DEFAULTS, "part": "valley"}
    runs = two_weights.runs(values)
    scrub = draw.scrub(runs)
    assert scrub is not None
    for label, _, columns in scrub.rows:
        run = runs[label.lower()]
        loss, sharpness, norm, edge, ratio = columns
        np.testing.assert_array_equal(loss, run.loss[scrub.steps])
        np.testing.assert_array_equal(sharpness, run.sharpness[scrub.steps])
        np.testing.assert_array_equal(norm, run.grad_norm[scrub.steps])
        np.testing.assert_allclose(ratio, sharpness / edge)


def test_a_run_that_escaped_has_no_numbers_after_its_end():
    values = {**DEFAULTS, "part": "valley", "eta": 0.5, "a0": 3.0, "b0": 0.2}
    runs = two_weights.runs(values)
    assert runs["gd"].escaped
    scrub = draw.scrub(runs)
    assert scrub is not None
    rows = {label: columns for label, _, columns in scrub.rows}
    assert np.isnan(rows["GD"][0][scrub.steps > runs["gd"].steps]).all()
    assert any("GD diverges" in remark for remark in remarks(values, runs))


@pytest.mark.parametrize(("a0", "b0"), [(2.5, 0.6), (-1.5, 2.0), (0.1, -3.0)])
def test_level_lines_of_the_loss_lie_on_their_levels_and_in_the_picture(a0, b0):
    values = {**DEFAULTS, "part": "valley", "walk": 0, "a0": a0, "b0": b0}
    picture = figures(values)[0]
    a, b = np.array(trace(picture, "loss")["x"]), np.array(trace(picture, "loss")["y"])
    drawn = np.isfinite(a)
    levels = np.array(two_weights.LOSS_LEVELS)
    loss = (a * b - 1)[drawn] ** 2 / 2
    assert np.abs(loss[:, None] / levels - 1).min(axis=1).max() < 1e-9
    for at, axis in ((a, "xaxis"), (b, "yaxis")):
        low, high = picture.layout[axis]["range"]
        assert (at[drawn] >= low - 1e-9).all()
        assert (at[drawn] <= high + 1e-9).all()


def test_the_table_of_the_valley_holds_the_exact_laws_and_the_drift():
    values = {**DEFAULTS, **PRESETS["valley"].values, "walk": 400, "usam": True}
    runs = two_weights.runs(values)
    *exact, drift = two_weights.checks(values, runs)
    assert [check.what[:3] for check in exact] == ["GD:", "SAM", "USA"]
    for check, run in zip(exact, runs.values(), strict=True):
        a, b = run.w[-1]
        assert check.simulated == pytest.approx(a * a - b * b, abs=1e-12)
        assert check.predicted == pytest.approx(check.simulated, rel=1e-9)
    assert drift.agrees
    assert "off by 0." in drift.verdict
    beside = two_weights.figures(values, runs)[1]
    law = trace(beside, "SAM's drift, predicted")
    c = np.abs(run_c(runs["sam"]))[np.asarray(law["x"], dtype=int)]
    assert np.abs(law["y"] - c).max() < 0.1 * c[0]  # the iterates hop about the law


def run_c(run: Trajectory) -> np.ndarray:
    return run.w[:, 0] ** 2 - run.w[:, 1] ** 2


def test_gradient_flow_is_drawn_to_its_end():
    values = {**DEFAULTS, "part": "valley"}
    picture = two_weights.figures(values, two_weights.runs(values))[0]
    path, end = (item for item in picture.traces if item["name"] == "gradient flow keeps c")
    a, b = np.asarray(path["x"]), np.asarray(path["y"])
    np.testing.assert_allclose(a**2 - b**2, 2.5**2 - 0.6**2, rtol=1e-12)
    assert end["x"][0] * end["y"][0] == pytest.approx(1, rel=1e-12)
    assert "sharpness √(c² + 4) = 6.22" in end["hovertemplate"]


def test_where_sam_hops_in_another_period_the_drift_is_not_claimed():
    values = {**DEFAULTS, "part": "valley"}  # a hop of three
    runs = two_weights.runs(values)
    assert not any("drift" in check.what for check in two_weights.checks(values, runs))
    assert "no period of two" in " ".join(remarks(values, runs))


@pytest.mark.parametrize(
    ("eta", "said"),
    [
        (0.9, "comes to rest in a minimum"),
        (1.1, "between two points"),
        (1.27, "between four points"),
        (1.294, "in a period of 8"),
        (1.5, "in chaos, in one valley"),
        (1.68, "in chaos, in both valleys"),
        (1.7, "in both valleys, in a period of 6"),
        (2.05, "leaves for good"),
    ],
)
def test_the_fate_of_a_balanced_start_is_that_of_the_run(eta, said):
    values = {**DEFAULTS, "part": "balanced", "eta_balanced": eta, "hops": 500}
    assert said in " ".join(remarks(values, balanced.runs(values)))
    diagram, *_ = balanced.figures(values, balanced.runs(values))
    (raster,) = diagram.rasters
    at = round((eta - 0.6) / 1.5 * (balanced.COLUMNS - 1))
    rows = np.flatnonzero(raster.z[:, at - 1 : at + 2].any(axis=1))
    ends = balanced.runs(values)["gd"].w[-40:, 0]
    heights = (rows / (balanced.ROWS - 1) - 0.5) * 2 * balanced.REACH
    if eta < 1.3:  # in chaos no hop is met again
        assert np.abs(ends[:, None] - heights).min(axis=1).max() < 0.03


def test_a_drag_of_eta_draws_the_same_diagram():
    """The very same array, so that nothing is computed anew."""
    first, second = (
        balanced.figures(values, balanced.runs(values))[0].rasters[0].z
        for values in ({**DEFAULTS, "eta_balanced": eta} for eta in (1.1, 1.9))
    )
    assert first is second


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"k0": 1.5}, "not above 2: the loss falls at every step"),
        ({}, "a catapult: K falls at every step"),
        ({"k0": 4.1}, "above 4: K grows with the loss, and GD diverges"),
        ({"f0": 0.0}, "f = 0 is a minimum"),
        ({"k0": 0.05}, "No weights are there: K must be >= 2|f|/sqrt(n) = 0.1, got K = 0.05"),
    ],
)
def test_the_fate_of_a_catapult_is_that_of_the_run(changed, said):
    values = {**DEFAULTS, "part": "catapult", **changed}
    runs = catapult.runs(values)
    assert said in " ".join(remarks(values, runs))
    if not runs:
        assert catapult.checks(values, runs) == []
        return
    f, k = catapult._f_and_k(runs["gd"])
    if "falls at every step" in said:
        assert (np.diff(k) <= 1e-12).all()
        assert k[-1] < 2
        assert all(check.agrees for check in catapult.checks(values, runs))
    if "the loss falls" in said:
        assert (np.diff(np.abs(f)) <= 1e-12).all()
    if "diverges" in said:
        assert k[-1] > k[0]
