"""Update rules: exact identities, second implementations, and the exact facts on quadratics."""

import math
from typing import Any

import numpy as np
import pytest
import torch

import samedge_core as se
from samedge_core.problems.registry import build
from samedge_core.theory.rules import RULES, Hyperparameters
from samedge_core.training.optimizers import Moments, update


@pytest.fixture(scope="module")
def net():
    """The tanh MLP on a Chebyshev polynomial in float64."""
    return se.build_problem(se.RunConfig(problem="chebyshev-mlp", dtype="float64"))


def train(
    problem, steps: int, rule: str, *, eta: float, rho: float = 0.0, beta: float = 0.0, **more: Any
):
    """The iterates (steps + 1, P) of a rule from the seeded start."""
    hyper = Hyperparameters(rule, eta, rho, beta, **more)
    w = problem.init(seed=0)
    moments = Moments(torch.zeros_like(w))
    iterates = [w]
    for _ in range(steps):
        g = problem.gradient(w, None)
        step = update(w, g, moments, hyper, lambda w: problem.gradient(w, None))
        w, moments = step.w, step.moments
        iterates.append(w)
    return torch.stack(iterates)


# --- exact identities -----------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["sam", "usam"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_radius_zero_is_gd_bit_for_bit(rule, dtype):
    problem = se.build_problem(se.RunConfig(problem="chebyshev-mlp", dtype=dtype))
    assert torch.equal(train(problem, 100, rule, eta=0.2), train(problem, 100, "gd", eta=0.2))


