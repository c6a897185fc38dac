"""What is measured where it is not the whole of a step's batch."""

import numpy as np
import pytest
import torch

from samedge_core.curvature import dense_hessian
from samedge_core.problems.batches import subsample
from samedge_core.training.config import RunConfig
from samedge_core.training.loop import build_problem, run
from samedge_core.training.observe import observe

NET = RunConfig(
    problem="digits-mlp", options={"n": 40, "width": 3}, eta=0.5, steps=12, dtype="float64"
)


def test_the_gradient_is_of_all_examples_and_the_hessian_of_a_share():
    problem = build_problem(NET)
    w, batch = problem.init(seed=0), problem.full_batch()
    assert batch
    slope, operator = observe(problem, w, batch, 0.25)
    loss, g = problem.loss_and_gradient(w, batch)
    assert slope.loss == float(loss)
    assert torch.equal(slope.g, g)
    part = subsample(batch, 0.25)
    assert len(part.x) == 10
    dense = dense_hessian(lambda v: problem.loss(v, part), w)
    v = torch.ones_like(w)
    torch.testing.assert_close(operator.matvec(v), dense @ v, rtol=0, atol=1e-12)


def test_a_share_changes_the_sharpness_and_nothing_else():
    whole, part = run(NET).columns(), run(NET.replace(hessian_share=0.5)).columns()
    for name in ("loss", "grad_norm", "edge"):
        np.testing.assert_array_equal(whole[name], part[name])
    assert np.all(whole["sharpness"] != part["sharpness"])


def test_a_fixed_batch_changes_what_is_measured_but_not_the_training():
    config = NET.replace(batch_size=8, measure_every=3)
    own, fixed = config, config.replace(measure_on="fixed")
    ends, rows = [], []
    for c in (own, fixed):
        history = run(c)
        rows.append(history.columns())
        ends.append(rows[-1]["accuracy"][9])
    assert ends[0] == ends[1]  # the same weights at the last measured step
    measured = np.arange(12) % 3 == 0
    # a step's own loss is known at every step, the fixed batch's where it is measured
    assert np.isfinite(rows[0]["loss"]).all()
    for name in ("loss", "grad_norm", "edge", "sharpness"):
        np.testing.assert_array_equal(np.isfinite(rows[1][name]), measured)


def test_the_fixed_batch_is_one_and_the_same():
    config = NET.replace(batch_size=8, measure_on="fixed", eta=1e-9)
    columns = run(config).columns()
    # w hardly moves, so that the loss can only move with the batch
    assert np.ptp(columns["loss"]) < 1e-8
    assert np.ptp(run(config.replace(measure_on="step")).columns()["loss"]) > 1e-3
    assert np.isfinite(columns["align_sam"]).all()


def test_sams_alignment_is_of_the_measured_batch():
    problem = build_problem(NET)
    config = NET.replace(batch_size=8, measure_on="fixed", steps=1)
    row = run(config).columns()
    source = problem.batches(seed=config.seed + 3, batch_size=8)
    assert source
    batch = source.next()
    w = problem.init(seed=0)
    g = problem.gradient(w, batch)
    uphill = problem.gradient(w + config.rho * g / g.norm(), batch)
    values, vectors = torch.linalg.eigh(dense_hessian(lambda v: problem.loss(v, batch), w))
    v1 = vectors[:, values.abs().argmax()]
    expected = float(abs(uphill @ v1) / uphill.norm())
    # v1 is known to about residual/gap, 1e-4 over the gap
    assert row["align_sam"][0] == pytest.approx(expected, abs=1e-3)


def test_problems_without_data_are_measured_as_they_are():
    config = RunConfig(problem="quadratic", hessian_share=0.1, measure_on="fixed", eta=0.2, steps=3)
    assert run(config).columns()["sharpness"] == pytest.approx([6, 6, 6], rel=1e-5)
    problem = build_problem(config)
    slope, _ = observe(problem, problem.init(seed=0), None, 0.5)
    assert slope.finite
