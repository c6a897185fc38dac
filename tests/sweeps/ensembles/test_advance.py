"""Cells of an ensemble, against the same runs alone and against closed forms."""

import math
from dataclasses import asdict, replace

import numpy as np
import pytest

import samedge_core as se
from samedge_core.sweeps.cell import run_cell
from samedge_core.sweeps.ensembles.advance import Ensemble, run_ensemble
from samedge_core.sweeps.ensembles.grouping import together
from samedge_core.sweeps.rows import Row
from samedge_core.theory.quadratics import orbit_grad_norm
from samedge_core.theory.rules import RULES
from samedge_core.training.config import RunConfig

CHEBYSHEV = RunConfig("chebyshev-mlp", rule="sam", eta=0.2, rho=0.02, steps=300)
POINTS = {"n": 40, "n_test": 20, "width": 8}


def same(one: Row, other: Row) -> bool:
    """Whether two rows are the same to the bit, but for where and how long."""
    plain = (asdict(replace(row, cell=0, seconds=0.0)).items() for row in (one, other))
    return repr(dict(next(plain))) == repr(dict(next(plain)))


@pytest.mark.parametrize(
    ("problem", "options"),
    [
        ("chebyshev-mlp", {}),
        ("chebyshev-mlp", {"activation": "relu"}),
        ("points-mlp", POINTS),
        ("points-mlp", {**POINTS, "loss": "cross-entropy"}),
        ("deep-linear", {"n": 40, "width": 8}),
        ("two-weight", {}),
        ("quadratic", {}),
    ],
)
def test_a_cell_is_the_run_alone(problem, options):
    """50 steps of all rules in float64, to rounding: 1e-16, which chaos has not yet multiplied."""
    base = RunConfig(problem, options, eta=0.05, rho=0.03, beta=0.6, steps=50, dtype="float64")
    # rules with an ensemble of their own; the others are computed one by one
    rules = [name for name in RULES if together(base.replace(rule=name))]
    configs = [base.replace(rule=rule, eta=eta) for rule in rules for eta in (0.02, 0.05)]
    ensemble = Ensemble(configs, 5)
    losses, norms = np.empty((2, 50, len(configs)))
    for step in range(50):
        cells = ensemble.cells
        ensemble.advance()
        found = ensemble if step < 49 else {r.cell: r for r in ensemble.rows}
        if isinstance(found, dict):
            losses[step] = [found[i].loss for i in range(len(configs))]
            norms[step] = [found[i].grad_norm for i in range(len(configs))]
        else:
            losses[step, cells], norms[step, cells] = found.loss, found.grad_norm
    for i, config in enumerate(configs):
        alone = se.run(config.replace(measure_every=100)).columns()
        np.testing.assert_allclose(losses[:, i], alone["loss"], rtol=1e-12, atol=1e-28)
        np.testing.assert_allclose(norms[:, i], alone["grad_norm"], rtol=1e-12, atol=1e-14)


def test_summaries_are_those_of_runs_alone():
    """Beyond that, in float32 at the edge: the same fate, numbers within the hop's own spread."""
    configs = [
        CHEBYSHEV.replace(rule=rule, eta=eta, rho=rho)
        for rule, eta, rho in (
            ("sam", 0.2, 0.02),
            ("sam", 0.05, 0.005),
            ("gd", 0.05, 0.0),
            ("gd", 50.0, 0.0),
            ("nesterov", 0.02, 0.0),
        )
    ]
    for row, config in zip(run_ensemble(configs, 20), configs, strict=True):
        alone = run_cell(config, 20)
        assert (row.fate, row.steps, row.what) == (alone.fate, alone.steps, alone.what)
        assert row.reached_edge_at == alone.reached_edge_at
        if row.fate != "diverged":
            for name in ("ratio", "sharpness", "edge", "loss", "grad_norm"):
                assert getattr(row, name) == pytest.approx(getattr(alone, name), rel=0.01), name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("problem", "options", "eta"),
    [
        ("chebyshev-mlp", {}, 0.1),
        ("points-mlp", POINTS, 0.5),
        ("two-weight", {}, 0.1),
        ("deep-linear", {"n": 40, "width": 8}, 0.2),
    ],
)
def test_no_cell_depends_on_the_others(problem, options, eta, dtype):
    """Nor on how many there are, on those that leave, or on their order: to the bit. Of quadratics
    the last digits do, as one product with A is that of all."""
    base = RunConfig(problem, options, "sam", rho=0.02, steps=120, dtype=dtype)
    factors = [0.5, 600, 1, 4, 800, 2]
    configs = [base.replace(eta=eta * f, seed=0) for f in factors]
    configs.append(base.replace(rule="gd", eta=700 * eta))
    together = run_ensemble(configs, 9)
    assert [row.cell for row in together] == list(range(7))
    diverged = [row.fate == "diverged" for row in together]
    assert (diverged[0], diverged[1], diverged[4], diverged[6]) == (False, True, True, True)
    for some in ([0], [5, 2, 3], [1, 0, 6]):
        rows = run_ensemble([configs[i] for i in some], 9)
        for row, i in zip(rows, some, strict=True):
            assert same(row, together[i]), i


