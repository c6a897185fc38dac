import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samedge_core.theory import edges
from samedge_core.theory.descent import PLAIN_RULES, descend
from samedge_core.theory.quadratics import Quadratic
from samedge_core.theory.stability import edge_in, multiplier, regions

positive = st.floats(1e-3, 1e3)
SETTINGS = {"eta": 0.3, "rho": 0.2, "curvature": 4.0, "grad_norm": 0.7}


@pytest.mark.parametrize("rule", PLAIN_RULES)
@given(eta=st.floats(0.01, 1), rho=st.floats(0, 1), curvature=st.floats(0.1, 20))
def test_multiplier_against_a_simulated_step(rule, eta, rho, curvature):
    run = descend(Quadratic([curvature]), rule, eta, rho, [0.9], 1)
    expected = run.w[1, 0] / run.w[0, 0]
    found = multiplier(rule, eta=eta, rho=rho, curvature=curvature, grad_norm=0.9 * curvature)
    # 1 - x cancels where x is near 1, so the tolerance is absolute in units of the terms
    assert found == pytest.approx(expected, abs=1e-13 * (2 + abs(expected)))


def test_a_map_equals_a_plain_loop():
    etas, norms = np.geomspace(0.01, 2, 9), np.geomspace(1e-3, 5, 7)
    found = regions(multiplier("sam", eta=etas, rho=0.2, curvature=4.0, grad_norm=norms[:, None]))
    assert found.shape == (7, 9)
    for i, norm in enumerate(norms):
        for j, eta in enumerate(etas):
            m = 1 - eta * 4.0 * (1 + 0.2 * 4.0 / norm)
            assert found[i, j] == (2 if abs(m) > 1 else 1 if m < 0 else 0)


@pytest.mark.parametrize(
    ("name", "rule"),
    [("eta", r) for r in PLAIN_RULES]
    + [("curvature", r) for r in PLAIN_RULES]
    + [("rho", "sam"), ("rho", "usam"), ("grad_norm", "sam")],
)
@given(eta=positive, rho=positive, curvature=positive, grad_norm=positive)
def test_on_the_edge_the_multiplier_is_minus_one(name, rule, eta, rho, curvature, grad_norm):
    settings = {"eta": eta, "rho": rho, "curvature": curvature, "grad_norm": grad_norm}
    solved = float(edge_in(name, rule, **settings))
    if name in ("rho", "grad_norm") and eta * curvature >= 2:
        assert np.isnan(solved)
        return
    on_edge = {**settings, name: solved}
    if 0.999 < eta * curvature / 2 < 1.001:
        return  # 2/(eta lambda) - 1 has lost its digits here
    # eta lambda (1 + s lambda) = 2 is a product of rounded factors; cancellation costs 1e3 at most
    assert multiplier(rule, **on_edge) == pytest.approx(-1, abs=1e-11)


def test_the_edge_in_curvature_is_the_edge_of_the_rule():
    assert edge_in("curvature", "gd", **SETTINGS) == edges.gd_edge(0.3)
    assert edge_in("curvature", "sam", **SETTINGS) == edges.sam_edge(0.3, 0.2, 0.7)
    assert edge_in("curvature", "usam", **SETTINGS) == edges.usam_edge(0.3, 0.2)


@pytest.mark.parametrize(
    ("name", "rule"), [("rho", "gd"), ("grad_norm", "gd"), ("grad_norm", "usam")]
)
def test_a_setting_that_the_rule_does_not_use_has_no_edge(name, rule):
    assert np.isnan(edge_in(name, rule, **SETTINGS))
