"""The loop: replay, the meaning of a row, interventions, sparse measuring, and stops."""

import math
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import samedge_core as se
from samedge_core.curvature import dense_hessian
from samedge_core.fields import ConfigError
from samedge_core.problems.registry import OWN_PROBLEM
from samedge_core.theory.rules import RULES
from samedge_core.training import loop
from samedge_core.training.loop import measurements
from samedge_core.training.optimizers import Moments, update
from samedge_core.training.state import TrainState

SMALL = {"n": 40, "width": 6}
MEASURED = ("sharpness", "lambda_max", "residual", "ratio", "align_grad", "align_sam")


def small(**settings) -> se.RunConfig:
    return se.RunConfig(**{"options": SMALL, "eta": 0.5, "steps": 12, **settings})


def records(history: se.History) -> list[dict[str, Any]]:
    """The rows of a history."""
    columns = history.columns()
    return [{name: column[i] for name, column in columns.items()} for i in range(len(history))]


def assert_same(one: se.History, other: se.History) -> None:
    """Bit for bit; NaN equals NaN."""
    pd.testing.assert_frame_equal(one.to_frame(), other.to_frame(), check_exact=True)


# --- replay ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("batch_size", [0, 15])
def test_config_seed_and_interventions_replay_a_run_exactly(rule, batch_size):
    config = small(rule=rule, batch_size=batch_size, top_k=2)
    plan = [
        se.Intervention(3, {"eta": 0.25}),
        se.Intervention(6, {"rule": "usam", "rho": 0.2}),
        se.Intervention(6, {"eta": 0.125}),
    ]
    first = se.run(config, interventions=plan)
    assert_same(se.run(config, interventions=plan), first)
    # from what the history itself recorded, through its JSON
    again = se.run(
        se.RunConfig.from_json(first.config.to_json()), interventions=first.interventions
    )
    assert_same(again, first)
    assert again.interventions == first.interventions
    assert again.stop == first.stop


def test_the_seed_matters():
    for settings in ({}, {"batch_size": 15}):
        one, other = (se.run(small(seed=s, **settings)).columns() for s in (0, 1))
        assert (one["loss"] != other["loss"]).all()


def test_two_runs_in_turns_do_not_disturb_each_other():
    config = small(batch_size=15)
    expected = se.run(config)
    loops = []
    for _ in range(2):
        problem = se.build_problem(config)
        loops.append(measurements(config, problem, TrainState.initial(config, problem)))
    for index, pair in enumerate(zip(*loops, strict=True)):
        for row in pair:
            assert isinstance(row, se.Measurement)
            assert row.loss == expected.columns()["loss"][index]
            torch.randn(1)  # somebody uses the global generator


# --- what a row means -----------------------------------------------------------------------


def test_a_row_describes_the_iterate_before_its_update():
    config = small(dtype="float64", top_k=3, rule="sam", rho=0.1)
    problem = se.build_problem(config)
    rows = records(se.run(config))
    w = problem.init(seed=0)
    moments = Moments(torch.zeros_like(w))
    batch = problem.full_batch()
    for row in rows:
        evaluation = problem.evaluate(w)
        g = problem.gradient(w, batch)
        hessian = dense_hessian(lambda w: problem.loss(w, batch), w)
        values, vectors = np.linalg.eigh(hessian.numpy())
        order = np.argsort(-np.abs(values))[:3]
        step = update(w, g, moments, config.hyperparameters, lambda w: problem.gradient(w, batch))
        # float64 sums, with and without a graph
        assert row["loss"] == pytest.approx(evaluation.loss, rel=1e-13)
        assert row["accuracy"] == pytest.approx(evaluation.accuracy, rel=1e-7)  # stored single
        assert row["grad_norm"] == pytest.approx(float(g.norm()), rel=1e-12)
        assert row["lambda_max"] == pytest.approx(values[order[0]], rel=1e-3)  # the budget
        assert row["sam_edge"] == se.sam_edge(0.5, 0.1, row["grad_norm"])
        top = vectors[:, order]
        for name, vector in (("grad", g), ("sam", step.perturbed_gradient)):
            assert vector is not None
            shares = np.abs(top.T @ vector.numpy()) / float(vector.norm())
            # a residual of 3e-3 over a relative gap above 0.1 turns a vector by 3e-2 at most
            assert row[f"align_{name}"] == pytest.approx(shares[0], abs=3e-2)
            assert row[f"align_{name}_k"] == pytest.approx(np.linalg.norm(shares), abs=3e-2)
        w, moments = step.w, step.moments
    assert [row["step"] for row in rows] == list(range(12))


