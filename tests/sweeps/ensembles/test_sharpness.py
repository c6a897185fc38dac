"""Operator norms of many Hessians, against dense ones."""

import numpy as np
import pytest
import torch
from torch import Tensor

from samedge_core.sweeps.ensembles import sharpness
from samedge_core.sweeps.ensembles.advance import Ensemble
from samedge_core.sweeps.ensembles.sharpness import leading
from samedge_core.training.config import RunConfig
from samedge_core.training.loop import build_problem


class Dense:
    """Symmetric matrices (C, P, P) as a Point."""

    def __init__(self, matrices: Tensor) -> None:
        self.matrices = matrices

    def hvp(self, v: Tensor) -> Tensor:
        return torch.einsum("cij,cj->ci", self.matrices, v)

    def select(self, cells) -> "Dense":
        return Dense(self.matrices[cells])


def diagonal(*rows) -> Dense:
    return Dense(torch.diag_embed(torch.tensor(rows, dtype=torch.float64)))


def noise(cells: int, size: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, size, generator=generator, dtype=torch.float64).expand(cells, -1)


def test_both_ends_count():
    found = leading(diagonal([1, -5, 3], [1, 2, 4], [0, 0, 0]), noise(3, 3))
    assert found.value.tolist() == pytest.approx([-5, 4, 0], abs=1e-12)
    assert found.converged.all()
    assert found.vector[0].abs().tolist() == pytest.approx([0, 1, 0], abs=1e-12)


def test_cells_leave_as_they_converge():
    """An easy and a hard spectrum together, in fewer products than the hard one needs for both."""
    easy, hard = [1.0] * 99 + [10.0], np.linspace(0, 1, 100).tolist()
    point, start = diagonal(easy, hard, easy), noise(3, 100)
    found = leading(point, start)
    pair = leading(diagonal(hard, hard), start[:2])
    assert found.products < 1.5 * pair.products
    largest = torch.tensor([10.0, 1.0, 10.0], dtype=torch.float64)
    torch.testing.assert_close(found.value, largest, rtol=1e-3, atol=0)
    residual = (point.hvp(found.vector) - found.value[:, None] * found.vector).norm(dim=1)
    assert (residual <= 1.01e-3 * found.value).all()


def test_what_has_not_converged_is_said(monkeypatch):
    monkeypatch.setattr(sharpness, "CHECKED", (2, 3))
    found = leading(diagonal(np.linspace(0, 1, 100).tolist(), [1.0] * 100), noise(2, 100))
    assert found.converged.tolist() == [False, True]
    assert 0.5 < found.value[0] < 1  # a lower bound


def test_a_product_that_is_not_finite():
    found = leading(diagonal([1, 2, 3], [1, torch.inf, 3]), noise(2, 3))
    assert found.value[0] == pytest.approx(3)
    assert found.value[1].isnan()
    assert found.converged.tolist() == [True, False]


def test_along_runs_it_is_that_of_the_dense_hessian():
    """From the vectors of the last sample, up to the edge and at it, in float32."""
    base = RunConfig("chebyshev-mlp", rule="sam", steps=301)
    configs = [base.replace(eta=eta, rho=rho) for eta in (0.1, 0.3) for rho in (0.005, 0.05)]
    ensemble, problem = Ensemble(configs, 7), build_problem(base, "plain")
    hessian = torch.func.hessian(lambda w: problem.loss(w, None))
    for step in range(301):
        w = ensemble.model.unpacked(ensemble.w)
        ensemble.advance()
        if step in (0, 100, 300):
            dense = torch.linalg.eigvalsh(torch.stack([hessian(x) for x in w]).double())
            found = ensemble._samples[1, :, step // 50]
            np.testing.assert_allclose(found, dense.abs().amax(1), rtol=1e-3)
