"""EdgeOperator: its products are those of the matrix, and the tracker follows it."""

import numpy as np
import pytest
import torch

from samedge_core.curvature.edge_operator import EdgeOperator
from samedge_core.curvature.operator import HessianOperator
from samedge_core.curvature.plain_tracker import PlainTracker
from samedge_core.curvature.tracker import SharpnessTracker
from tests.curvature.matrices import with_spectrum

SIZE = 40


def made(reach: float, shift: float):
    """The operator and its dense matrix; P is spread over three decades."""
    h = with_spectrum(np.linspace(-2, 5, SIZE)).matrix
    p = torch.logspace(-1, 2, SIZE, dtype=torch.float64)[
        torch.randperm(SIZE, generator=torch.Generator().manual_seed(2))
    ]
    hessian = HessianOperator(lambda w: 0.5 * w @ h @ w, torch.ones(SIZE, dtype=torch.float64))
    root = torch.diag(p.rsqrt())
    dense = root @ (h + reach * h @ h) @ root + shift * torch.eye(SIZE, dtype=torch.float64)
    return hessian, EdgeOperator(hessian, p, reach=reach, shift=shift), dense


@pytest.mark.parametrize("reach", [0.0, 0.3])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_a_product_is_that_of_the_matrix(reach, shift):
    hessian, operator, dense = made(reach, shift)
    x = torch.randn(SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    # three products of 40 terms each, rounded to 1e-16
    torch.testing.assert_close(operator.matvec(x), dense @ x, rtol=1e-11, atol=1e-11)
    assert hessian.products == operator.products_each == (2 if reach else 1)


@pytest.mark.parametrize("kind", [SharpnessTracker, PlainTracker])
@pytest.mark.parametrize("reach", [0.0, 0.3])
def test_a_tracker_finds_its_leading_eigenvalue_and_direction(kind, reach):
    _, operator, dense = made(reach, 0.0)
    estimate = kind(seed=0).measure(operator)
    values, vectors = torch.linalg.eigh(dense)
    leading = int(values.abs().argmax())
    assert estimate.converged
    assert estimate.value == pytest.approx(float(values[leading]), rel=1e-3)
    assert abs(float(estimate.vectors[0] @ vectors[:, leading])) > 0.99


def test_without_any_of_it_it_is_the_hessian():
    h = HessianOperator(lambda w: (w**4).sum(), torch.tensor([1.0, 2.0]))
    v = torch.tensor([1.0, -1.0])
    assert torch.equal(EdgeOperator(h).matvec(v), h.matvec(v))
    assert EdgeOperator(h).to_weights(v) is v


def test_without_the_factor_it_is_the_preconditioned_hessian():
    _, operator, _ = made(0.3, 0.0)
    _, _, plain = made(0.0, 0.0)
    x = torch.nn.functional.normalize(torch.ones(SIZE, dtype=torch.float64), dim=0)
    assert operator.plain(x) == pytest.approx(float(x @ plain @ x), rel=1e-11)