def test_step_zero_is_the_start():
    config = se.RunConfig(problem="two-weight", options={"a": 3.0, "b": 0.5}, dtype="float64")
    (row,) = records(se.run(config.replace(steps=1)))
    # L = (1.5 - 1)^2/2, g = 0.5 (b, a), H = [[b^2, 2ab - 1], [2ab - 1, a^2]]
    assert row["step"] == 0
    assert row["loss"] == 0.125
    assert row["grad_norm"] == pytest.approx(0.5 * math.hypot(3, 0.5), rel=1e-15)
    expected = np.linalg.eigvalsh([[0.25, 2.0], [2.0, 9.0]])[-1]
    assert row["sharpness"] == pytest.approx(expected, rel=1e-12)  # P = 2: Lanczos is complete
    assert math.isnan(row["accuracy"])


def test_with_mini_batches_everything_belongs_to_the_current_batch():
    config = small(batch_size=10, dtype="float64", steps=6)
    rows = records(se.run(config))
    problem = se.build_problem(config)
    source = problem.batches(seed=config.seed + 1, batch_size=10)
    assert source is not None
    w = problem.init(seed=0)
    for row in rows:
        batch = source.next()
        loss, g = problem.loss_and_gradient(w, batch)
        hessian = dense_hessian(lambda w, batch=batch: problem.loss(w, batch), w)
        # float64 sums; the budget of the tracker; accuracy is over all the data
        assert row["loss"] == pytest.approx(float(loss), rel=1e-12)
        assert row["grad_norm"] == pytest.approx(float(g.norm()), rel=1e-12)
        expected = np.abs(np.linalg.eigvalsh(hessian.numpy())).max()
        assert row["sharpness"] == pytest.approx(expected, rel=1e-3)
        assert row["accuracy"] == pytest.approx(problem.evaluate(w).accuracy, rel=1e-7)
        w = update(
            w,
            g,
            Moments(torch.zeros_like(w)),
            config.hyperparameters,
            lambda w, batch=batch: problem.gradient(w, batch),
        ).w


@pytest.mark.parametrize("rule", RULES)
def test_only_rules_with_a_gradient_of_their_own_have_its_alignment(rule):
    frame = se.run(small(rule=rule, rho=0.1, steps=3, top_k=1)).columns()
    assert np.all((frame["align_grad"] >= 0) & (frame["align_grad"] <= 1 + 1e-6))  # rounding
    assert np.isnan(frame["align_sam"]).all() == (RULES[rule].gradients == 1)
    assert np.isnan(frame["align_sam"]).any() == (RULES[rule].gradients == 1)
    assert np.isnan(frame["align_grad_k"]).all()  # top_k = 1: no subspace was asked for


def test_top_k_beyond_the_parameters_leaves_nan():
    frame = se.run(se.RunConfig(problem="two-weight", top_k=4, steps=2)).columns()
    assert np.isfinite(frame["lambda_2"]).all()
    assert np.isnan([frame["lambda_3"], frame["lambda_4"]]).all()


# --- interventions --------------------------------------------------------------------------


def test_a_change_shows_from_exactly_its_step():
    config = small(rule="gd", eta=0.5)
    plain = se.run(config).columns()
    history = se.run(config, interventions=[se.Intervention(5, {"eta": 0.125})])
    frame = history.columns()
    assert frame["gd_edge"].tolist() == [4.0] * 5 + [16.0] * 7
    assert frame["edge"].tolist() == frame["gd_edge"].tolist()
    assert frame["eta"].tolist() == [0.5] * 5 + [0.125] * 7
    # row 5 is still the old iterate; the step taken from it is the first of the new size
    assert frame["loss"][:6].tolist() == plain["loss"][:6].tolist()
    assert frame["loss"][6] != plain["loss"][6]
    assert history.interventions == [se.Intervention(5, {"eta": 0.125}, {"eta": 0.5})]
    assert history.interventions[0].before == {"eta": 0.5}


