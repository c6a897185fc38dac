"""What a run records of its edge operator, against the dense matrix at the same weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.linalg import vector_norm

import samedge_core as se
from samedge_core.curvature.dense import dense_hessian
from samedge_core.theory.rules import RULES
from samedge_core.training.optimizers import Moments, update

PRECONDITIONED = [name for name, rule in RULES.items() if rule.preconditioned]


def settings(rule: str, **more) -> se.RunConfig:
    eta = 0.004 if RULES[rule].preconditioned else 0.1
    base = se.RunConfig(problem="chebyshev-mlp", rule=rule, eta=eta, rho=0.02, beta=0.5, beta2=0.98)
    return base.replace(dtype="float64", steps=41, **more)


def dense(config: se.RunConfig):
    """At every tenth step: the leading eigenvalue of A by magnitude, and that of H."""
    problem, hyper = se.build_problem(config), config.hyperparameters
    rule, w = RULES[config.rule], problem.init(seed=config.seed)
    moments, eye = Moments(torch.zeros_like(w)), torch.eye(problem.size, dtype=w.dtype)
    for step in range(config.steps):
        now = replace(hyper, eta=hyper.eta * float(config.step_sizes.share(step)))
        g = problem.gradient(w, None)
        taken = update(w, g, moments, now, lambda w: problem.gradient(w, None))
        if step % 10 == 0:
            h = dense_hessian(lambda w: problem.loss(w, problem.full_batch()), w)
            reach = float(rule.operator_reach(now, float(vector_norm(g))))
            p = taken.preconditioner
            root = eye if p is None else torch.diag(p.rsqrt())
            decay = 0.0 if rule.decoupled or rule.preconditioned else config.weight_decay
            a = root @ (h + reach * h @ h) @ root + decay * eye
            of_a, of_h = (torch.linalg.eigvalsh(matrix) for matrix in (a, h))
            yield step, *(float(v[v.abs().argmax()]) for v in (of_a, of_h))
        w, moments = taken.w, taken.moments


@pytest.mark.parametrize("rule", RULES)
def test_every_tenth_edge_value_is_the_dense_one(rule):
    config = settings(rule, weight_decay=0.05, schedule="linear-warmup", warmup=30)
    rows = se.run(config.replace(sharpness_every=10)).to_frame().to_dict("records")
    for step, of_operator, of_hessian in dense(config):
        row = rows[step]
        assert row["converged"]
        assert row["lambda_max"] == pytest.approx(of_hessian, rel=1e-3)  # the budget
        # that of H (I + s H) moves up to twice as far as that of H
        assert row["edge_value"] == pytest.approx(of_operator, rel=2e-3)
        # along its own direction, without the factor of SAM: at most what the other has
        if RULES[rule].preconditioned and "sam" in rule:
            assert 0 < row["plain_value"] < row["edge_value"]
        else:
            assert np.isnan(row["plain_value"])
        assert row["operator_ratio"] == abs(row["edge_value"]) / row["threshold"]
    others = [row for row in rows if row["step"] % 10]
    assert all(np.isnan(row["sharpness"]) for row in others) == RULES[rule].preconditioned


@pytest.mark.parametrize("rule", PRECONDITIONED)
def test_a_preconditioned_rule_has_no_edge_of_its_sharpness(rule):
    columns = se.run(settings(rule)).columns()
    assert np.isnan(columns["edge"]).all()
    assert np.isnan(columns["sharpness"]).all()
    np.testing.assert_array_equal(columns["ratio"], columns["operator_ratio"])
    beta = 0.5 if "adam" in rule else 0.0
    threshold = (2 + 2 * beta) / (0.004 * (1 - beta))
    np.testing.assert_allclose(columns["threshold"], threshold, rtol=1e-14)
    assert f"{rule}_edge" not in columns


@pytest.mark.parametrize("rule", ["gd", "sam", "usam", "polyak", "nesterov", "sam-polyak"])
def test_both_ratios_are_one_at_the_edge(rule):
    """By the formula: at the edge the operator is at its threshold."""
    config = settings(rule, weight_decay=0.1)
    edge = config.hyperparameters.edge(0.3)
    value = RULES[rule].operator_value(config.hyperparameters, edge, 0.3)
    assert value == pytest.approx(RULES[rule].threshold(config.hyperparameters), rel=1e-12)


def test_a_run_that_takes_up_adam_has_both_kinds_of_rows():
    config = settings("gd")
    changes = [se.Intervention(30, {"rule": "adam", "eta": 0.004})]
    columns = se.run(config, interventions=changes).columns()
    first, later = slice(0, 30), slice(30, None)
    np.testing.assert_array_equal(columns["ratio"][first], columns["sharpness"][first] / 20)
    assert np.isnan(columns["edge"][later]).all()
    assert np.isfinite(columns["ratio"]).all()
    assert np.isnan(columns["sharpness"][later]).all()
