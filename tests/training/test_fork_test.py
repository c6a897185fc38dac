"""The edge test: at the edge a fork catapults, well below it does not."""

import numpy as np
import pytest
import torch

import samedge_core as se
from samedge_core.training.edge_test import CATAPULT, EdgeTest
from samedge_core.training.fork_test import edge_test
from samedge_core.training.loop import measurements
from samedge_core.training.state import TrainState
from tests.training.at_step import BARE, CHEBYSHEV, taken


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("settings", "steps"),
    [({}, 1500), ({"batch_size": 10, "eta": 0.3}, 2500), ({"rule": "sam", "rho": 0.02}, 1500)],
    ids=str,
)
def test_at_the_edge_twice_the_step_size_catapults(settings, steps, seed):
    config = CHEBYSHEV.replace(seed=seed, **settings, **BARE)
    problem, state = taken(config, steps)
    found = edge_test(config, problem, state)
    assert found.catapult
    assert found.rise > CATAPULT
    assert found.within is not None
    assert found.within < 200
    assert (found.before, found.after) == (config.eta, 2 * config.eta)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("change", ["eta", "batch"])
@pytest.mark.parametrize("size", [0, 10])
def test_well_below_the_edge_nothing_happens(size, change, seed):
    config = CHEBYSHEV.replace(seed=seed, eta=0.02, batch_size=size, **BARE)
    found = edge_test(config, *taken(config, 500), change)
    assert not found.catapult
    assert found.within is None
    assert 0.5 < found.rise < 2


@pytest.mark.parametrize("seed", range(3))
def test_at_the_edge_half_the_batch_catapults(seed):
    config = CHEBYSHEV.replace(seed=seed, eta=0.3, batch_size=10, **BARE)
    found = edge_test(config, *taken(config, 4000), "batch")
    assert (found.before, found.after) == (10, 5)
    assert found.catapult


@pytest.mark.parametrize(("eta", "catapult"), [(0.8, False), (1.2, True)])
def test_on_a_quadratic_it_tells_on_which_side_of_half_the_edge_the_run_is(eta, catapult):
    config = se.RunConfig(
        problem="quadratic", rule="gd", eta=eta / 6, options={"eigenvalues": (6.0, 1.0)}
    )
    assert edge_test(config, *taken(config, 0)).catapult is catapult


def test_it_is_beside_the_run_and_leaves_its_state():
    config = CHEBYSHEV.replace(batch_size=10, steps=60, **BARE)
    problem, state = taken(config, 20)
    before, told = state.pack(), []
    found = edge_test(config, problem, state, steps=30, on_progress=lambda *now: told.append(now))
    assert state.pack() == before
    assert told[-1] == (60, 60)
    assert [len(found.unforked), len(found.forked)] == [31, 31]
    _, later = taken(config, 50)
    assert found.unforked[-1] == problem.evaluate(later.w).loss
    other = config.replace(eta=2 * config.eta)
    forked = TrainState.unpack(before, other, problem)
    forked.hyper = other.hyperparameters
    loop = measurements(other, problem, forked)
    while forked.step < 50:
        next(loop)
    assert found.forked[-1] == problem.evaluate(forked.w).loss


def test_a_fork_that_leaves_all_numbers_is_a_catapult():
    found = EdgeTest(7, "eta", 1.0, 2.0, np.array([2.0, 1.0]), np.array([2.0, 5.0, np.nan]))
    assert (found.rise, found.catapult, found.within) == (np.inf, True, 2)


def test_the_limit_is_of_the_largest_loss_of_the_run():
    losses = np.array([1.0, 2.0, 1.0])
    assert not EdgeTest(0, "eta", 1.0, 2.0, losses, CATAPULT * losses).catapult
    assert EdgeTest(0, "eta", 1.0, 2.0, losses, 1.01 * CATAPULT * losses).within == 1


def test_at_rest_where_the_loss_is_0_nothing_happens():
    config = se.RunConfig(problem="two-weight", rule="gd", eta=0.1, options={"a": 1.0, "b": 1.0})
    found = edge_test(config, *taken(config, 0))
    assert (found.rise, found.catapult, found.within) == (1.0, False, None)


def test_a_run_that_diverges_by_itself_is_refused():
    config = CHEBYSHEV.replace(eta=1e5)
    with pytest.raises(ValueError, match=r"does not diverge by itself, got .* at step \d"):
        edge_test(config, *taken(config, 0))


def test_a_loss_below_0_is_refused():
    module = torch.nn.Linear(1, 1, dtype=torch.float64)
    x = torch.ones(4, 1, dtype=torch.float64)
    problem = se.Problem.from_module(module, x, x, lambda y, at: (y - at).square().mean() - 1)
    config = se.RunConfig(problem="own-problem", rule="gd", eta=0.01)
    state = TrainState.initial(config, problem)
    with pytest.raises(ValueError, match=r"loss stays >= 0 and .*got -"):
        edge_test(config, problem, state)


def test_what_can_not_be_tested_is_refused():
    config = se.RunConfig(problem="two-weight", rule="gd", eta=0.1)
    at = taken(config, 0)
    with pytest.raises(se.ConfigError, match="half a batch takes 2 examples at least, got 0"):
        edge_test(config, *at, "batch")
    with pytest.raises(se.ConfigError, match=r"one of eta, batch over 1 step.*got 'rho' over 200"):
        edge_test(config, *at, "rho")  # pyright: ignore[reportArgumentType]
    large = config.replace(eta=1e6)
    with pytest.raises(se.ConfigError, match=r"eta must be .*got 2000000\.0"):
        edge_test(large, *taken(large, 0))