def test_a_change_of_rule_is_the_run_of_that_rule_from_there():
    changed = se.run(small(rule="sam", rho=0.1), interventions=[se.Intervention(0, {"rule": "gd"})])
    assert_same(changed, se.run(small(rule="gd", rho=0.1)))


def test_a_change_to_the_same_value_is_none():
    history = se.run(small(), interventions=[se.Intervention(2, {"eta": 0.5, "rule": "sam"})])
    assert history.interventions == []
    partly = se.run(small(), interventions=[se.Intervention(2, {"eta": 0.5, "rho": 0.2})])
    assert partly.interventions[0].changes == {"rho": 0.2}


def test_two_changes_at_one_step_are_taken_in_order():
    plan = [se.Intervention(4, {"eta": 2.0}), se.Intervention(4, {"eta": 0.125})]
    both, last = se.run(small(), interventions=plan), se.run(small(), interventions=plan[1:])
    assert_same(both, last)
    assert [i.changes["eta"] for i in both.interventions] == [2.0, 0.125]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"eta": -1}, "eta must be a number > 0 .*, got -1"),
        ({"rule": "adamw"}, "rule must be one of .*, got 'adamw'"),
        ({"rho": 0.2, "beta": 2}, "beta must be .*, got 2"),
    ],
)
def test_bad_changes_are_refused_and_leave_the_state_alone(changes, message):
    with pytest.raises(se.ConfigError, match=message):
        se.run(small(), interventions=[se.Intervention(2, changes)])
    config = small()
    problem = se.build_problem(config)
    state = TrainState.initial(config, problem)
    loop = measurements(config, problem, state, changes=lambda step: [changes])
    with pytest.raises(se.ConfigError):
        next(loop)
    assert state.hyper == config.hyperparameters
    assert state.step == 0


def test_what_is_fixed_cannot_be_changed():
    config = small()
    problem = se.build_problem(config)
    state = TrainState.initial(config, problem)
    loop = measurements(config, problem, state, changes=lambda step: [{"seed": 3}])
    with pytest.raises(ValueError, match="seed can't change mid-run"):
        next(loop)


# --- measuring less often -------------------------------------------------------------------

MODELS = [
    {"options": SMALL},
    {"problem": "chebyshev-mlp"},
    {"problem": "digits-cnn", "options": {"n": 12}},
    {"problem": "two-weight"},
]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("batch_size", [0, 5])
def test_measuring_does_not_touch_the_training(model, batch_size):
    if model.get("problem") == "two-weight" and batch_size:
        batch_size = 0
    config = se.RunConfig(
        **model, eta=0.1, rho=0.1, steps=11, measure_every=1, batch_size=batch_size
    )
    always = se.run(config).columns()
    sometimes = se.run(config.replace(measure_every=4)).columns()
    for name in ("step", "loss", "grad_norm", "sam_edge", "edge"):
        assert sometimes[name].tolist() == always[name].tolist()
    measured = sometimes["step"] % 4 == 0
    # NaN where nothing was measured, never a stale copy
    for name in (*MEASURED, "accuracy"):
        assert np.isnan(sometimes[name][~measured]).all(), name
        assert name == "accuracy" or np.isfinite(sometimes[name][measured]).all(), name
    assert not sometimes["converged"][~measured].any()
    assert (sometimes["hvps"][~measured] == 0).all()
    assert (sometimes["hvps"][measured] > 0).all()
    np.testing.assert_array_equal(sometimes["accuracy"][measured], always["accuracy"][measured])


# --- stops and callbacks --------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_a_huge_step_diverges(rule):
    history = se.run(small(rule=rule, eta=1e4, steps=500))
    assert history.stop_reason is se.StopReason.DIVERGED
    assert history.stop is not None
    assert history.stop.step == history.last_step < 500
    frame = history.columns()
    assert "diverged" in history.stop.what
    last = frame["loss"][-1]
    assert not math.isfinite(last) or last > 1e8 * max(1, frame["loss"][0])
    # every earlier loss was still acceptable
    assert (frame["loss"][:-1] <= 1e8 * max(1, frame["loss"][0])).all()


