"""History: derived columns against plain loops, thinning, order and memory."""

import math
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import samedge_core as se
from samedge_core.theory import edges
from samedge_core.theory.rules import RULES
from samedge_core.training.config import RunConfig
from samedge_core.training.history import COLUMNS, History, Intervention, Measurement, row_dtype

BASE = RunConfig(rule="sam", eta=0.5, rho=0.1, beta=0.8)


def filled(steps, config: RunConfig = BASE, **values) -> History:
    """A history with rows at `steps`; `values` maps a stored name to one value a row."""
    history = History(config)
    rows = np.zeros(len(steps), dtype=history.dtype)
    rows["step"] = steps
    rows["grad_norm"] = 1.0
    for name, column in values.items():
        rows[name] = column
    history.extend(rows)
    return history


# --- order ----------------------------------------------------------------------------------


def test_rows_come_in_the_order_of_their_steps():
    history = filled([0, 1, 5])
    assert len(history) == 3
    assert history.last_step == 5
    for step in (5, 4):
        with pytest.raises(ValueError, match=f"steps must increase, got {step} after 5"):
            history.append(Measurement(step, 1.0, 1.0))
    block = np.zeros(2, dtype=history.dtype)
    block["step"] = [8, 7]
    with pytest.raises(ValueError, match="steps must increase"):
        history.extend(block)
    assert len(history) == 3  # a refused block leaves nothing behind
    history.append(Measurement(6, 1.0, 1.0))
    assert history.last_step == 6


def test_an_empty_history():
    history = History(BASE)
    assert len(history) == 0
    assert history.last_step == -1
    assert history.stop_reason is None
    assert history.select(most=10).tolist() == []
    assert history.to_frame().empty
    history.extend(np.empty(0, dtype=history.dtype))
    assert len(history) == 0


def test_interventions_come_in_order():
    history = History(BASE)
    history.intervene(Intervention(5, {"eta": 1.0}))
    history.intervene(Intervention(5, {"eta": 2.0}))
    with pytest.raises(ValueError, match="in order, got step 4 after 5"):
        history.intervene(Intervention(4, {"eta": 3.0}))
    assert len(history.interventions) == 2


def test_what_cannot_change_is_refused():
    with pytest.raises(ValueError, match="steps can't change mid-run; what can: rule, eta, rho"):
        Intervention(3, {"steps": 5})


def test_labels_for_charts():
    assert Intervention(1, {"eta": 0.5}, {"eta": 1.0}).label == "η 1 → 0.5"
    both = Intervention(1, {"eta": 0.5, "rule": "gd"}, {"eta": 1.0, "rule": "sam"})
    assert both.label == "η 1 → 0.5, SAM → GD"
    assert Intervention(1).label == "new worker"


# --- columns --------------------------------------------------------------------------------


def test_the_frame_has_the_columns_of_the_design_in_their_order():
    frame = filled([0, 1]).to_frame()
    expected = [
        "step",
        "loss",
        "accuracy",
        "grad_norm",
        "sharpness",
        "lambda_max",
        "residual",
        "converged",
        "eta",
        "rho",
        "gd_edge",
        "sam_edge",
        "edge",
        "ratio",
        "align_grad",
        "align_sam",
        "hvps",
    ]
    assert list(frame.columns[: len(expected)]) == expected
    assert list(COLUMNS) == expected
    assert len(set(frame.columns)) == len(frame.columns)
    assert isinstance(frame, pd.DataFrame)


