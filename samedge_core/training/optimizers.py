"""Update rules: pure functions of the iterate, its gradient, the velocity and hyperparameters.

    GD        w <- w - eta g
    SAM       w <- w - eta grad L(w + rho g/||g||)
    USAM      w <- w - eta grad L(w + rho g)
    Polyak    m <- beta m + g;  w <- w - eta m
    Nesterov  m <- beta m + g;  w <- w - eta (g + beta m)

The momentum rules are as `torch.optim.SGD` defines them. Sources: Foret et al., arXiv 2010.01412
(SAM); Andriushchenko and Flammarion, arXiv 2206.06232 (unnormalised SAM).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.linalg import vector_norm

from samedge_core.theory.rules import RULES, Hyperparameters

Gradient = Callable[[Tensor], Tensor]


class Step(NamedTuple):
    """The next iterate w (P,), the velocity (P,), and the gradient that moved w where that is not g
    itself (SAM's gradient at the perturbed point), else None."""

    w: Tensor
    velocity: Tensor
    perturbed_gradient: Tensor | None = None


Update = Callable[[Tensor, Tensor, Tensor, Hyperparameters, Gradient], Step]
UPDATES: dict[str, Update] = {}


def update_of(rule: str) -> Callable[[Update], Update]:
    """Register the decorated function as the update of a rule, which has an entry in `RULES`."""

    def register(function: Update) -> Update:
        UPDATES[RULES[rule].name] = function
        return function

    return register


def update(
    w: Tensor, g: Tensor, velocity: Tensor, hyper: Hyperparameters, gradient: Gradient
) -> Step:
    """Return one step of the rule in force. `gradient(w)` is grad L at w on the same batch as g."""
    return UPDATES[hyper.rule](w, g, velocity, hyper, gradient)


@update_of("gd")
def _gd(w: Tensor, g: Tensor, velocity: Tensor, hyper: Hyperparameters, gradient: Gradient) -> Step:
    return Step(w - hyper.eta * g, velocity)


@update_of("sam")
def _sam(
    w: Tensor, g: Tensor, velocity: Tensor, hyper: Hyperparameters, gradient: Gradient
) -> Step:
    grad_norm = vector_norm(g)
    # the paper's code divides by ||g|| + 1e-5; we take u = 0 at ||g|| = 0: the perturbed
    # point is then w, the step zero at g = 0, and GD's where the norm of a tiny g underflows
    if grad_norm == 0:
        return Step(w - hyper.eta * g, velocity, g)
    return _perturbed(w, g, velocity, hyper, gradient, g / grad_norm)


@update_of("usam")
def _usam(
    w: Tensor, g: Tensor, velocity: Tensor, hyper: Hyperparameters, gradient: Gradient
) -> Step:
    return _perturbed(w, g, velocity, hyper, gradient, g)


def _perturbed(
    w: Tensor, g: Tensor, velocity: Tensor, hyper: Hyperparameters, gradient: Gradient, u: Tensor
) -> Step:
    """The step against the gradient at w + rho u."""
    # at rho = 0 that point is w: taking g itself makes SAM equal GD bit for bit, at GD's cost
    perturbed = g if hyper.rho == 0 else gradient(w + hyper.rho * u)
    return Step(w - hyper.eta * perturbed, velocity, perturbed)


@update_of("polyak")
def _polyak(
    w: Tensor, g: Tensor, velocity: Tensor, hyper: Hyperparameters, gradient: Gradient
) -> Step:
    velocity = hyper.beta * velocity + g
    return Step(w - hyper.eta * velocity, velocity)


@update_of("nesterov")
def _nesterov(
    w: Tensor, g: Tensor, velocity: Tensor, hyper: Hyperparameters, gradient: Gradient
) -> Step:
    velocity = hyper.beta * velocity + g
    return Step(w - hyper.eta * (g + hyper.beta * velocity), velocity)
