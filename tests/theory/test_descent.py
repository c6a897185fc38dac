import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from samedge_core.theory.descent import PLAIN_RULES, descend, sampled_steps
from samedge_core.theory.edges import gd_edge, sam_edge, usam_edge
from samedge_core.theory.quadratics import Quadratic
from samedge_core.theory.rules import Hyperparameters
from samedge_core.theory.two_weight import TwoWeightLandscape
from samedge_core.training.optimizers import Moments, update

VALLEY = TwoWeightLandscape()


@pytest.mark.parametrize("rule", PLAIN_RULES)
@pytest.mark.parametrize(
    ("landscape", "start"), [(Quadratic([5.0, 0.7]), (1.5, -0.4)), (VALLEY, (2.5, 0.6))]
)
def test_iterates_are_those_of_the_torch_rules(rule, landscape, start):
    hyper = Hyperparameters(rule, eta=0.3, rho=0.1, beta=0.0)

    def gradient(w: torch.Tensor) -> torch.Tensor:
        w = w.detach().requires_grad_()
        return torch.autograd.grad(landscape.loss(list(w)), w)[0]

    w = torch.tensor(start, dtype=torch.float64)
    expected = [w.numpy()]
    for _ in range(50):
        w = update(w, gradient(w), Moments(torch.zeros(2)), hyper, gradient).w
        expected.append(w.numpy())
    found = descend(landscape, rule, 0.3, 0.1, start, 50)
    # two orders of the same roundings, over 50 steps of which none expands
    np.testing.assert_allclose(found.w, expected, rtol=1e-9, atol=1e-12)
    assert not found.escaped


@given(
    start=st.lists(st.floats(-3, 3), min_size=2, max_size=2),
    eta=st.floats(1e-3, 0.5),
    rule=st.sampled_from(["sam", "usam"]),
)
def test_without_a_radius_every_rule_is_gd_bit_for_bit(start, eta, rule):
    gd = descend(VALLEY, "gd", eta, 0.2, start, 40)
    other = descend(VALLEY, rule, eta, 0.0, start, 40)
    assert gd.w.tobytes() == other.w.tobytes()
    np.testing.assert_array_equal(other.perturbed, other.w)


def test_gd_is_a_power_of_the_multiplier():
    w = descend(Quadratic([4.0, 1.0]), "gd", 0.3, 0.0, (1.0, 2.0), 60).w
    k = np.arange(61)
    # 60 products of 1 ulp each
    np.testing.assert_allclose(w[:, 0], (1 - 0.3 * 4) ** k, rtol=1e-13)
    np.testing.assert_allclose(w[:, 1], 2 * (1 - 0.3) ** k, rtol=1e-13)


def test_an_exact_repeat_is_continued_without_changing_a_bit():
    landscape = Quadratic([5.0])
    whole = descend(landscape, "sam", 0.3, 0.2, [1.5], 10_001)
    path = [(1.5,)]
    for _ in range(10_001):
        (w,) = path[-1]
        (g,) = landscape.gradient((w,))
        (up,) = landscape.gradient((w + 0.2 / abs(g) * g,))
        path.append((w - 0.3 * up,))
    assert whole.w.tobytes() == np.array(path).tobytes()
    assert whole.steps == 10_001


def test_at_zero_gradient_the_step_is_zero():
    for rule in PLAIN_RULES:
        still = descend(Quadratic([5.0, 1.0]), rule, 0.3, 0.2, (0.0, 0.0), 5)
        np.testing.assert_array_equal(still.w, np.zeros((6, 2)))
        np.testing.assert_array_equal(still.perturbed, still.w)


def test_an_escape_ends_the_record_with_finite_numbers():
    run = descend(VALLEY, "gd", 0.5, 0.0, (3.0, 0.2), 5000)
    assert run.escaped
    assert run.steps < 20
    for values in (run.w, run.loss, run.grad_norm, run.sharpness, run.edge, run.perturbed):
        assert np.isfinite(values).all()


def test_what_is_measured_along_the_way():
    run = descend(VALLEY, "sam", 0.3, 0.05, (2.5, 0.6), 30)
    for k in (0, 7, 30):
        w = torch.tensor(run.w[k], requires_grad=True)
        loss = VALLEY.loss(list(w))
        (g,) = torch.autograd.grad(loss, w)
        assert run.loss[k] == pytest.approx(loss.item(), rel=1e-12)
        np.testing.assert_allclose(run.gradient[k], g.numpy(), rtol=1e-12)
        norm = float(g.norm())
        assert run.grad_norm[k] == pytest.approx(norm, rel=1e-12)
        np.testing.assert_allclose(run.perturbed[k], run.w[k] + 0.05 * g.numpy() / norm, rtol=1e-12)
        assert run.edge[k] == pytest.approx(sam_edge(0.3, 0.05, norm), rel=1e-12)
        reached = run.w[k] - 0.3 * np.array(VALLEY.gradient(run.perturbed[k]))
        if k < 30:
            np.testing.assert_allclose(run.w[k + 1], reached, rtol=1e-12)


def test_edges_of_the_other_rules_are_constant():
    assert set(descend(VALLEY, "gd", 0.3, 0.1, (2.5, 0.6), 9).edge) == {gd_edge(0.3)}
    assert set(descend(VALLEY, "usam", 0.3, 0.1, (2.5, 0.6), 9).edge) == {usam_edge(0.3, 0.1)}


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="rule must be one of gd, sam, usam, got 'adam'"):
        descend(VALLEY, "adam", 0.1, 0.0, (1, 1), 1)
    with pytest.raises(ValueError, match="start must be finite, got"):
        descend(VALLEY, "gd", 0.1, 0.0, (1, np.nan), 1)
    for landscape in (VALLEY, Quadratic([5.0, 1.0])):
        with pytest.raises(ValueError, match=r"start must have the 2 coordinates .*, got 1: \[1\]"):
            descend(landscape, "gd", 0.1, 0.0, [1], 1)
    with pytest.raises(ValueError, match=r"eta must be a finite number > 0, got -0\.3"):
        descend(VALLEY, "gd", -0.3, 0.0, (1, 1), 1)
    with pytest.raises(ValueError, match=r"rho must be a finite number >= 0, got -0\.2"):
        descend(VALLEY, "sam", 0.3, -0.2, (1, 1), 1)


@given(steps=st.integers(0, 20_000))
def test_sampled_steps_hold_beginning_end_and_pairs(steps):
    shown = sampled_steps(steps)
    assert len(shown) <= 402
    assert (np.diff(shown) > 0).all()
    assert set(range(min(steps + 1, 200))) <= set(shown.tolist())
    assert set(range(max(0, steps - 99), steps + 1)) <= set(shown.tolist())
    assert shown[-1] == steps
    neighbours = np.isin(shown + 1, shown) | np.isin(shown - 1, shown)
    assert neighbours.all() or steps == 0
