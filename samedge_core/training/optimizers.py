"""Update rules: pure functions of the iterate, its gradient, the moments and hyperparameters.

    GD        w <- w - eta g
    SAM       w <- w - eta grad L(w + rho g/||g||)
    USAM      w <- w - eta grad L(w + rho g)
    Polyak    m <- beta m + g;  w <- w - eta m
    Nesterov  m <- beta m + g;  w <- w - eta (g + beta m)
    RMSProp   n <- beta2 n + (1 - beta2) g^2;  w <- w - eta g/(sqrt(n) + eps)
    Adam      m <- beta m + (1 - beta) g;  n as RMSProp;  w <- w - eta m/P,
              P = (1 - beta^t)(sqrt(n/(1 - beta2^t)) + eps) at the t-th step

Those of SAM with a second name put SAM's gradient in the place of g. Momentum and weight decay are
as `torch.optim.SGD` defines them (the gradient has weight_decay w added; under SAM at w, after u is
taken from the gradient of L alone), the others as `torch.optim.RMSprop`, and Adam as
`torch.optim.AdamW` with its decoupled decay. Sources: Foret et al., arXiv 2010.01412 (SAM);
Andriushchenko and Flammarion, arXiv 2206.06232 (unnormalised SAM); Kingma and Ba, arXiv 1412.6980
(Adam); Loshchilov and Hutter, arXiv 1711.05101 (AdamW).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.linalg import vector_norm

from samedge_core.theory.rules import RULES, Hyperparameters

Gradient = Callable[[Tensor], Tensor]


class Moments(NamedTuple):
    """What an update keeps from step to step.

    Attributes:
        first: the velocity, or Adam's first moment, (P,).
        second: running mean of the squared gradients, (P,); None before the first.
        steps: how many steps these two have seen.
    """

    first: Tensor
    second: Tensor | None = None
    steps: int = 0


class Step(NamedTuple):
    """The next iterate w (P,), the moments after the step, the gradient that moved w where that is
    not g itself (SAM's gradient at the perturbed point), else None, and the P (P,) by which the
    step was divided, else None."""

    w: Tensor
    moments: Moments
    perturbed_gradient: Tensor | None = None
    preconditioner: Tensor | None = None


Update = Callable[[Tensor, Tensor, Moments, Hyperparameters, Gradient], Step]
UPDATES: dict[str, Update] = {}


def update_of(*rules: str) -> Callable[[Update], Update]:
    """Register the decorated function as the update of rules, which have entries in `RULES`."""

    def register(function: Update) -> Update:
        for rule in rules:
            UPDATES[RULES[rule].name] = function
        return function

    return register


def update(w: Tensor, g: Tensor, moments: Moments, h: Hyperparameters, gradient: Gradient) -> Step:
    """Return one step of the rule in force. `gradient(w)` is grad L at w on the same batch as g."""
    return UPDATES[h.rule](w, g, moments, h, gradient)


@update_of("gd")
def _gd(w: Tensor, g: Tensor, moments: Moments, h: Hyperparameters, gradient: Gradient) -> Step:
    return Step(w - h.eta * _decayed(g, w, h), moments)


@update_of("sam")
def _sam(w: Tensor, g: Tensor, moments: Moments, h: Hyperparameters, gradient: Gradient) -> Step:
    perturbed = _sam_gradient(w, g, h, gradient)
    return Step(w - h.eta * _decayed(perturbed, w, h), moments, perturbed)


@update_of("usam")
def _usam(w: Tensor, g: Tensor, moments: Moments, h: Hyperparameters, gradient: Gradient) -> Step:
    perturbed = _uphill(w, g, g, h, gradient)
    return Step(w - h.eta * _decayed(perturbed, w, h), moments, perturbed)


@update_of("polyak")
def _polyak(w: Tensor, g: Tensor, moments: Moments, h: Hyperparameters, gradient: Gradient) -> Step:
    velocity = h.beta * moments.first + _decayed(g, w, h)
    return Step(w - h.eta * velocity, moments._replace(first=velocity))


@update_of("nesterov")
def _nesterov(
    w: Tensor, g: Tensor, moments: Moments, h: Hyperparameters, gradient: Gradient
) -> Step:
    g = _decayed(g, w, h)
    velocity = h.beta * moments.first + g
    return Step(w - h.eta * (g + h.beta * velocity), moments._replace(first=velocity))


@update_of("rmsprop")
def _rmsprop(
    w: Tensor, g: Tensor, moments: Moments, h: Hyperparameters, gradient: Gradient
) -> Step:
    second = _second(moments, g, h)
    divisor = second.sqrt() + h.eps
    moments = moments._replace(second=second, steps=moments.steps + 1)
    return Step(w - h.eta * (g / divisor), moments, preconditioner=divisor)


@update_of("adam")
def _adam(w: Tensor, g: Tensor, moments: Moments, h: Hyperparameters, gradient: Gradient) -> Step:
    steps, second = moments.steps + 1, _second(moments, g, h)
    first = h.beta * moments.first + (1 - h.beta) * g
    root = (second / (1 - h.beta2**steps)).sqrt()
    divisor = (1 - h.beta**steps) * (root + h.eps)
    kept = w * (1 - h.eta * h.weight_decay) if h.weight_decay else w
    return Step(
        kept - h.eta * (first / divisor), Moments(first, second, steps), preconditioner=divisor
    )


@update_of("sam-polyak", "sam-rmsprop", "sam-adam")
def _on_top(w: Tensor, g: Tensor, moments: Moments, h: Hyperparameters, gradient: Gradient) -> Step:
    perturbed = _sam_gradient(w, g, h, gradient)
    below = UPDATES[h.rule.removeprefix("sam-")]
    return below(w, perturbed, moments, h, gradient)._replace(perturbed_gradient=perturbed)


def _sam_gradient(w: Tensor, g: Tensor, h: Hyperparameters, gradient: Gradient) -> Tensor:
    grad_norm = vector_norm(g)
    # the paper's code divides by ||g|| + 1e-5; we take u = 0 at ||g|| = 0: the perturbed
    # point is then w, the step zero at g = 0, and GD's where the norm of a tiny g underflows
    return g if grad_norm == 0 else _uphill(w, g, g / grad_norm, h, gradient)


def _uphill(w: Tensor, g: Tensor, u: Tensor, h: Hyperparameters, gradient: Gradient) -> Tensor:
    """The gradient at w + rho u; at rho = 0 that point is w: taking g itself makes SAM equal the
    rule without it bit for bit, at its cost."""
    return g if h.rho == 0 else gradient(w + h.rho * u)


def _decayed(g: Tensor, w: Tensor, h: Hyperparameters) -> Tensor:
    return g + h.weight_decay * w if h.weight_decay else g


def _second(moments: Moments, g: Tensor, h: Hyperparameters) -> Tensor:
    before = torch.zeros_like(g) if moments.second is None else moments.second
    return h.beta2 * before + (1 - h.beta2) * (g * g)
