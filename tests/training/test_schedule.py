"""The schedule of eta: torch's own, sums of shares, and what a run records of it."""

import numpy as np
import pytest
import torch

import samedge_core as se
from samedge_core.training.history import Intervention
from samedge_core.training.schedule import SCHEDULES, Schedule


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize(("warmup", "steps"), [(7, 50), (1, 3), (80, 50)])
def test_the_total_is_the_sum_of_the_shares(kind, warmup, steps):
    schedule = Schedule(kind, warmup, steps)
    shares = schedule.share(np.arange(steps))
    assert ((shares > 0) & (shares <= 1)).all()
    sums = np.concatenate([[0.0], np.cumsum(shares)])
    # sums of at most 50 numbers below 1
    np.testing.assert_allclose(schedule.total(np.arange(steps + 1)), sums, rtol=0, atol=1e-13)


def test_cosine_and_warmup_are_those_of_torch():
    parameter = torch.nn.Parameter(torch.ones(1))
    sgd = torch.optim.SGD([parameter], lr=1.0)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(sgd, T_max=40)
    ours = Schedule("cosine", 1, 40).share(np.arange(40))
    for share in ours:
        # torch takes each from the one before
        assert cosine.get_last_lr()[0] == pytest.approx(share, rel=1e-12)
        sgd.step()
        cosine.step()
    sgd = torch.optim.SGD([parameter], lr=1.0)
    linear = torch.optim.lr_scheduler.LinearLR(sgd, 1 / 8, 1.0, total_iters=7)
    for share in Schedule("linear-warmup", 8, 40).share(np.arange(12)):
        assert linear.get_last_lr()[0] == pytest.approx(share, rel=1e-12)
        sgd.step()
        linear.step()


def test_a_cosine_keeps_its_last_step_size_from_its_end_on():
    schedule = Schedule("cosine", 1, 10)
    shares = schedule.share(np.arange(25))
    assert (shares[9:] == shares[9]).all()
    sums = np.concatenate([[0.0], np.cumsum(shares)])
    np.testing.assert_allclose(schedule.total(np.arange(26)), sums, rtol=0, atol=1e-13)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_another_number_of_steps_keeps_the_step_sizes(kind):
    config = se.RunConfig(schedule=kind, warmup=6, steps=20)
    shares = config.step_sizes.share(np.arange(20))
    for longer in (config.capped(30), config.capped(30).capped(50), config.capped(15)):
        np.testing.assert_array_equal(longer.step_sizes.share(np.arange(20)), shares)
    assert config.capped(20) == config


@pytest.mark.parametrize("change", ["eta", "batch"])
@pytest.mark.parametrize("kind", SCHEDULES)
def test_an_edge_test_takes_the_step_sizes_of_the_run(kind, change):
    config = se.RunConfig(
        problem="chebyshev-mlp", rule="gd", eta=0.1, schedule=kind, warmup=30, steps=40
    )
    problem = se.build_problem(config)
    state = se.TrainState.initial(config, problem)
    losses = se.run(config).columns()["loss"]
    unforked = se.edge_test(config, problem, state, change, steps=15).unforked
    # the loss of a row is that of one pass with its gradient, in single precision
    np.testing.assert_allclose(unforked, losses[:16], rtol=1e-6)


@pytest.mark.parametrize("kind", ["linear-warmup", "cosine"])
def test_a_run_takes_and_records_it_and_a_change_keeps_the_share(kind):
    config = se.RunConfig(
        problem="quadratic",
        options={"eigenvalues": (3.0,), "rotated": False},
        rule="gd",
        eta=0.55,
        schedule=kind,
        warmup=6,
        steps=20,
        dtype="float64",
    )
    history = se.run(config, interventions=[Intervention(10, {"eta": 0.275})])
    columns = history.columns()
    shares = config.step_sizes.share(np.arange(20))
    eta = np.where(np.arange(20) < 10, 0.55, 0.275) * shares
    np.testing.assert_array_equal(columns["eta"], eta)
    np.testing.assert_allclose(columns["edge"], 2 / eta, rtol=1e-15)
    np.testing.assert_allclose(columns["ratio"], 3 * eta / 2, rtol=1e-12)
    before = np.concatenate([[0.0], np.cumsum(eta)[:-1]])
    np.testing.assert_allclose(columns["time"], before, rtol=0, atol=1e-13)
    # each step multiplies the gradient by 1 - eta lambda
    expected = columns["grad_norm"][0] * np.abs(np.cumprod(1 - 3 * eta)[:-1])
    np.testing.assert_allclose(columns["grad_norm"][1:], expected, rtol=1e-12)
    assert history.in_force(12).eta == eta[12]
    assert history.hyperparameters.eta == 0.275