def test_a_catapult_is_no_divergence():
    # the loss rises a hundredfold and comes back
    config = se.RunConfig(
        problem="two-weight",
        options={"a": 4.0, "b": 0.02},
        rule="gd",
        eta=0.2,
        steps=300,
        dtype="float64",
    )
    history = se.run(config)
    losses = history.columns()["loss"]
    assert losses.max() > 10 * losses[0]
    assert history.stop_reason is not se.StopReason.DIVERGED
    assert losses[-1] < losses[0]


def test_a_loss_that_starts_infinite_diverges_at_step_zero():
    module = torch.nn.Linear(1, 1)
    problem = se.Problem.from_module(
        module, torch.ones(2, 1), torch.ones(2, 1), loss=lambda out, y: (out / 0.0).sum()
    )
    history = se.run(small(), problem)
    assert history.stop_reason is se.StopReason.DIVERGED
    assert history.last_step == 0
    assert np.isnan(history.columns()["sharpness"]).all()


def test_gd_on_a_quadratic_converges():
    config = se.RunConfig(problem="quadratic", rule="gd", eta=0.25, dtype="float64", steps=5000)
    history = se.run(config)
    assert history.stop_reason is se.StopReason.CONVERGED
    frame = history.columns()
    assert frame["grad_norm"][-1] <= 1e-12 * frame["grad_norm"][0]
    assert frame["grad_norm"][-2] > 1e-12 * frame["grad_norm"][0]


def test_a_start_on_a_minimum_has_converged():
    history = se.run(se.RunConfig(problem="two-weight", options={"a": 2.0, "b": 0.5}))
    assert history.stop_reason is se.StopReason.CONVERGED
    assert history.last_step == 0
    assert math.isnan(history.columns()["align_grad"][0])  # no direction at g = 0


def linear(**values) -> tuple[se.RunConfig, se.Problem]:
    """L(w) = w^2 / 2 from w = 1, exact in float64."""
    module = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64)
    torch.nn.init.ones_(module.weight)
    one = torch.ones(1, 1, dtype=torch.float64)
    problem = se.Problem.from_module(module, one, 0 * one, loss="half-mse")
    return se.RunConfig(dtype="float64", **values), problem


@pytest.mark.parametrize(
    "values",
    [
        # the first step ends on the minimum, and the velocity goes on
        {"rule": "polyak", "eta": 1.0, "beta": 0.5, "steps": 40},
        # g is 2e-13 there, and SAM's gradient 1
        {"rule": "sam", "eta": 0.5 + 1e-13, "rho": 1.0, "steps": 40},
    ],
)
def test_a_point_without_gradient_that_the_run_passes_is_no_end(values):
    history = se.run(*linear(**values))
    norms = history.columns()["grad_norm"]
    assert norms[1] <= 1e-12
    assert norms[2] > 0.1
    assert history.stop_reason is se.StopReason.STEP_CAP


def outliers(batch_size: int, targets: torch.Tensor, **values) -> se.History:
    """One weight fitted to two examples, x = (0, 1), in batches; the weight begins at 1."""
    module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(module.weight)
    x = torch.tensor([[0.0], [1.0]])
    problem = se.Problem.from_module(module, x, targets[:, None], loss="half-mse")
    return se.run(se.RunConfig(rule="gd", batch_size=batch_size, **values), problem)


def test_one_batch_without_gradient_is_no_convergence():
    # the example at x = 0 never has a gradient; the other one until w is 0
    history = outliers(1, torch.tensor([0.0, 0.0]), eta=0.5, steps=600)
    norms = history.columns()["grad_norm"]
    (still,) = np.nonzero(norms == 0)
    assert still[0] < 3
    assert history.stop is not None
    assert history.stop.reason is se.StopReason.CONVERGED
    # any three batches in a row hold both of an epoch
    assert (norms[-3:] <= 1e-12 * max(norms[:3])).all()
    assert norms[-4] > 0
    assert "all batches of an epoch" in history.stop.what