def test_a_measurement_lands_in_its_columns():
    history = History(RunConfig(top_k=3))
    history.append(
        Measurement(
            step=4,
            loss=0.5,
            grad_norm=0.25,
            accuracy=0.75,
            lambda_max=-3.0,
            residual=0.01,
            converged=True,
            align_grad=0.5,
            align_sam=0.625,
            align_grad_k=0.875,
            align_sam_k=1.0,
            hvps=7,
            others=(2.0,),
        )
    )
    row = {name: column[0] for name, column in history.columns().items()}
    expected = {
        "step": 4,
        "loss": 0.5,
        "grad_norm": 0.25,
        "accuracy": 0.75,
        "lambda_max": -3.0,
        "sharpness": 3.0,
        "residual": 0.01,
        "converged": True,
        "align_grad": 0.5,
        "align_sam": 0.625,
        "align_grad_k": 0.875,
        "align_sam_k": 1.0,
        "hvps": 7,
        "lambda_2": 2.0,
    }
    assert {name: row[name] for name in expected} == expected
    assert math.isnan(row["lambda_3"])
    assert row["ratio"] == 3.0 / row["edge"]
    bare = History(BASE)
    bare.append(Measurement(0, 1.0, 1.0))
    unmeasured = bare.columns()
    for name in ("accuracy", "lambda_max", "sharpness", "residual", "ratio", "align_grad"):
        assert np.isnan(unmeasured[name]).all(), name
    assert unmeasured["hvps"].tolist() == [0]


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "eta": st.floats(0.01, 10),
        "rho": st.one_of(st.just(0.0), st.floats(0.001, 1)),
        "beta": st.floats(0, 0.99),
        "rule": st.sampled_from(list(RULES)),
    },
)


@given(
    st.lists(st.tuples(st.integers(0, 30), CHANGES), max_size=6).map(
        lambda items: sorted(items, key=lambda item: item[0])
    ),
    st.sets(st.integers(0, 40), min_size=1).map(sorted),
    st.sampled_from(list(RULES)),
)
def test_derived_columns_are_what_a_plain_loop_over_the_steps_gives(changes, steps, rule):
    config = BASE.replace(rule=rule)
    norms = [0.1 + 0.01 * step for step in steps]
    history = filled(steps, config, grad_norm=norms, lambda_max=-2.0)
    for step, change in changes:
        history.intervene(Intervention(step, change))
    force = {"rule": rule, "eta": 0.5, "rho": 0.1, "beta": 0.8}
    time, evals, at = 0.0, 0, {}
    for step in range(41):
        for when, change in changes:
            if when == step:
                force.update(change)
        at[step] = (dict(force), time, evals)
        time += force["eta"]
        evals += 2 if RULES[force["rule"]].gradients == 2 and force["rho"] > 0 else 1
    columns = history.columns()
    for index, norm in enumerate(norms):
        row = {name: column[index] for name, column in columns.items()}
        values, time, evals = at[int(row["step"])]
        assert {name: row[name] for name in values} == values
        # sums of at most 41 terms, added in another order
        assert row["time"] == pytest.approx(time, rel=1e-13)
        assert row["evals"] == evals
        eta, rho, beta = values["eta"], values["rho"], values["beta"]
        expected = {
            "gd": edges.gd_edge(eta),
            "sam": edges.sam_edge(eta, rho, norm),
            "usam": edges.usam_edge(eta, rho),
            "polyak": edges.polyak_edge(eta, beta),
            "nesterov": edges.nesterov_edge(eta, beta),
            "sam_polyak": edges.sam_edge(eta / (1 + beta), rho, norm),
        }
        for name, edge in expected.items():
            assert row[f"{name}_edge"] == edge
        if RULES[values["rule"]].preconditioned:
            assert np.isnan(row["edge"])
            continue
        assert row["edge"] == expected[values["rule"].replace("-", "_")]
        assert row["ratio"] == 2.0 / row["edge"]
    assert history.hyperparameters.eta == at[40][0]["eta"]
    assert history.hyperparameters.rule == at[40][0]["rule"]


def test_of_two_changes_at_one_step_the_later_is_in_force():
    history = filled(range(6))
    history.intervene(Intervention(3, {"eta": 2.0, "rho": 0.7}))
    history.intervene(Intervention(3, {"eta": 4.0}))
    frame = history.columns()
    assert frame["eta"].tolist() == [0.5] * 3 + [4.0] * 3
    assert frame["rho"].tolist() == [0.1] * 3 + [0.7] * 3
    assert frame["time"].tolist() == [0, 0.5, 1, 1.5, 5.5, 9.5]


