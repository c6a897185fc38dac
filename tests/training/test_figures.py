"""The static figures, against the rows that they are made from."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

import samedge_core as se
from samedge_core.training.figures import (
    MOST_POINTS,
    alignment_figure,
    eigenvalue_figure,
    loss_figure,
    paper_figures,
)

STEPS = 6
BAND = "± residual: an eigenvalue lies within"


def record(steps: int = STEPS, **settings) -> se.History:
    """Every second step is measured; step 2 has a negative eigenvalue and has not converged."""
    history = se.History(
        se.RunConfig(**{"rule": "sam", "eta": 0.5, "rho": 0.1, "top_k": 2, **settings})
    )
    for step in range(steps):
        row = se.Measurement(step, loss=2.0**-step, grad_norm=0.5)
        if step % 2 == 0:
            row.lambda_max = -3.0 if step == 2 else 2.0 + step
            row.others = (-1.0 - step,)
            row.converged = step != 2
            row.align_grad, row.align_sam = 0.25, 0.5
        history.append(row)
    return history


def traces(figure: go.Figure) -> list[Any]:
    return list(figure.select_traces())


def trace(figure: go.Figure, name: str) -> Any:
    (found,) = [item for item in traces(figure) if item.name == name]
    return found


def names(figure: go.Figure) -> list[str]:
    return [item.name for item in traces(figure)]


def test_eigenvalues_are_magnitudes_of_the_measured_rows():
    figure = eigenvalue_figure(record())
    sharpness = trace(figure, "sharpness |λ₁|")
    np.testing.assert_array_equal(sharpness.x, [0, 2, 4])
    np.testing.assert_array_equal(sharpness.y, [2.0, 3.0, 6.0])
    np.testing.assert_array_equal(trace(figure, "|λ₂|").y, [1.0, 3.0, 5.0])


def test_the_edge_in_force_is_drawn_at_every_step():
    history = record()
    edge = trace(eigenvalue_figure(history), "SAM-edge")
    np.testing.assert_array_equal(edge.x, np.arange(STEPS))
    # from the formula, not from the history's own column
    assert edge.y == pytest.approx(se.sam_edge(0.5, 0.1, 0.5))


def test_2_over_eta_is_drawn_when_asked_for_and_once():
    np.testing.assert_array_equal(trace(eigenvalue_figure(record()), "2/η").y, [4.0] * STEPS)
    assert "2/η" not in names(eigenvalue_figure(record(), gd_edge=False))
    assert names(eigenvalue_figure(record(rule="gd"))).count("2/η") == 1
    assert names(eigenvalue_figure(record(rule="gd"), gd_edge=False)).count("2/η") == 1


def test_after_a_change_of_rule_the_edge_has_both_names():
    history = record()
    history.intervene(se.Intervention(3, {"rule": "gd"}, {"rule": "sam"}))
    edge = trace(eigenvalue_figure(history), "SAM-edge, then 2/η")
    assert edge.y[3] == 4.0
    assert edge.y[2] == pytest.approx(se.sam_edge(0.5, 0.1, 0.5))


def test_estimates_that_have_not_converged_are_open_markers():
    marks = trace(eigenvalue_figure(record()), "not converged: a lower bound")
    np.testing.assert_array_equal(marks.x, [2])
    np.testing.assert_array_equal(marks.y, [3.0])
    assert marks.marker.symbol == "circle-open"


def test_the_residual_is_a_band_around_the_measured_sharpness():
    history = record()
    assert BAND not in names(eigenvalue_figure(history))  # none is known
    for step in (STEPS, STEPS + 1, STEPS + 2):
        measured = step != STEPS + 1
        history.append(
            se.Measurement(step, loss=1.0, grad_norm=0.5, lambda_max=-4.0, residual=0.25)
            if measured
            else se.Measurement(step, loss=1.0, grad_norm=0.5)
        )
    figure = eigenvalue_figure(history)
    upper, lower = trace(figure, BAND), trace(figure, f"{BAND}, lower rim")
    for rim, y in ((lower, 3.75), (upper, 4.25)):
        np.testing.assert_array_equal(rim.x, [0, 2, 4, STEPS, STEPS + 2])
        np.testing.assert_array_equal(rim.y, [np.nan] * 3 + [y] * 2)
    # filled down to the trace before it, with one entry in the legend
    drawn = names(figure)
    assert drawn.index(BAND) == drawn.index(f"{BAND}, lower rim") + 1
    assert (upper.fill, upper.showlegend, lower.showlegend) == ("tonexty", None, False)
    sharpness = trace(figure, "sharpness |λ₁|")
    np.testing.assert_array_equal(sharpness.customdata[-2:], [0.25] * 2)
    assert "± %{customdata" in sharpness.hovertemplate


def test_interventions_are_dotted_lines_with_a_label():
    history = record()
    history.intervene(se.Intervention(3, {"eta": 0.25}, {"eta": 0.5}))
    for figure in paper_figures(history).values():
        (line,) = figure.layout.shapes
        assert (line.x0, line.x1, line.line.dash) == (3, 3, "dot")
        (label,) = figure.layout.annotations
        assert label.text == "η 0.5 → 0.25"


def test_alignments_of_both_gradients():
    figure = alignment_figure(record())
    np.testing.assert_array_equal(trace(figure, "gradient at w").y, [0.25] * 3)
    np.testing.assert_array_equal(trace(figure, "gradient at w + ρu (SAM)").y, [0.5] * 3)
    assert figure.layout.yaxis.range == (0, 1.02)


def test_the_loss_is_on_a_log_scale_without_its_infinities():
    history = record()
    history.append(se.Measurement(STEPS, loss=np.inf, grad_norm=np.nan))
    figure = loss_figure(history)
    np.testing.assert_array_equal(
        trace(figure, "training loss").y, [2.0**-step for step in range(STEPS)]
    )
    assert figure.layout.yaxis.type == "log"


def test_curves_differ_in_more_than_colour():
    for figure in (eigenvalue_figure(record()), alignment_figure(record())):
        curves = [item for item in traces(figure) if item.mode == "lines"]
        assert len({(item.line.dash, item.line.width) for item in curves}) == len(curves)


def test_axes_say_what_they_are():
    for figure in paper_figures(record()).values():
        assert figure.layout.xaxis.title.text == "step (updates of w)"
        assert figure.layout.yaxis.title.text


def test_there_are_four_of_them():
    figures = paper_figures(record())
    assert len(figures) == 4
    both, own, _, _ = figures.values()
    assert "2/η" in names(both)
    assert "2/η" not in names(own)


def rims(figure: go.Figure, name: str) -> tuple[Any, Any]:
    """The lower and the upper rim of the band around a line."""
    return trace(figure, f"{name}, least"), trace(figure, f"{name}, most")


def test_long_runs_are_thinned_but_keep_their_peak():
    history = record(4 * MOST_POINTS)
    # the highest sharpness of all is that of the last measured step
    figure = eigenvalue_figure(history)
    assert all(len(item.x) <= MOST_POINTS for item in traces(figure))
    assert max(rims(figure, "sharpness |λ₁|")[1].y) == 4 * MOST_POINTS


def test_an_empty_history_makes_empty_figures():
    empty = se.History(se.RunConfig())
    for figure in [*paper_figures(empty).values(), empty.plot()]:
        assert not traces(figure)


# what `history.plot()` calls each column, and which of its charts (from 0, downward) that is in
DRAWN = {
    "sharpness |λ₁|": ("sharpness", 0),
    "|λ₂|": ("lambda_2", 0),
    "SAM-edge": ("edge", 0),
    "2/η": ("gd_edge", 0),
    "sharpness / edge": ("ratio", 1),
    "‖g‖": ("grad_norm", 2),
    "training loss": ("loss", 3),
    "held-out loss": ("held_out_loss", 3),
    "gradient at w": ("align_grad", 4),
    "gradient at w + ρu (SAM)": ("align_sam", 4),
    "gradient at w, leading subspace": ("align_grad_k", 4),
    "gradient at w + ρu, leading subspace": ("align_sam_k", 4),
    "training accuracy": ("accuracy", 5),
    "held-out accuracy": ("held_out_accuracy", 5),
}


def a_run(**settings) -> se.History:
    options = {"n": 40, "n_test": 20, "width": 6}
    config = {"rule": "sam", "eta": 0.5, "rho": 0.1, "top_k": 2, "steps": 12, "measure_every": 3}
    return se.run(se.RunConfig(options=options, **{**config, **settings}))


def test_every_number_of_the_whole_figure_is_the_historys():
    history = a_run()
    figure, columns = history.plot(), history.columns()
    curves = [item for item in traces(figure) if item.mode == "lines"]
    assert {item.name for item in curves} == set(DRAWN)
    for item in curves:
        column, chart = DRAWN[item.name]
        values = np.abs(columns[column])
        known = np.isfinite(values)
        assert known.any()
        np.testing.assert_array_equal(item.x, columns["step"][known])
        np.testing.assert_array_equal(item.y, values[known])
        assert item.yaxis == f"y{chart + 1}".removesuffix("1")
        assert item.legend == f"legend{chart + 1}".removesuffix("1")


def test_the_whole_figure_is_light_and_marks_interventions_in_every_chart():
    history = record()
    history.intervene(se.Intervention(3, {"eta": 0.25}, {"eta": 0.5}))
    figure = history.plot()
    assert (figure.layout.paper_bgcolor, figure.layout.plot_bgcolor) == ("#ffffff", "#ffffff")
    upright = [line for line in figure.layout.shapes if line.x0 == line.x1 == 3]
    assert [line.xref for line in upright] == ["x", "x2", "x3", "x4", "x5"]
    (level,) = [line for line in figure.layout.shapes if line.y0 == line.y1 == 1]
    assert level.yref == "y2"
    assert [item.text for item in figure.layout.annotations] == ["η 0.5 → 0.25"]
    assert figure.layout.xaxis5.title.text == "step (updates of w)"


def test_the_whole_figure_of_a_long_run_keeps_the_peaks_of_all_that_is_thinned_by():
    history = record(4 * MOST_POINTS)
    rows = history.columns()
    figure = history.plot()
    for name in ("sharpness |λ₁|", "‖g‖", "training loss", "sharpness / edge"):
        values = rows[DRAWN[name][0]]
        low, high = rims(figure, name)
        assert len(low.x) == len(high.x) <= MOST_POINTS
        assert max(high.y) == np.nanmax(values)
        if name == "training loss":  # below the range of float64 it is 0
            assert "0 left out" in figure.layout.yaxis4.title.text
            assert min(low.y) > 0
        else:
            assert min(low.y) == np.nanmin(values)


def test_a_share_of_the_data_is_named_at_the_axis():
    whole, part = (
        se.RunConfig(),
        se.RunConfig(hessian_share=0.25, batch_size=100, measure_on="fixed"),
    )
    for config, note in ((whole, ""), (part, "a fixed batch of 100, Hessian of 25 %")):
        history = se.History(config)
        history.append(se.Measurement(0, loss=1.0, grad_norm=1.0, lambda_max=1.0))
        title = eigenvalue_figure(history).layout.yaxis.title.text
        assert note in title
        assert ("<sub>" in title) == bool(note)


def losses(*values: float) -> se.History:
    history = se.History(se.RunConfig())
    for step, loss in enumerate(values):
        history.append(se.Measurement(step, loss=loss, grad_norm=1.0))
    return history


def test_a_loss_that_falls_below_0_is_drawn_as_it_is_on_a_linear_axis():
    figure = loss_figure(losses(1.0, 0.0, -2.0, np.nan, np.inf, -3.0))
    assert trace(figure, "training loss").y.tolist() == [1, 0, -2, -3]
    assert figure.layout.yaxis.type != "log"
    assert figure.layout.yaxis.title.text == "loss (linear: it goes below 0)"
    assert loss_figure(losses(0.0, 0.0)).layout.yaxis.title.text == "loss (linear: it is 0)"
    whole = losses(1.0, -1.0).plot()
    assert "linear" in whole.layout.yaxis4.title.text
    assert whole.layout.yaxis3.type == "log"  # the gradient norm's


def test_a_log_axis_says_that_zeros_are_left_out():
    figure = loss_figure(losses(1.0, 0.0, 0.5))
    assert trace(figure, "training loss").y.tolist() == [1, 0.5]
    assert figure.layout.yaxis.type == "log"
    assert figure.layout.yaxis.title.text == "loss (log scale, 0 left out)"


def test_the_saddle_of_a_quadratic_goes_down_in_the_picture_too():
    config = se.RunConfig(
        problem="quadratic", options={"eigenvalues": [2.0, -0.5]}, rule="gd", eta=0.3, steps=60
    )
    history = se.run(config)
    np.testing.assert_array_equal(
        trace(loss_figure(history), "training loss").y, history.columns()["loss"]
    )
    assert history.columns()["loss"][-1] < 0


@pytest.mark.parametrize("period", [2, 3])
def test_the_middle_line_of_a_long_hop_is_level_and_the_hover_says_what_it_is(period):
    steps = 3001
    history = se.History(se.RunConfig(rule="gd", eta=0.5))
    hop = np.cos(2 * np.pi * np.arange(steps) / period)
    for step, size in enumerate(hop):
        history.append(
            se.Measurement(
                step, loss=2 + size, grad_norm=2 + size, lambda_max=4 + size, residual=0.5
            )
        )
    figure = history.plot()
    for name, level in (("sharpness |λ₁|", 4), ("‖g‖", 2), ("training loss", 2), ("2/η", 4)):
        first, *rest = trace(figure, name).y
        assert first == level + (name != "2/η")  # the first step is itself
        np.testing.assert_allclose(rest, level, atol=1e-9)
    low, high = rims(figure, "sharpness |λ₁|")
    assert {round(v, 9) for v in low.y[1:]} == {round(4 + hop.min(), 9)}
    assert {round(v, 9) for v in high.y} == {5.0}
    at = names(figure).index("sharpness |λ₁|, least")
    assert names(figure)[at + 1] == "sharpness |λ₁|, most"  # filled down to the trace before it
    assert high.fillcolor == "rgba(61, 127, 224, 0.25)"
    said = trace(figure, "‖g‖").hovertemplate[1]
    assert said.startswith("%{y:.5~g} (mean of steps 1 to 7: least ")
    assert "± %{customdata" in trace(figure, "sharpness |λ₁|").hovertemplate[1]


def test_under_adam_edge_value_and_threshold_are_drawn_and_the_sharpness_where_it_was_measured():
    config = se.RunConfig(
        problem="two-weight",
        rule="sam-adam",
        eta=0.01,
        steps=40,
        sharpness_every=10,
        weight_decay=0.1,
    )
    history = se.run(config)
    figure: Any = history.plot()
    drawn = {trace.name: trace for trace in figure.data}
    columns = history.columns()
    for name, column in (
        ("edge value λ₁(A)", "edge_value"),
        ("Adam's threshold", "threshold"),
        ("without SAM's factor", "plain_value"),
        ("edge value / threshold", "ratio"),
    ):
        np.testing.assert_array_equal(drawn[name].y, columns[column])
    assert len(drawn["sharpness |λ₁|"].x) == 4
    assert "2/η" not in drawn


def test_an_edge_far_above_all_else_for_a_while_is_cut_off():
    config = se.RunConfig(problem="two-weight", rule="gd", eta=0.1, steps=300, weight_decay=0.1)
    cut: Any = se.run(config.replace(schedule="linear-warmup", warmup=290)).plot()
    assert cut.layout.yaxis.range[1] < 30
    assert "2/η − weight decay" in {trace.name for trace in cut.data}
    assert se.run(config).plot().layout.yaxis.range is None