def test_one_bad_batch_is_no_divergence():
    # the loss of the example at x = 0 is 5e11, whatever w is
    history = outliers(1, torch.tensor([1e6, 0.0]), eta=0.5, steps=20, seed=1)
    losses = history.columns()["loss"]
    assert (losses > 1e8 * max(1.0, losses.min())).any()
    assert history.stop_reason is se.StopReason.STEP_CAP
    # the same weights, judged by all the data at once, are beyond the limit from the start
    assert outliers(0, torch.tensor([1e6, 0.0]), eta=0.5, steps=20).last_step < 20


def test_batches_that_are_all_beyond_the_limit_are_a_divergence():
    history = se.run(small(rule="gd", eta=1e4, steps=500, batch_size=5, dtype="float64"))
    assert history.stop_reason is se.StopReason.DIVERGED


# --- hops -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "hops"),
    [
        ({"rule": "gd", "eta": 0.9}, False),  # 1 - eta lambda = .1
        ({"rule": "gd", "eta": 1.1}, True),
        ({"rule": "gd", "eta": 1.99}, True),
        ({"rule": "usam", "eta": 0.6, "rho": 0.5}, False),  # 1 - eta lambda (1 + rho lambda) = .1
        ({"rule": "usam", "eta": 0.8, "rho": 0.5}, True),
        ({"rule": "sam", "eta": 0.5, "rho": 0.1}, True),  # on its orbit, from step 4 on
    ],
)
def test_steps_on_a_quadratic_hop_where_the_multiplier_is_negative(values, hops):
    history = se.run(*linear(steps=16, **values))
    hopping = history.columns()["hopping"]
    assert math.isnan(hopping[0])  # there is no step before
    assert (hopping[-1] == 1.0) == hops
    assert hops or (hopping[1:] == 0).all()


def test_hops_are_seen_however_seldom_they_are_looked_for():
    config, problem = linear(rule="gd", eta=1.5, steps=40)
    always = se.run(config, problem).columns()["hopping"]
    sometimes = se.run(config.replace(measure_every=7), problem).columns()["hopping"]
    assert (always[1:] == 1).all()
    assert (sometimes[7::7] == 1).all()
    assert np.isnan(sometimes[np.arange(40) % 7 > 0]).all()


def test_a_hop_that_dies_away_beside_a_smooth_gradient_is_none():
    # along v1 the steps hop, ever less; what is left of g falls along the other direction
    config = se.RunConfig(
        problem="quadratic",
        options={"eigenvalues": (1.9, 0.01)},
        rule="gd",
        eta=1.0,
        steps=120,
        dtype="float64",
    )
    columns = se.run(config).columns()
    assert (columns["hopping"][12:20] == 1).all()
    assert (columns["hopping"][-20:] == 0).all()
    assert columns["ratio"] == pytest.approx(0.95, abs=1e-9)


def test_the_share_is_of_the_last_measured_steps():
    # four steps that hop, then none: eta falls below 1/lambda
    config, problem = linear(rule="gd", eta=1.5, steps=20)
    made = se.run(config, problem, interventions=[se.Intervention(4, {"eta": 0.5})])
    # the hop into step 4 was still taken with the old eta
    hops = np.arange(1, 20) <= 4
    expected = [np.mean(hops[max(0, k - 10) : k]) for k in range(1, 20)]
    np.testing.assert_allclose(made.columns()["hopping"][1:], expected, rtol=1e-6)


def test_held_out_data_is_no_cost_of_curvature(monkeypatch):
    config = se.RunConfig(options={"n": 20, "n_test": 20, "width": 4}, steps=4)
    problem = se.build_problem(config)
    evaluate = problem.evaluate_held_out

    def slow(w):
        time.sleep(0.05)
        return evaluate(w)

    monkeypatch.setattr(problem, "evaluate_held_out", slow)
    rows = []
    se.run(config, problem, on_rows=rows.extend)
    assert min(row.evaluation_seconds for row in rows) >= 0.05
    assert min(row.seconds for row in rows) < 0.05  # a fiftieth, once torch is warm


def test_the_step_cap():
    history = se.run(small(steps=7))
    assert history.stop_reason is se.StopReason.STEP_CAP
    assert len(history) == 7
    assert history.stop is not None
    assert history.stop.step == 7


def test_on_rows_sees_every_row_as_it_is_made():
    seen = []
    history = se.run(small(), on_rows=seen.extend)
    assert [row.step for row in seen] == list(range(12))
    assert [row.loss for row in seen] == history.columns()["loss"].tolist()


