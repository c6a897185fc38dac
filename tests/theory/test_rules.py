"""The table of rules agrees with the edges and with the updates that carry its names."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from samedge_core.theory import edges
from samedge_core.theory.rules import RULES, Hyperparameters, Settings
from samedge_core.training.optimizers import UPDATES, Moments, update

HYPER = Hyperparameters("gd", eta=0.3, rho=0.2, beta=0.6, beta2=0.7)
SCALAR = [name for name, rule in RULES.items() if not rule.preconditioned]
NORMS = np.array([0.1, 2.0])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("gd", edges.gd_edge(0.3)),
        ("sam", edges.sam_edge(0.3, 0.2, NORMS)),
        ("usam", edges.usam_edge(0.3, 0.2)),
        ("polyak", edges.polyak_edge(0.3, 0.6)),
        ("nesterov", edges.nesterov_edge(0.3, 0.6)),
        # (2 + 2 beta)/eta instead of 2/eta
        ("sam-polyak", edges.sam_edge(0.3 / 1.6, 0.2, NORMS)),
        ("adam", [np.nan, np.nan]),
    ],
)
def test_edge_of_the_rule_in_force(rule, expected):
    np.testing.assert_array_equal(replace(HYPER, rule=rule).edge(NORMS), expected)


@pytest.mark.parametrize("decay", [0.0, 0.5])
@pytest.mark.parametrize("rule", RULES)
def test_the_multiplier_is_minus_one_at_the_threshold(rule, decay):
    hyper = replace(HYPER, rule=rule, weight_decay=decay)
    found = RULES[rule].multiplier(hyper, RULES[rule].threshold(hyper))
    assert found == pytest.approx(-1, rel=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.5])
@pytest.mark.parametrize("rule", SCALAR)
def test_the_multiplier_of_the_rule_in_force_is_minus_one_at_its_edge(rule, decay):
    hyper = replace(HYPER, rule=rule, weight_decay=decay)
    for norm in NORMS:
        edge = np.asarray(hyper.edge(norm))
        assert hyper.multiplier(edge, norm) == pytest.approx(-1, rel=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.5])
@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_the_formula_of_an_edge_has_its_value(rule, decay):
    row = {"eta": 0.3, "rho": 0.2, "beta": 0.6, "grad_norm": 2.0, "edge": 5.0}
    row["weight_decay"] = decay
    template = rule._formula(row)
    expression = re.sub(r"<(\w+)>", lambda found: repr(row[found[1]]), template)
    for latex, python in (
        (r"\frac", ""),
        (r"\sqrt", "sqrt"),
        (r"\left(", "*("),
        (r"\right", ""),
        (r"\,", "*"),
        ("}{", ")/("),
        ("{", "("),
        ("}", ")"),
    ):
        expression = expression.replace(latex, python)
    settings = Settings(0.3, 0.2, 0.6, decay)
    expected = rule.threshold(settings) if rule.preconditioned else rule.edge(settings, 2.0)
    assert eval(expression, {"sqrt": math.sqrt}) == pytest.approx(expected, rel=1e-13)


def test_formulas_in_symbols_and_with_numbers():
    assert RULES["sam"].latex() == (
        r"\text{SAM-edge} = \frac{\|g\|}{2\rho}"
        r"\left(\sqrt{1+\frac{8\rho}{\eta\|g\|}}-1\right)"
    )
    row = {"eta": 0.1, "rho": 0.05, "beta": 0.9, "grad_norm": 1e-4, "edge": 0.3137}
    assert RULES["usam"].latex(row) == (
        r"\text{USAM-edge} = \frac{\sqrt{1+8\rho/\eta}-1}{2\rho}"
        r" = \frac{\sqrt{1+8 \cdot 0.05/0.1}-1}{2 \cdot 0.05} = \mathbf{0.3137}"
    )
    number = r"\frac{1.000 \cdot 10^{-4}}{2 \cdot 0.05}"
    assert RULES["sam"].latex_with_numbers(row).startswith(number)
    # 0/0 there, where the rule is GD
    assert RULES["sam"].latex_with_numbers(row | {"rho": 0.0}) == r"\frac{2}{0.1}\;(\rho = 0)"


@pytest.mark.parametrize(("rule", "edge"), [("sam", "2"), ("usam", "2"), ("sam-polyak", "2+2")])
def test_without_a_radius_the_formula_is_that_of_the_rule_below(rule, edge):
    row = {"eta": 0.1, "rho": 0.0, "beta": 0.5, "grad_norm": 1.0, "weight_decay": 0.0}
    assert RULES[rule].latex_with_numbers(row).startswith(rf"\frac{{{edge}")


def test_every_rule_has_an_update():
    assert set(RULES) == set(UPDATES)


def take(hyper: Hyperparameters) -> tuple[torch.Tensor, int]:
    """The step from a point with momentum on 1/2 w^T diag(1, 4) w, and the gradients it cost."""
    calls = 1  # g itself

    def gradient(w):
        nonlocal calls
        calls += 1
        return torch.tensor([1.0, 4.0]) * w

    w, moments = torch.tensor([1.0, -1.0]), Moments(torch.tensor([0.5, 0.25]), torch.ones(2), 1)
    step = update(w, torch.tensor([1.0, 4.0]) * w, moments, hyper, gradient)
    return step.w, calls


@pytest.mark.parametrize("rule", RULES)
def test_a_step_costs_the_gradients_it_says(rule):
    assert take(replace(HYPER, rule=rule))[1] == RULES[rule].gradients
    assert take(replace(HYPER, rule=rule, rho=0.0))[1] == 1


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["eta", "rho", "beta", "beta2", "eps", "weight_decay"])
def test_a_step_depends_on_the_settings_it_says(rule, name):
    hyper = replace(HYPER, rule=rule)
    before, _ = take(hyper)
    after, _ = take(replace(hyper, **{name: 0.1}))
    assert torch.equal(before, after) == (name not in RULES[rule].uses + RULES[rule].also)


@pytest.mark.parametrize("rule", SCALAR)
def test_a_decay_beyond_the_threshold_leaves_no_edge(rule):
    hyper = replace(HYPER, rule=rule, weight_decay=100.0)
    np.testing.assert_array_equal(np.broadcast_to(hyper.edge(NORMS), 2), [0.0, 0.0])


def test_the_operator_of_adam_and_rmsprop_in_their_limits():
    """P = I and beta = 0 give the SAM-edge: its operator value is then the threshold 2/eta."""
    sam, adam = (replace(HYPER, rule=rule, beta=0.0) for rule in ("sam", "sam-adam"))
    edge = sam.edge(2.0)
    value = RULES["sam-adam"].operator_value(adam, edge, 2.0)
    assert value == pytest.approx(RULES["sam-adam"].threshold(adam), rel=1e-14)
    assert value == pytest.approx(2 / 0.3, rel=1e-14)