@pytest.mark.parametrize("rule", ["polyak", "rmsprop", "adam"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_radius_zero_is_the_rule_below_bit_for_bit(rule, dtype):
    problem = se.build_problem(se.RunConfig(problem="chebyshev-mlp", dtype=dtype))
    both = [train(problem, 60, name, eta=0.01, beta=0.9) for name in (f"sam-{rule}", rule)]
    assert torch.equal(*both)


@pytest.mark.parametrize("rule", ["polyak", "rmsprop", "adam"])
def test_on_top_the_gradient_of_sam_takes_the_place_of_g(net, rule):
    eta, rho, beta = 0.005, 0.05, 0.9
    w, hyper = net.init(seed=0), Hyperparameters(rule, eta, rho, beta)
    moments = Moments(torch.zeros_like(w))
    for expected in train(net, 20, f"sam-{rule}", eta=eta, rho=rho, beta=beta):
        assert torch.equal(w, expected)
        g = net.gradient(w, None)
        there = net.gradient(w + rho * (g / g.norm()), None)
        step = update(w, there, moments, hyper, lambda w: w)
        w, moments = step.w, step.moments


@pytest.mark.parametrize("rule", ["sam", "usam"])
def test_radius_zero_is_gd_where_the_gradient_norm_underflows(rule):
    w, g = torch.full((4,), 1e-30), torch.full((4,), 1e-30)
    assert g.norm() == 0  # the squares of these entries are below float32
    taken = update(w, g, Moments(torch.zeros(4)), Hyperparameters(rule, 0.5, 0.0, 0.0), lambda w: w)
    assert torch.equal(taken.w, w - 0.5 * g)


@pytest.mark.parametrize("rule", ["polyak", "nesterov"])
def test_momentum_zero_is_gd_bit_for_bit(net, rule):
    assert torch.equal(train(net, 50, rule, eta=0.2), train(net, 50, "gd", eta=0.2))


@pytest.mark.parametrize("rule", RULES)
def test_no_rule_moves_a_minimum(rule):
    # ab = 1 exactly: the gradient is exactly zero
    problem = build("two-weight", {"a": 2.0, "b": 0.5}, seed=0)
    w = problem.init(seed=0)
    iterates = train(problem, 5, rule, eta=0.7, rho=0.3, beta=0.9)
    assert torch.equal(iterates, w.expand(6, 2))


@pytest.mark.parametrize("rule", RULES)
def test_a_step_leaves_its_arguments_alone(rule):
    kept = [torch.ones(3), torch.tensor([1.0, 2.0, 3.0]), torch.full((3,), 0.5), torch.ones(3)]
    copies = [t.clone() for t in kept]
    w, g, first, second = kept
    hyper = Hyperparameters(rule, 0.1, 0.1, 0.5, weight_decay=0.1)
    update(w, g, Moments(first, second, 3), hyper, lambda w: 2 * w)
    for now, before in zip(kept, copies, strict=True):
        assert torch.equal(now, before)


@pytest.mark.parametrize(
    ("rule", "uphill"), [("sam", [1 + 0.5 * 0.6, 1 - 0.5 * 0.8]), ("usam", [2.5, -1.0])]
)
def test_the_gradient_is_taken_uphill(rule, uphill):
    w, g = torch.tensor([1.0, 1.0]), torch.tensor([3.0, -4.0])
    asked = []

    def gradient(at):
        asked.append(at)
        return torch.tensor([10.0, 20.0])

    taken = update(w, g, Moments(torch.zeros(2)), Hyperparameters(rule, 0.1, 0.5, 0.0), gradient)
    # one float32 rounding each in u, rho u, w + rho u
    torch.testing.assert_close(asked[0], torch.tensor(uphill), rtol=3e-7, atol=0)
    assert taken.w.tolist() == [0.0, -1.0]
    assert taken.perturbed_gradient is not None
    assert taken.perturbed_gradient.tolist() == [10.0, 20.0]


# --- second implementations -----------------------------------------------------------------


def test_sam_agrees_with_optax(net):
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")
    eta, rho, steps = 0.2, 0.1, 40
    ours = train(net, steps, "sam", eta=eta, rho=rho)

    def gradient(w, _=0):
        return jax.numpy.asarray(net.gradient(torch.tensor(np.asarray(w)), None).numpy())

    with jax.enable_x64(True):
        uphill = optax.chain(optax.contrib.normalize(), optax.sgd(rho))
        sam = optax.contrib.sam(optax.sgd(eta), uphill, opaque_mode=True)
        w = jax.numpy.asarray(ours[0].numpy())
        state = sam.init(w)
        for expected in ours[1:]:
            updates, state = sam.update(gradient(w), state, w, grad_fn=gradient)
            w = optax.apply_updates(w, updates)
            # the same formula, rounded differently (1e-16 a step), on a run that at its edge
            # doubles differences a few times
            np.testing.assert_allclose(np.asarray(w), expected.numpy(), rtol=0, atol=1e-11)


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("rule", ["gd", "polyak", "nesterov", "rmsprop", "adam"])
def test_updates_agree_with_torch(net, rule, decay):
    eta, beta, beta2, eps, steps = 0.02, 0.9, 0.95, 1e-6, 60
    eta = 0.002 if RULES[rule].preconditioned else eta
    more = {"beta2": beta2, "eps": eps, "weight_decay": decay}
    ours = train(net, steps, rule, eta=eta, beta=beta, **more)
    parameter = torch.nn.Parameter(ours[0].clone())
    if rule == "rmsprop":  # without decay here: torch adds it to the gradient that is squared
        optimiser = torch.optim.RMSprop([parameter], lr=eta, alpha=beta2, eps=eps)
    elif rule == "adam":
        kind = torch.optim.AdamW if decay else torch.optim.Adam
        optimiser = kind(
            [parameter], lr=eta, betas=(beta, beta2), eps=eps, weight_decay=decay, foreach=False
        )
    else:
        optimiser = torch.optim.SGD(
            [parameter],
            lr=eta,
            momentum=0.0 if rule == "gd" else beta,
            nesterov=rule == "nesterov",
            weight_decay=decay,
        )
    for expected in ours[1:]:
        parameter.grad = net.gradient(parameter, None)
        optimiser.step()
        # torch fuses multiply and add: one rounding of 1e-16 a step apart
        torch.testing.assert_close(parameter.detach(), expected, rtol=0, atol=1e-12)
    # and the run went somewhere
    assert (ours[-1] - ours[0]).norm() > 0.1


# --- exact facts on quadratics (docs/mathematics.md) ----------------------------------------


def quadratic_run(eigenvalues, **settings) -> se.History:
    options = {"eigenvalues": eigenvalues, "rotated": len(eigenvalues) > 1}
    return se.run(se.RunConfig(problem="quadratic", options=options, dtype="float64", **settings))


def test_gd_on_a_quadratic_is_a_power_of_its_matrix():
    problem = build(
        "quadratic", {"eigenvalues": (6.0, 2.0, -0.5), "rotated": True}, seed=3, dtype="float64"
    )
    matrix = getattr(problem, "matrix")  # noqa: B009
    w, eta, steps = problem.init(seed=0), 0.3, 30
    power = torch.linalg.matrix_power(torch.eye(3, dtype=torch.float64) - eta * matrix, steps)
    last = train(problem, steps, "gd", eta=eta)[-1]
    # 30 products, each rounded to 1e-16 of iterates that grow at most to 1.15^30 = 66
    torch.testing.assert_close(last, power @ w, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("scaled", "reason"), [(1.9, se.StopReason.CONVERGED), (2.1, se.StopReason.DIVERGED)]
)
def test_gd_converges_exactly_below_its_edge(scaled, reason):
    history = quadratic_run((5.0, 1.0), rule="gd", eta=scaled / 5, steps=2000)
    assert history.stop_reason is reason


@pytest.mark.parametrize("scaled", [0.3, 1.2, 1.9])
@pytest.mark.parametrize("rho", [0.01, 0.5])
def test_sam_in_one_dimension_ends_on_its_orbit(scaled, rho):
    lam = 3.0
    eta = scaled / lam
    problem = build("quadratic", {"eigenvalues": (lam,), "rotated": False}, seed=0, dtype="float64")
    iterates = train(problem, 600, "sam", eta=eta, rho=rho)[-2:, 0]
    amplitude = eta * rho * lam / (2 - eta * lam)
    # the distance to the orbit shrinks by |1 - eta lambda| <= 0.9 a step: 0.9^600 = 3e-28
    assert iterates.abs().tolist() == pytest.approx([amplitude] * 2, rel=1e-12)
    assert iterates[0] * iterates[1] < 0  # period 2
    grad_norm = lam * amplitude
    assert grad_norm == pytest.approx(eta * rho * lam**2 / (2 - eta * lam), rel=1e-12)
    assert se.sam_edge(eta, rho, grad_norm) == pytest.approx(lam, rel=1e-12)


@pytest.mark.parametrize(("scaled", "rho"), [(0.5, 0.1), (1.0, 0.05), (1.7, 0.3)])
def test_sam_in_three_dimensions_ends_on_the_top_eigenvector(scaled, rho):
    lam = 4.0
    eta = scaled / lam
    history = quadratic_run(
        (lam, lam / 3, lam / 10), rule="sam", eta=eta, rho=rho, steps=602, measure_every=601
    )
    last = {name: column[-2:] for name, column in history.columns().items()}
    expected = eta * rho * lam**2 / (2 - eta * lam)
    # the slowest direction shrinks by 0.935 a step: 0.935^600 = 3e-18
    assert last["grad_norm"].tolist() == pytest.approx([expected] * 2, rel=1e-12)
    assert last["ratio"][-1] == pytest.approx(1.0, rel=1e-12)
    # the alignment is stored in single precision
    assert last["align_grad"][-1] == pytest.approx(1.0, abs=1e-6)


def test_sam_diverges_from_twice_over_the_curvature():
    history = quadratic_run((5.0, 1.0), rule="sam", eta=2.1 / 5, rho=0.05, steps=2000)
    assert history.stop_reason is se.StopReason.DIVERGED


@pytest.mark.parametrize(
    ("rule", "multiplier"),
    [
        ("gd", se.gd_multiplier(3.0, 0.4)),
        ("usam", se.usam_multiplier(3.0, 0.4, 0.1)),
        ("polyak", se.polyak_multiplier(3.0, 1.2, 0.5)),
        ("nesterov", se.nesterov_multiplier(3.0, 0.6, 0.5)),
    ],
)
def test_iterates_grow_by_the_multiplier(rule, multiplier):
    eta = {"polyak": 1.2, "nesterov": 0.6}.get(rule, 0.4)
    problem = build("quadratic", {"eigenvalues": (3.0,), "rotated": False}, seed=0, dtype="float64")
    iterates = train(problem, 80, rule, eta=eta, rho=0.1, beta=0.5)[:, 0]
    # momentum's second root is at most 0.62 of the first in these cases: 0.62^79 < 1e-16
    assert float(iterates[-1] / iterates[-2]) == pytest.approx(multiplier, rel=1e-12)
    assert math.isfinite(float(iterates[-1]))


@pytest.mark.parametrize("rule", ["sam", "sam-polyak"])
def test_decay_under_sam_is_that_of_w_while_u_is_of_the_loss_alone(net, rule):
    eta, rho, decay = 0.05, 0.05, 0.1
    w = net.init(seed=0)
    g = net.gradient(w, None)
    expected = net.gradient(w + rho * g / g.norm(), None) + decay * w
    (_, taken) = train(net, 1, rule, eta=eta, rho=rho, beta=0.9, weight_decay=decay)
    torch.testing.assert_close(taken, w - eta * expected, rtol=1e-14, atol=1e-17)


@pytest.mark.parametrize("decay", [0.0, 0.5])
@pytest.mark.parametrize("rule", ["sam-polyak", "polyak", "sam", "usam", "gd", "nesterov"])
@pytest.mark.parametrize("above", [False, True])
def test_a_step_turns_a_perturbation_at_the_threshold(rule, decay, above):
    """Linearised where ||g|| is 1 and fixed: a made gradient field g + H (w + s g)."""
    hyper = Hyperparameters(rule, 0.3, 0.2, 0.5, weight_decay=decay)
    entry = RULES[rule]
    curvature = float(np.asarray(entry.edge(hyper, 1.0))) * (1.02 if above else 0.98)
    operator = float(np.asarray(entry.operator_value(hyper, curvature, 1.0)))
    below = Hyperparameters(rule.removeprefix("sam-"), 0.3, 0.0, 0.5)
    below = Hyperparameters("gd", 0.3, 0.0, 0.5) if rule in ("sam", "usam") else below
    w, moments = torch.ones(1, dtype=torch.float64), Moments(torch.zeros(1, dtype=torch.float64))
    for _ in range(2000):
        step = update(w, operator * w, moments, below, lambda w: w)
        w, moments = step.w, step.moments
    assert (abs(float(w)) > 1) == above


@pytest.mark.parametrize("decay", [0.0, 0.5])
@pytest.mark.parametrize("beta", [0.0, 0.9])
@pytest.mark.parametrize("share", [0.98, 1.02])
def test_adam_with_a_settled_second_moment_turns_at_its_threshold(beta, decay, share):
    """Long after its start and with beta2 = 1, P stands still, and the recursion is linear."""
    hyper = Hyperparameters("adam", 0.1, 0.0, beta, 1 - 1e-16, 1e-8, decay)
    w, late = torch.full((1,), 1e-6, dtype=torch.float64), 10**6
    moments = Moments(torch.zeros_like(w), torch.full_like(w, 4 * (1 - hyper.beta2**late)), late)
    step = update(w, w, moments, hyper, lambda w: w)
    assert step.preconditioner is not None
    divided = float(step.preconditioner)
    assert divided == pytest.approx(2.0, rel=1e-3)
    # the eigenvalue of A is that of H over P
    curvature = float(np.asarray(RULES["adam"].threshold(hyper))) * share * divided
    for _ in range(1500):
        step = update(w, curvature * w, moments, hyper, lambda w: w)
        w, moments = step.w, moments._replace(first=step.moments.first)
    assert (abs(float(w)) > 1e-6) == (share > 1)