def test_a_problem_of_ones_own_is_trained_instead():
    x = torch.linspace(-1, 1, 8)[:, None]
    problem = se.Problem.from_module(torch.nn.Linear(1, 1), x, 2 * x + 1)
    history = se.run(se.RunConfig(rule="gd", eta=0.3, steps=100), problem)
    assert history.columns()["loss"][-1] < 1e-6
    assert (history.config.problem, dict(history.config.options)) == (OWN_PROBLEM, {})
    assert se.summarise(history).problem == OWN_PROBLEM
    # what is recorded replays, with the problem; without it nothing can be built
    again = se.run(history.config, problem)
    assert again.config == history.config
    assert again.columns()["loss"].tolist() == history.columns()["loss"].tolist()
    with pytest.raises(ConfigError, match=r"hand the Problem itself to run\(\)"):
        se.run(history.config)


def test_the_size_of_a_batch_is_checked_against_the_data_that_is_trained_on():
    x = torch.linspace(-1, 1, 600)[:, None]
    problem = se.Problem.from_module(torch.nn.Linear(1, 1), x, 2 * x)
    config = se.RunConfig(rule="gd", eta=0.1, steps=2, batch_size=600)
    assert len(se.run(config, problem)) == 2
    refused = "batch_size must be from 1 to the data size"
    with pytest.raises(ConfigError, match=f"{refused} 600, got 601"):
        se.run(config.replace(problem=OWN_PROBLEM, batch_size=601), problem)
    with pytest.raises(ConfigError, match=f"{refused} 500, got 600"):
        se.run(config)


def test_what_cannot_fit_into_this_machine_is_refused(monkeypatch):
    monkeypatch.setattr(loop, "memory", lambda: 1e8)
    with pytest.raises(ConfigError, match="width must make a run that fits into 100 MB of memory"):
        se.run(small(options={"n": 50, "width": 1000}))
    assert len(se.run(small(steps=1))) == 1


def test_a_problem_that_was_built_from_the_config_keeps_its_name():
    config = small()
    problem = se.build_problem(config)
    for other in (config, config.replace(eta=0.5, seed=1)):
        assert se.run(other, problem).config == other
    assert se.run(small(options={"n": 21, "width": 5}), problem).config.problem == OWN_PROBLEM
    turned = se.RunConfig(problem="quadratic", steps=1)  # its seed decides the eigenvectors
    history = se.run(turned.replace(seed=1), se.build_problem(turned))
    assert history.config.problem == OWN_PROBLEM


def test_precision_and_device_are_those_of_the_problem():
    one = torch.ones(1, 1)
    single = se.Problem.from_module(torch.nn.Linear(1, 1), one, one)
    double = se.Problem.from_module(torch.nn.Linear(1, 1).double(), one, one.double())
    assert se.run(se.RunConfig(steps=1), double).config.dtype == "float64"
    for asked, message in (
        (se.RunConfig(dtype="float64"), "dtype must be that of the problem, float32, got float64"),
        (se.RunConfig(device="cuda"), "device must be that of the problem, cpu, got cuda"),
    ):
        with pytest.raises(ConfigError, match=message):
            se.run(asked, single)


def test_a_hessian_that_is_not_finite_leaves_nan_and_the_run_goes_on():
    # |x|^1.5 has the slope 0 at 0, and no curvature there
    def loss(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return outputs[0, 0].abs() ** 1.5 + outputs[0, 1] ** 2

    module = torch.nn.Linear(1, 2, bias=False, dtype=torch.float64)
    with torch.no_grad():
        module.weight[:] = torch.tensor([[0.0], [1.0]])
    one = torch.ones(1, 1, dtype=torch.float64)
    problem = se.Problem.from_module(module, one, one, loss)
    config = se.RunConfig(rule="sam", eta=0.1, rho=0.1, dtype="float64", steps=3)
    rows = records(se.run(config, problem))
    assert [row["step"] for row in rows] == [0, 1, 2]
    for row in rows:
        assert not row["converged"]
        assert all(math.isnan(row[name]) for name in ("sharpness", "align_grad", "align_sam"))
        assert math.isfinite(row["grad_norm"])
