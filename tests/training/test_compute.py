"""What a network computes, against a forward pass by hand."""

import math

import numpy as np
import pytest
import torch

from samedge_core.problems.domain import POINTS, SIDE
from samedge_core.training.compute import compute, examples_of
from samedge_core.training.computed import MOST_EXAMPLES
from samedge_core.training.config import RunConfig
from samedge_core.training.loop import build_problem
from tests.problems.test_networks import forward

FLOWER = {"shape": "spirals-3", "n": 60, "n_test": 40}


def at_start(config: RunConfig, factor: float = 1.0):
    problem = build_problem(config)
    domain = problem.domain()
    assert domain is not None
    return problem, domain, factor * problem.init(seed=2)


@pytest.mark.parametrize("loss", ["mse", "cross-entropy"])
def test_the_regions_are_those_of_a_forward_pass_by_hand(loss):
    config = RunConfig(problem="points-mlp", options={**FLOWER, "loss": loss}, dtype="float64")
    problem, domain, w = at_start(config, factor=3.0)
    found = compute(problem, domain, w, 7, probabilities=loss == "cross-entropy")
    assert found is not None
    axes = [np.linspace(*each, SIDE) for each in domain.ranges]
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    outputs = forward(w, [2, 30, 30, 3], grid, np.tanh)
    if loss == "cross-entropy":
        exp = np.exp(outputs)
        outputs = exp / exp.sum(axis=1, keepdims=True)
    codes = found.values.astype(int).ravel()
    np.testing.assert_array_equal(codes // 85, outputs.argmax(axis=1))
    ordered = np.sort(outputs, axis=1)
    lead = np.clip(ordered[:, -1] - ordered[:, -2], 0, 1)
    # rounded to one of 85 values, in float32
    np.testing.assert_allclose(codes % 85 / 84, lead, atol=0.5 / 84 + 1e-6)
    assert (found.step, found.values.shape, found.values.dtype) == (7, (SIDE, SIDE), np.uint8)
    assert found.accuracy == problem.evaluate(w).accuracy
    assert found.held_out_accuracy == problem.evaluate_held_out(w).accuracy


def test_the_function_is_that_of_a_forward_pass_by_hand():
    problem, domain, w = at_start(RunConfig(problem="chebyshev-mlp", dtype="float64"))
    found = compute(problem, domain, w, 0, probabilities=False)
    assert found is not None
    at = np.linspace(-1, 1, POINTS)[:, None]
    expected = forward(w, [1, 30, 20, 1], at, np.tanh)[:, 0]
    np.testing.assert_allclose(found.values, expected, rtol=1e-6, atol=1e-6)
    assert found.loss == problem.evaluate(w).loss
    assert math.isnan(found.accuracy)
    assert math.isnan(found.held_out_accuracy)


@pytest.mark.parametrize(
    "config", [RunConfig(problem="points-mlp"), RunConfig(problem="chebyshev-mlp")]
)
def test_a_picture_takes_less_than_four_kilobytes(config):
    found = compute(*at_start(config), 0, probabilities=False)
    assert found is not None
    assert found.values.nbytes < 4000


def test_nothing_is_made_of_what_is_not_finite():
    problem, domain, w = at_start(RunConfig(problem="points-mlp"))
    assert compute(problem, domain, w * torch.inf, 0, probabilities=False) is None


def test_the_examples_are_the_first_of_each_kind():
    n, left = MOST_EXAMPLES + 50, 20
    config = RunConfig(problem="points-mlp", options={"n": n, "n_test": left})
    problem, domain, _ = at_start(config)
    found = examples_of(domain)
    assert found.sizes == (n, left)
    assert (len(found.x), len(found.y), len(found.x_test)) == (MOST_EXAMPLES, MOST_EXAMPLES, left)
    data = problem.full_batch()
    assert data is not None
    np.testing.assert_array_equal(found.x, data.x[:MOST_EXAMPLES])
    np.testing.assert_array_equal(found.y, data.y[:MOST_EXAMPLES])


def test_without_held_out_ones_there_are_none():
    _, domain, _ = at_start(RunConfig(problem="points-mlp", options={"n_test": 0}))
    found = examples_of(domain)
    assert (found.sizes, found.x_test.shape, found.y_test.shape) == ((200, 0), (0, 2), (0,))