def test_a_new_worker_changes_nothing():
    history = filled(range(4))
    before = history.to_frame()
    history.intervene(Intervention(2))
    pd.testing.assert_frame_equal(history.to_frame(), before, check_exact=True)


@pytest.mark.parametrize("norm", [math.nan, math.inf])
def test_a_gradient_norm_that_overflowed_has_no_sam_edge(norm):
    frame = filled([0, 1], grad_norm=[1.0, norm]).columns()
    assert np.isfinite(frame["sam_edge"][0])
    assert math.isnan(frame["sam_edge"][1])
    assert frame["gd_edge"].tolist() == [4.0, 4.0]


def test_at_zero_gradient_the_ratio_does_not_warn():
    frame = filled([0, 1], grad_norm=0.0, lambda_max=[0.0, 2.0]).columns()
    assert frame["sam_edge"].tolist() == [0.0, 0.0]
    assert math.isnan(frame["ratio"][0])
    assert frame["ratio"][1] == math.inf


def test_columns_at_chosen_rows_are_rows_of_all_columns():
    history = filled(range(20), lambda_max=np.arange(20.0))
    history.intervene(Intervention(7, {"eta": 2.0}))
    whole = history.columns()
    chosen = np.array([0, 6, 7, 19])
    for name, column in history.columns(chosen).items():
        np.testing.assert_array_equal(column, whole[name][chosen])


# --- thinning -------------------------------------------------------------------------------

SIGNALS = st.lists(st.one_of(st.floats(-1e3, 1e3), st.just(math.nan)), min_size=1, max_size=300)


@given(SIGNALS, st.integers(-2, 320), st.integers(10, 120), st.integers(1, 3))
def test_thinning_keeps_the_extremes_and_the_bound(signal, start, most, stride):
    n = len(signal)
    values = np.array(signal)
    history = filled(
        np.arange(n) * stride,
        lambda_max=values,
        loss=np.roll(values, 7),
        grad_norm=np.abs(np.roll(values, 31)),
    )
    for step in (5, 5, 40, 41, 10_000):  # twice at one step, in neighbouring ones, not reached yet
        history.intervene(Intervention(step, {"eta": float(step), "rho": 0.0 if step > 5 else 0.1}))
    after = np.flatnonzero(np.arange(n) * stride > start)
    chosen = history.select(start, most)
    assert history.select(start).tolist() == after.tolist()
    assert len(chosen) <= most
    assert set(chosen) <= set(after)
    assert np.all(np.diff(chosen) > 0)
    if len(after) <= most:
        assert chosen.tolist() == after.tolist()
        return
    assert chosen[0] == after[0]
    assert chosen[-1] == after[-1]
    columns = history.columns()
    for name in ("lambda_max", "loss", "grad_norm", "ratio"):
        column = columns[name]
        finite = after[np.isfinite(column[after])]
        if len(finite):
            kept = column[chosen][np.isfinite(column[chosen])]
            assert kept.min() == column[finite].min()
            assert kept.max() == column[finite].max()


@given(st.integers(0, 7), st.integers(1, 200))
def test_thinning_keeps_tiny_bounds(most, n):
    wave = np.sin(np.arange(n))
    assert len(filled(range(n), lambda_max=wave, loss=-wave).select(most=most)) <= most


def test_thinning_shows_the_oscillation_that_striding_hides():
    # period 2: every second row alone is constant
    n = 1000
    wave = 2.0 + (-1.0) ** np.arange(n)
    history = filled(range(n), lambda_max=wave)
    shown = history.columns(history.select(most=100))["sharpness"]
    # both levels in each of the 12 buckets
    assert np.count_nonzero(shown == 1.0) >= 12
    assert np.count_nonzero(shown == 3.0) >= 12


