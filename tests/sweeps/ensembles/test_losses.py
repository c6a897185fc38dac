"""Losses differentiated together, against closed forms."""

import numpy as np
import torch

from samedge_core.sweeps.ensembles.losses import Losses
from samedge_core.theory.two_weight import TwoWeightLandscape
from samedge_core.training.config import RunConfig
from samedge_core.training.loop import build_problem


def test_two_weights():
    losses = Losses(build_problem(RunConfig("two-weight", dtype="float64"), "plain"))
    w = torch.tensor([[2.5, 0.6], [0.1, -1.0], [1.0, 1.0]], dtype=torch.float64)
    point = losses.at(losses.packed(w), keep=True)
    a, b = w.T.numpy()
    exact = TwoWeightLandscape()
    np.testing.assert_allclose(point.loss, exact.loss([a, b]), rtol=1e-15)
    gradient = np.stack(exact.gradient([a, b]), 1)
    np.testing.assert_allclose(losses.unpacked(point.g), gradient, rtol=1e-14, atol=1e-15)
    # H (1, 0) is the first column
    product = point.hvp(torch.tensor([[1.0, 0.0]] * 3, dtype=torch.float64))
    np.testing.assert_allclose(product, np.stack([b**2, 2 * a * b - 1], 1), rtol=1e-14)
    some = point.select(torch.tensor([False, True, True]))
    np.testing.assert_allclose(some.loss, point.loss[1:], rtol=0)
    np.testing.assert_allclose(some.hvp(w[1:]), point.hvp(w)[1:], rtol=1e-15)


def test_quadratic():
    problem = build_problem(RunConfig("quadratic", dtype="float64"), "plain")
    losses, w = Losses(problem), torch.eye(3, dtype=torch.float64)
    point = losses.at([w], keep=True)
    matrix = torch.func.hessian(lambda x: problem.loss(x, None))(w[0])
    torch.testing.assert_close(point.g[0], matrix, rtol=1e-14, atol=1e-15)
    torch.testing.assert_close(point.hvp(w), matrix, rtol=1e-14, atol=1e-15)
    assert losses.evaluate(point) == (None, None)
