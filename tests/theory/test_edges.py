"""Edges and multipliers against the textbook formulas in 60-digit arithmetic, and torch's SGD."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from samedge_core.theory import edges

# seven roundings of half an ulp each stay under this
ROUNDING = 1e-15


def log_uniform(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(math.log10(low), math.log10(high)).map(lambda exponent: 10.0**exponent)


ETAS = log_uniform(1e-6, 1e3)
RHOS = log_uniform(1e-12, 1e2)
NORMS = log_uniform(1e-12, 1e6)
BETAS = st.floats(0, 0.99)
FACTORS = st.floats(1.01, 100)


def textbook_sam_edge(eta: float, rho: float, grad_norm: float) -> float:
    """(||g||/(2 rho)) (sqrt(1 + 8 rho/(eta ||g||)) - 1), which cancels in floating point."""
    with localcontext(prec=60):
        e, r, g = Decimal(eta), Decimal(rho), Decimal(grad_norm)
        return float(g / (2 * r) * ((1 + 8 * r / (e * g)).sqrt() - 1))


def pull(eta: float, rho: float, grad_norm: float) -> float:
    return 8 * rho / (eta * grad_norm)


# --- closed forms ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edge", "expected"),
    [
        (edges.gd_edge(0.5), 4.0),
        (edges.sam_edge(1.0, 1.0, 1.0), 1.0),  # sqrt(1 + 8) = 3, (3 - 1)/2
        (edges.sam_edge(0.5, 0.75, 4.0), 8 / 3),  # sqrt(1 + 3) = 2, (4/1.5) (2 - 1)
        (edges.usam_edge(1.0, 3.0), 2 / 3),  # sqrt(1 + 24) = 5, (5 - 1)/6
        (edges.polyak_edge(0.5, 0.9), 7.6),
        (edges.polyak_edge(0.5, 0.0), 4.0),
        (edges.nesterov_edge(0.25, 0.75), 5.6),
        (edges.nesterov_edge(0.5, 0.0), 4.0),
    ],
)
def test_edges_by_hand(edge, expected):
    assert edge == pytest.approx(expected, rel=ROUNDING)


@given(ETAS, RHOS, NORMS)
def test_sam_edge_is_the_textbook_formula(eta, rho, grad_norm):
    expected = textbook_sam_edge(eta, rho, grad_norm)
    assert edges.sam_edge(eta, rho, grad_norm) == pytest.approx(expected, rel=ROUNDING)


@given(ETAS, RHOS)
def test_usam_edge_is_the_textbook_formula(eta, rho):
    assert edges.usam_edge(eta, rho) == pytest.approx(
        textbook_sam_edge(eta, rho, 1.0), rel=ROUNDING
    )


def test_sam_edge_does_not_cancel_at_a_tiny_radius():
    # the textbook form in float64 prints 19.99956 here
    assert edges.sam_edge(0.1, 1e-12, 10.0) == pytest.approx(
        textbook_sam_edge(0.1, 1e-12, 10.0), rel=ROUNDING
    )


# --- limits ---------------------------------------------------------------------------------


@given(ETAS, NORMS)
def test_sam_edge_at_radius_zero_is_gds_exactly(eta, grad_norm):
    assert edges.sam_edge(eta, 0.0, grad_norm) == edges.gd_edge(eta)
    assert edges.usam_edge(eta, 0.0) == edges.gd_edge(eta)
    assert edges.sam_edge(eta, 0.0, 0.0) == edges.gd_edge(eta)


@given(ETAS, RHOS)
def test_sam_edge_at_infinite_and_zero_gradient(eta, rho):
    assert edges.sam_edge(eta, rho, math.inf) == edges.gd_edge(eta)
    assert edges.sam_edge(eta, rho, 0.0) == 0.0


@given(ETAS, RHOS, NORMS)
def test_sam_edge_approaches_gds_edge_at_first_order(eta, rho, grad_norm):
    x = pull(eta, rho, grad_norm)
    gd = edges.gd_edge(eta)
    # sqrt(1 + x) <= 1 + x/2 bounds the shortfall by x/4
    assert gd * (1 - x / 4 - ROUNDING) <= edges.sam_edge(eta, rho, grad_norm) <= gd


@given(ETAS, RHOS, NORMS)
def test_sam_edge_shrinks_like_the_root_of_the_gradient_norm(eta, rho, grad_norm):
    root = math.sqrt(pull(eta, rho, grad_norm))
    asymptote = math.sqrt(2 * grad_norm / (eta * rho))
    # asymptote/edge = (1 + sqrt(1 + x))/sqrt(x) lies between 1 and 1 + 1/sqrt(x) + 1/(2x)
    ratio = asymptote / edges.sam_edge(eta, rho, grad_norm)
    assert 1 - ROUNDING <= ratio <= (1 + 1 / root + 0.5 / root**2) * (1 + ROUNDING)


# --- monotonicity ---------------------------------------------------------------------------


@given(ETAS, RHOS, NORMS, FACTORS)
def test_sam_edge_falls_with_eta_and_rho_and_rises_with_the_gradient(eta, rho, grad_norm, factor):
    # below 1e-6 the dependence on rho and ||g|| drowns in rounding
    assume(pull(eta, rho, grad_norm) > 1e-6)
    edge = edges.sam_edge(eta, rho, grad_norm)
    assert edges.sam_edge(eta * factor, rho, grad_norm) < edge
    assert edges.sam_edge(eta, rho * factor, grad_norm) < edge
    assert edges.sam_edge(eta, rho, grad_norm * factor) > edge


@given(ETAS, st.floats(0.01, 0.9), FACTORS)
def test_momentum_edges_move_with_eta_and_beta(eta, beta, factor):
    assert edges.gd_edge(eta * factor) < edges.gd_edge(eta)
    assert edges.polyak_edge(eta * factor, beta) < edges.polyak_edge(eta, beta)
    assert edges.nesterov_edge(eta * factor, beta) < edges.nesterov_edge(eta, beta)
    # Polyak's edge rises above 2/eta with beta, Nesterov's falls below it
    assert edges.polyak_edge(eta, beta) > edges.gd_edge(eta) > edges.nesterov_edge(eta, beta)


# --- multipliers ----------------------------------------------------------------------------


@given(ETAS, RHOS, NORMS)
def test_multipliers_without_momentum_are_minus_one_at_the_edge(eta, rho, grad_norm):
    gd = edges.gd_multiplier(edges.gd_edge(eta), eta)
    sam = edges.sam_multiplier(edges.sam_edge(eta, rho, grad_norm), eta, rho, grad_norm)
    usam = edges.usam_multiplier(edges.usam_edge(eta, rho), eta, rho)
    # 1 - 2, the 2 with a relative error of some ten roundings
    assert [gd, sam, usam] == pytest.approx([-1.0] * 3, abs=1e-14)


@given(ETAS, BETAS)
def test_multipliers_with_momentum_are_minus_one_at_the_edge(eta, beta):
    polyak = edges.polyak_multiplier(edges.polyak_edge(eta, beta), eta, beta)
    nesterov = edges.nesterov_multiplier(edges.nesterov_edge(eta, beta), eta, beta)
    # the other root is near -beta: rounding is amplified by 1/(1 - beta) <= 100
    assert [polyak, nesterov] == pytest.approx([-1.0] * 2, abs=1e-12)


def one_sgd_step(w: float, buffer: float, curvature: float, **options) -> tuple[float, float]:
    """(w, momentum buffer) after one step of torch.optim.SGD on 1/2 curvature w^2."""
    parameter = torch.nn.Parameter(torch.tensor(w, dtype=torch.float64))
    optimiser = torch.optim.SGD([parameter], **options)
    optimiser.state[parameter]["momentum_buffer"] = torch.tensor(buffer, dtype=torch.float64)
    parameter.grad = curvature * parameter.detach()
    optimiser.step()
    return float(parameter.detach()), float(optimiser.state[parameter]["momentum_buffer"])


@pytest.mark.parametrize("nesterov", [False, True])
@given(
    eta=st.floats(0.05, 2), beta=st.floats(0.05, 0.95), scaled=st.floats(-1, 5).filter(lambda x: x)
)
def test_momentum_multiplier_is_the_leading_eigenvalue_of_torchs_step(nesterov, eta, beta, scaled):
    curvature = scaled / eta
    options = {"lr": eta, "momentum": beta, "nesterov": nesterov}
    step = np.array([one_sgd_step(*e, curvature, **options) for e in ((1.0, 0.0), (0.0, 1.0))]).T
    roots = np.linalg.eigvals(step)
    leading = roots[np.argmax(np.abs(roots))]
    multiplier = edges.nesterov_multiplier if nesterov else edges.polyak_multiplier
    got = multiplier(curvature, eta, beta)
    # at a double root the square root turns an error of 1e-15 into one of 3e-8
    if abs(leading.imag) > 1e-6:
        assert got == pytest.approx(abs(leading), abs=1e-7)
    else:
        assert abs(got) == pytest.approx(abs(leading), abs=1e-6)
        if abs(np.trace(step)) > 1e-6:
            assert np.sign(got) == np.sign(np.trace(step)) or abs(leading.imag) > 0


RULES = {
    "gd": (edges.gd_edge, edges.gd_multiplier, ("eta",)),
    "sam": (edges.sam_edge, edges.sam_multiplier, ("eta", "rho", "grad_norm")),
    "usam": (edges.usam_edge, edges.usam_multiplier, ("eta", "rho")),
    "polyak": (edges.polyak_edge, edges.polyak_multiplier, ("eta", "beta")),
    "nesterov": (edges.nesterov_edge, edges.nesterov_multiplier, ("eta", "beta")),
}


@pytest.mark.parametrize("rule", RULES)
@given(eta=ETAS, rho=RHOS, grad_norm=NORMS, beta=st.floats(0, 0.9), share=st.floats(0.01, 0.99))
def test_steps_contract_below_the_edge_and_grow_above_it(rule, eta, rho, grad_norm, beta, share):
    edge, multiplier, names = RULES[rule]
    values = {"eta": eta, "rho": rho, "grad_norm": grad_norm, "beta": beta}
    settings = [values[name] for name in names]
    assert abs(multiplier(share * edge(*settings), *settings)) < 1
    assert abs(multiplier(edge(*settings) / share, *settings)) > 1


def test_multiplier_of_sam_at_zero_gradient_is_gds():
    assert edges.sam_multiplier(3.0, 0.5, 0.1, 0.0) == edges.gd_multiplier(3.0, 0.5)


# --- arrays and types -----------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_arrays_broadcast_and_equal_their_scalars(rule):
    edge, multiplier, names = RULES[rule]
    grid = {
        "eta": np.array([[0.1], [1.0], [7.0]]),
        "rho": np.array([0.0, 0.01, 1.0, 5.0]),
        "grad_norm": np.array([0.0, 1e-3, 1.0, np.inf]),
        "beta": np.array([0.0, 0.1, 0.5, 0.9]),
    }
    settings = [grid[name] for name in names]
    shape = np.broadcast_shapes(*(np.shape(s) for s in settings))
    for function, arguments in ((edge, settings), (multiplier, [2.0, *settings])):
        got = function(*arguments)
        assert isinstance(got, np.ndarray)
        assert got.shape == shape
        full = np.broadcast_arrays(*arguments)
        for index in np.ndindex(*shape):
            scalar = function(*(float(a[index]) for a in full))
            assert type(scalar) is float
            assert got[index] == scalar


def test_zero_dimensional_input_gives_a_float():
    assert type(edges.gd_edge(np.float64(0.5))) is float
    assert type(edges.sam_edge(np.array(0.5), np.array(0.1), 1.0)) is float


# --- bad values -----------------------------------------------------------------------------

NOT_POSITIVE = st.one_of(st.floats(max_value=0), st.sampled_from([math.inf, math.nan]))
NEGATIVE = st.floats(max_value=0, exclude_max=True).filter(lambda x: x < 0)


def assert_refused(name: str, bad: float, call) -> None:
    with pytest.raises(ValueError, match=name) as caught:
        call()
    assert str(caught.value).startswith(f"{name} must be ")
    assert str(caught.value).endswith(f"got {bad}")


@given(NOT_POSITIVE)
def test_bad_eta_is_refused_everywhere(bad):
    for call in (
        lambda: edges.gd_edge(bad),
        lambda: edges.sam_edge(bad, 0.1, 1.0),
        lambda: edges.usam_edge(bad, 0.1),
        lambda: edges.polyak_edge(bad, 0.5),
        lambda: edges.nesterov_edge(bad, 0.5),
        lambda: edges.gd_multiplier(1.0, bad),
        lambda: edges.sam_multiplier(1.0, bad, 0.1, 1.0),
        lambda: edges.polyak_multiplier(1.0, bad, 0.5),
        lambda: edges.nesterov_multiplier(1.0, bad, 0.5),
        lambda: edges.gd_edge(np.array([0.5, bad, 0.25])),
    ):
        assert_refused("eta", bad, call)


@given(st.one_of(NEGATIVE, st.just(math.nan), st.just(math.inf)))
def test_bad_rho_is_refused(bad):
    assert_refused("rho", bad, lambda: edges.sam_edge(0.1, bad, 1.0))
    assert_refused("rho", bad, lambda: edges.usam_edge(0.1, bad))
    assert_refused("rho", bad, lambda: edges.sam_multiplier(1.0, 0.1, bad, 1.0))


@given(st.one_of(NEGATIVE, st.just(math.nan)))
def test_bad_gradient_norm_is_refused(bad):
    assert_refused("grad_norm", bad, lambda: edges.sam_edge(0.1, 0.1, bad))
    assert_refused("grad_norm", bad, lambda: edges.sam_edge(0.1, 0.1, [1.0, bad]))


@given(st.one_of(NEGATIVE, st.floats(min_value=1), st.just(math.nan)))
def test_bad_beta_is_refused(bad):
    assert_refused("beta", bad, lambda: edges.polyak_edge(0.1, bad))
    assert_refused("beta", bad, lambda: edges.nesterov_multiplier(1.0, 0.1, bad))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_bad_curvature_is_refused(bad):
    assert_refused("curvature", bad, lambda: edges.gd_multiplier(bad, 0.1))


@pytest.mark.parametrize("bad", ["much", None, object])
def test_what_is_no_number_is_refused(bad):
    with pytest.raises(ValueError, match="eta must be a finite number > 0, got"):
        edges.gd_edge(bad)
