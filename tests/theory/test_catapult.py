"""The recursion of (f, K), against torch on networks of several widths."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from samedge_core.theory.catapult import Catapult, catapult_step, resting_places
from samedge_core.theory.descent import descend


@pytest.mark.parametrize("n", [1, 3, 50])
@pytest.mark.parametrize("eta", [0.5, 1.3])
def test_gd_on_a_network_follows_the_recursion_at_any_width(n, eta):
    generator = torch.Generator().manual_seed(n)
    w = torch.randn(2, n, dtype=torch.float64, generator=generator)
    f = float(w[0] @ w[1]) / np.sqrt(n)
    k = float((w**2).sum()) / n
    for _ in range(25):
        w.requires_grad_()
        output = (w[0] * w[1]).sum() / np.sqrt(n)
        (g,) = torch.autograd.grad(output**2 / 2, w)
        w = (w - eta * g).detach()
        (f, k), seen = catapult_step(f, k, eta, n), (float(w[0] @ w[1]) / np.sqrt(n))
        assert seen == pytest.approx(float(f), rel=1e-9, abs=1e-12)
        assert float((w**2).sum()) / n == pytest.approx(float(k), rel=1e-12)
        f, k = seen, float((w**2).sum()) / n  # each step is checked, not what chaos makes of many


@settings(max_examples=20, deadline=None)  # a Hessian of torch each
@given(u=st.floats(-3, 3), v=st.floats(-3, 3), n=st.integers(1, 100))
def test_gradient_and_sharpness_are_those_of_autograd(u, v, n):
    landscape, w = Catapult(n), torch.tensor([u, v], dtype=torch.float64)

    def loss(w):
        return landscape.loss([w[0], w[1]])

    gradient = torch.func.grad(loss)(w).numpy()
    np.testing.assert_allclose(landscape.gradient((u, v)), gradient, rtol=1e-12, atol=1e-13)
    norm = np.abs(np.linalg.eigvalsh(torch.func.hessian(loss)(w).numpy())).max()
    assert landscape.sharpness((u, v)) == pytest.approx(norm, rel=1e-12, abs=1e-13)


def test_the_sharpness_of_a_wide_network_is_that_of_two_weights():
    w = torch.randn(2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    f, k = float(w[0] @ w[1]) / np.sqrt(6), float((w**2).sum()) / 6

    def loss(w):
        return ((w[:6] * w[6:]).sum() / 6**0.5) ** 2 / 2

    top = np.abs(np.linalg.eigvalsh(torch.func.hessian(loss)(w.ravel()).numpy())).max()
    assert Catapult(6).sharpness(Catapult(6).weights(f, k)) == pytest.approx(top, rel=1e-12)


@given(f=st.floats(-5, 5), extra=st.floats(0, 5), n=st.integers(1, 1000))
def test_weights_have_the_output_and_the_curvature(f, extra, n):
    k = 2 * abs(f) / np.sqrt(n) + extra
    found = Catapult(n).f_and_k(Catapult(n).weights(f, k))
    np.testing.assert_allclose(found, [f, k], rtol=1e-12, atol=1e-12)


def test_where_no_weights_are_the_message_says_what_is_needed():
    with pytest.raises(ValueError, match=r"K must be >= 2\|f\|/sqrt\(n\) = 0\.5, got K = 0\.4"):
        Catapult(4).weights(-0.5, 0.4)


def test_the_map_of_resting_places_says_what_descents_do():
    columns, rows, wide, high, n, eta = 15, 13, 2.4, 4.8, 7, 0.6
    found = resting_places(columns, rows, wide, high)
    for i, j in np.ndindex(rows, columns):
        f = float(np.linspace(-wide, wide, columns)[j] * np.sqrt(n) / eta)
        k = float(np.linspace(0, high, rows)[i] / eta)
        if np.isnan(found[i, j]):
            with pytest.raises(ValueError, match="K must be"):
                Catapult(n).weights(f, k)
        elif k * eta != pytest.approx(4) and abs(f) > 1e-9:
            run = descend(Catapult(n), "gd", eta, 0.0, Catapult(n).weights(f, k), 1000)
            assert run.escaped == np.isinf(found[i, j])
            if k * eta < 3:  # above, starts that differ by rounding part before they rest
                end = Catapult(n).f_and_k(list(run.w[-1]))[1] * eta
                assert end == pytest.approx(found[i, j], abs=0.02)
