"""The dense oracle itself, against closed forms."""

import torch

from samedge_core.curvature import dense_hessian


def test_a_hessian_by_hand():
    w = torch.tensor([1.0, 2.0, -1.0], dtype=torch.float64)
    got = dense_hessian(lambda w: w[0] ** 3 + w[0] * w[1] ** 2 + torch.exp(w[2]), w)
    expected = torch.tensor(
        [[6.0, 4.0, 0.0], [4.0, 2.0, 0.0], [0.0, 0.0, torch.exp(w[2])]], dtype=torch.float64
    )
    # a few roundings of entries up to 6
    torch.testing.assert_close(got, expected, rtol=1e-14, atol=0)


def test_the_hessian_of_a_quadratic_is_its_matrix_and_symmetric():
    b = torch.randn(20, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    w = torch.ones(20, dtype=torch.float64, requires_grad=True)
    got = dense_hessian(lambda w: 0.5 * w @ (b + b.T) @ w, w)
    assert torch.equal(got, got.T)
    assert not got.requires_grad
    # entries up to 6, added up in two orders
    torch.testing.assert_close(got, b + b.T, rtol=0, atol=1e-14)
