"""check_derivatives: what is right passes whatever its kinks, a small wrong part is found."""

import pytest
import torch

from samedge_core.problems.derivatives import check_derivatives

GENERATOR = torch.Generator().manual_seed(0)
W = torch.randn(60, generator=GENERATOR, dtype=torch.float64)
MATRIX = torch.randn(5000, 60, generator=GENERATOR, dtype=torch.float64)


class Wrong(torch.autograd.Function):
    """x^3 / 6, with its own gradient, and (1 + factor) / 2 times its second derivative."""

    @staticmethod
    def forward(ctx, x, factor):
        ctx.save_for_backward(x, factor)
        return x**3 / 6

    @staticmethod
    def backward(ctx, g):  # pyright: ignore[reportIncompatibleMethodOverride]
        x, factor = ctx.saved_tensors
        return g * (factor * x + (1 - factor) * x.detach()) * x / 2, None


def kinks(w: torch.Tensor) -> torch.Tensor:
    """5,000 of them, of which a difference of 1e-4 crosses some."""
    return (MATRIX.to(w) @ w).relu().square().mean() + (MATRIX.to(w) @ w).abs().mean()


def rounded(w: torch.Tensor) -> torch.Tensor:
    return (w.float() ** 4).sum().double()


def cholesky(w: torch.Tensor) -> torch.Tensor:
    matrix = torch.tensor([[1.0, 1.0], [1.0, 1.0]], dtype=w.dtype) * w[0]
    return torch.linalg.cholesky(matrix + torch.eye(2).to(w) * (1e-3 - (w[0] - 1).abs())).sum()


@pytest.mark.parametrize(
    ("loss", "w"),
    [
        (kinks, W),
        (kinks, W.float()),
        (rounded, W),
        (lambda w: (w**3).sum(), W),
        (lambda w: w.sum(), W),
        (lambda w: w.sign().sum() + w.sum() * 0, W),
        (lambda w: w.sqrt().sum(), W),  # NaN: it can't be told
        (lambda w: (w.log() + 1e3).sum(), W.abs()),
        (lambda w: w.norm(), torch.zeros_like(W)),  # a kink at w, and none near it
        (cholesky, torch.ones(1, dtype=torch.float64)),
    ],
)
def test_what_is_right_passes(loss, w):
    check_derivatives(loss, w)


@pytest.mark.parametrize("factor", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_a_wrong_second_derivative_is_found_beside_kinks(factor, kind):
    def loss(w: torch.Tensor) -> torch.Tensor:
        return Wrong.apply(w, torch.tensor(factor).to(w)).sum() + w.abs().sum()

    with pytest.raises(ValueError, match="Hessian must be that of the gradient, but a product is"):
        check_derivatives(loss, W.to(kind))


def test_a_wrong_gradient_is_found():
    with pytest.raises(ValueError, match=r"gradient must be that of the loss, but its slope is"):
        check_derivatives(lambda w: (w * w.detach()).sum(), W)


class Rolled(torch.autograd.Function):
    """2 w, with a derivative of twice a permutation."""

    @staticmethod
    def forward(ctx, w):
        return 2 * w

    @staticmethod
    def backward(ctx, *grad_outputs):
        return 2 * grad_outputs[0].roll(1)


class Skewed(torch.autograd.Function):
    """|w|^2, whose gradient has a derivative that is not symmetric."""

    @staticmethod
    def forward(ctx, w):
        ctx.save_for_backward(w)
        return w.square().sum()

    @staticmethod
    def backward(ctx, *grad_outputs):
        (w,) = ctx.saved_tensors
        return grad_outputs[0] * Rolled.apply(w)


def test_without_differences_only_symmetry_is_checked():
    check_derivatives(lambda w: (w * w.detach()).sum(), W, differences=False)
    with pytest.raises(ValueError, match="symmetric"):
        check_derivatives(Skewed.apply, W, differences=False)