def test_radius_zero_is_gd_bit_for_bit():
    base = CHEBYSHEV.replace(rho=0.0)
    rules = ("gd", "sam", "usam")
    gd, *others = run_ensemble([base.replace(rule=rule) for rule in rules], 10)
    assert all(same(row, gd) for row in others)


def test_equal_seeds_are_equal_and_others_differ():
    one, two, again = run_ensemble([CHEBYSHEV.replace(seed=s) for s in (1, 2, 1)], 5)
    assert same(one, again)
    assert one.loss != two.loss


def test_gd_on_a_quadratic_diverges_where_eta_lambda_is_above_two():
    base = RunConfig("quadratic", {"eigenvalues": (4, 1)}, "gd", steps=1000, dtype="float64")
    # the grid leaves out 2 itself, where rounding decides
    products = np.concatenate([np.linspace(0.1, 1.95, 20), np.linspace(2.05, 6, 20)])
    rows = run_ensemble([base.replace(eta=float(p / 4)) for p in products], 10)
    assert [row.fate == "diverged" for row in rows] == (products > 2).tolist()
    assert all(row.sharpness == pytest.approx(4, rel=1e-6) for row in rows)


def test_sams_orbit_on_a_quadratic():
    """In every stable cell ||g|| is that of the orbit, and the edge is lambda."""
    base = RunConfig("quadratic", {"eigenvalues": (4, 1)}, "sam", steps=1000, dtype="float64")
    grid = [(eta, rho) for eta in np.linspace(0.05, 0.45, 5) for rho in (0.01, 0.1, 1.0)]
    rows = run_ensemble([base.replace(eta=float(e), rho=r) for e, r in grid], 40)
    for row, (eta, rho) in zip(rows, grid, strict=True):
        assert row.fate == "at its edge"
        assert row.grad_norm == pytest.approx(float(orbit_grad_norm(4, eta, rho)), rel=1e-6)
        assert row.edge == pytest.approx(4, rel=1e-6)
    beyond = run_ensemble([base.replace(eta=0.55, rho=r) for r in (0.01, 1.0)], 10)
    assert all(row.fate == "diverged" for row in beyond)


def test_gd_on_two_weights_diverges_or_lands_on_the_valley():
    base = RunConfig("two-weight", rule="gd", steps=10_000, dtype="float64")
    starts = [{"a": a, "b": b} for a in (2.5, 1.2) for b in (0.1, 0.6)]
    small = [base.replace(eta=0.004, options=start) for start in starts]
    large = [base.replace(eta=eta, options=starts[0]) for eta in (0.2, 0.35, 1.5, 3)]
    rows = run_ensemble([*small, *large], 10)
    for row, start in zip(rows, starts, strict=False):
        c = start["a"] ** 2 - start["b"] ** 2  # kept by gradient flow
        assert row.fate == "converged"
        assert row.sharpness == pytest.approx(math.hypot(c, 2), rel=2e-3)
    for row, config in zip(rows[4:], large, strict=True):
        if row.fate != "diverged":
            assert row.loss < 1e-12
            assert row.sharpness <= 2 / config.eta
    assert {row.fate for row in rows[4:]} == {"converged", "diverged"}


def test_a_cell_that_converges_is_measured_where_it_rests():
    config = RunConfig("two-weight", rule="gd", eta=0.2, steps=5000, dtype="float64")
    row, alone = run_ensemble([config], 4)[0], run_cell(config, 4)
    assert (row.fate, row.steps, row.what) == (alone.fate, alone.steps, alone.what)
    assert row.sharpness == pytest.approx(alone.sharpness, rel=1e-3)


def test_a_start_that_is_not_finite():
    """A quadratic so steep that float32 can't hold its loss diverges before the first step."""
    options = {"eigenvalues": (1e6,), "rotated": False}
    config = RunConfig("quadratic", options, "gd", eta=1e6, steps=10)
    row, alone = run_ensemble([config], 5)[0], run_cell(config, 5)
    assert (row.fate, row.steps, row.what) == (alone.fate, alone.steps, alone.what)


def test_a_dead_network():
    config = RunConfig("points-mlp", {**POINTS, "activation": "relu"}, "gd", 1e-6, steps=30)
    row, alone = run_ensemble([config], 5)[0], run_cell(config, 5)
    assert (row.fate, row.accuracy) == (alone.fate, alone.accuracy)
    assert row.held_out_loss == pytest.approx(alone.held_out_loss, rel=1e-4)


def test_stopping_leaves_the_rows_of_cells_that_have_ended():
    asked = iter(range(1000))
    configs = [CHEBYSHEV, CHEBYSHEV.replace(eta=1000)]
    rows = run_ensemble(configs, 10, stop=lambda: next(asked) == 100)
    assert [(row.cell, row.fate) for row in rows] == [(1, "diverged")]


def test_an_unknown_device_is_refused():
    with pytest.raises(se.ConfigError, match="device must be"):
        run_ensemble([CHEBYSHEV], 10, device="abacus")


@pytest.mark.parametrize("other", [{"steps": 301}, {"batch_size": 5}, {"options": {"degree": 3}}])
def test_cells_that_are_no_group_are_refused(other):
    with pytest.raises(ValueError, match="must share"):
        run_ensemble([CHEBYSHEV, CHEBYSHEV.replace(**other)], 10)