@pytest.mark.parametrize("most", [50, 100, 500])
def test_thinning_keeps_the_step_at_which_the_edge_jumps(most):
    # smooth: neither the sharpness nor the gradient norm tells of the changes
    n = 2000
    slow = 4.0 + np.arange(n) / n
    history = filled(range(n), lambda_max=slow, grad_norm=slow, loss=-slow)
    changes = (300, 310, 777, 1500)
    for step in changes:
        history.intervene(Intervention(step, {"eta": 0.5 / step}))
        history.intervene(Intervention(step + 9))  # a new worker, which changes nothing
    chosen = set(history.select(most=most).tolist())
    assert len(chosen) <= most
    assert {row for step in changes for row in (step - 1, step)} <= chosen


def test_of_more_changes_than_fit_thinning_keeps_the_newest_and_the_ends():
    history = filled(range(1000))
    for step in range(100, 900):
        history.intervene(Intervention(step, {"eta": float(step)}))
    chosen = history.select(most=100).tolist()
    assert len(chosen) <= 100
    assert {0, *range(860, 900), 999} <= set(chosen)


# --- in few numbers --------------------------------------------------------------------------


def hopping(n: int) -> History:
    """A history of n steps whose sharpness and loss hop, with a change of eta at step 700."""
    wave = (-1.0) ** np.arange(n)
    history = filled(
        range(n),
        lambda_max=-2 - wave,
        loss=3 + 0.5 * wave,
        residual=np.arange(n) % 7,
        grad_norm=1.0,
    )
    history.intervene(Intervention(700, {"eta": 0.25}))
    return history


def test_a_sparkline_holds_the_values_or_their_rims():
    short, long = hopping(40).sparkline(), hopping(1000).sparkline()
    np.testing.assert_array_equal(short, hopping(40).columns()["ratio"].astype("f4"))
    assert len(long) <= 64
    assert np.isneginf(long[0])
    rims = long[1:].reshape(-1, 2)
    assert rims.max() == hopping(1000).columns()["ratio"].max().astype("f4")
    assert (rims[:, 0] < rims[:, 1]).all()
    assert len(History(BASE).sparkline()) == 0


# --- memory ---------------------------------------------------------------------------------


def test_a_million_rows_stay_under_the_budget_even_while_growing():
    tracemalloc.start()
    try:
        history = History(BASE)
        block = np.zeros(10_000, dtype=history.dtype)
        for start in range(0, 1_000_000, len(block)):
            block["step"] = np.arange(start, start + len(block))
            history.extend(block)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(history) == 1_000_000
    assert history.last_step == 999_999
    assert peak < 200e6  # what a history of 1,000,000 steps may take


def test_a_million_rows_of_ten_eigenvalues_stay_under_the_budget():
    assert row_dtype(10).itemsize * 1_000_000 < 200e6


def test_growing_keeps_every_row():
    history = History(BASE)
    for step in range(5000):
        history.append(Measurement(step, float(step), 1.0))
    np.testing.assert_array_equal(history.columns()["loss"], np.arange(5000.0))


def test_a_notebook_shows_a_run_by_name_stop_and_newest_row():
    history = se.run(se.RunConfig(problem="two-weight", rule="gd", eta=0.1, steps=4))
    shown = history._repr_html_()
    assert shown.startswith("<b>GD on Two weights</b><p><b>step cap</b>: ")
    row = history.to_frame().iloc[-1]
    for name in ("step", "loss", "grad_norm", "sharpness", "edge", "ratio"):
        assert f"<td>{name}</td><td>{row[name]:.5g}</td>" in shown


def test_a_run_without_rows_is_shown_too_and_its_text_is_escaped():
    history = se.History(se.RunConfig(rule="gd"))
    assert "The run has not ended." in history._repr_html_()
    history.stop = se.Stop(se.StopReason.FAILED, 0, "the run failed: <img src=x>")
    assert "<img" not in history._repr_html_()
    assert "&lt;img src=x&gt;" in history._repr_html_()
