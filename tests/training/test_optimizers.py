"""Update rules: exact identities, second implementations, and the exact facts on quadratics."""

import math

import numpy as np
import pytest
import torch

import samedge_core as se
from samedge_core.problems.registry import build
from samedge_core.theory.rules import RULES, Hyperparameters
from samedge_core.training.optimizers import update


@pytest.fixture(scope="module")
def net():
    """The tanh MLP on a Chebyshev polynomial in float64."""
    return se.build_problem(se.RunConfig(problem="chebyshev-mlp", dtype="float64"))


def train(problem, steps: int, rule: str, *, eta: float, rho: float = 0.0, beta: float = 0.0):
    """The iterates (steps + 1, P) of a rule from the seeded start."""
    hyper = Hyperparameters(rule, eta, rho, beta)
    w = problem.init(seed=0)
    velocity = torch.zeros_like(w)
    iterates = [w]
    for _ in range(steps):
        g = problem.gradient(w, None)
        step = update(w, g, velocity, hyper, lambda w: problem.gradient(w, None))
        w, velocity = step.w, step.velocity
        iterates.append(w)
    return torch.stack(iterates)


# --- exact identities -----------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["sam", "usam"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_radius_zero_is_gd_bit_for_bit(rule, dtype):
    problem = se.build_problem(se.RunConfig(problem="chebyshev-mlp", dtype=dtype))
    assert torch.equal(train(problem, 100, rule, eta=0.2), train(problem, 100, "gd", eta=0.2))


@pytest.mark.parametrize("rule", ["sam", "usam"])
def test_radius_zero_is_gd_where_the_gradient_norm_underflows(rule):
    w, g = torch.full((4,), 1e-30), torch.full((4,), 1e-30)
    assert g.norm() == 0  # the squares of these entries are below float32
    taken = update(w, g, torch.zeros(4), Hyperparameters(rule, 0.5, 0.0, 0.0), lambda w: w)
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
    w, g, velocity = torch.ones(3), torch.tensor([1.0, 2.0, 3.0]), torch.full((3,), 0.5)
    copies = [t.clone() for t in (w, g, velocity)]
    update(w, g, velocity, Hyperparameters(rule, 0.1, 0.1, 0.5), lambda w: 2 * w)
    for now, before in zip((w, g, velocity), copies, strict=True):
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

    taken = update(w, g, torch.zeros(2), Hyperparameters(rule, 0.1, 0.5, 0.0), gradient)
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


@pytest.mark.parametrize("rule", ["gd", "polyak", "nesterov"])
def test_momentum_agrees_with_torch_sgd(net, rule):
    eta, beta, steps = 0.02, 0.9, 60
    ours = train(net, steps, rule, eta=eta, beta=beta)
    parameter = torch.nn.Parameter(ours[0].clone())
    momentum = 0.0 if rule == "gd" else beta
    optimiser = torch.optim.SGD([parameter], lr=eta, momentum=momentum, nesterov=rule == "nesterov")
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
