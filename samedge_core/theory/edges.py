"""Edges of stability: the curvature at which a step of each update rule stops contracting.

Along an eigenvector with eigenvalue lambda, one step multiplies the iterate of the local quadratic
model by a *multiplier*; the *edge* is the lambda at which that multiplier reaches -1. Arguments are
floats or arrays, and broadcast like NumPy: eta > 0 (step size), rho >= 0 (SAM radius), beta in
[0, 1) (momentum), weight_decay >= 0, grad_norm >= 0 (||g||), curvature (lambda). Floats give a
float. A value outside its range raises a ValueError that shows it.

Source: P. M. Long and P. L. Bartlett, "Sharpness-Aware Minimization and the Edge of Stability",
arXiv 2309.12488 (GD, SAM); Cohen et al., arXiv 2103.00065 (momentum).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = float | NDArray[np.float64]


_ALLOWED: dict[str, tuple[Callable[[NDArray[np.float64]], Any], str]] = {
    "eta": (lambda x: (x > 0) & np.isfinite(x), "a finite number > 0"),
    "rho": (lambda x: (x >= 0) & np.isfinite(x), "a finite number >= 0"),
    "beta": (lambda x: (x >= 0) & (x < 1), "in [0, 1)"),
    "weight_decay": (lambda x: (x >= 0) & np.isfinite(x), "a finite number >= 0"),
    "grad_norm": (lambda x: x >= 0, ">= 0"),
    "curvature": (np.isfinite, "a finite number"),
}


def _checked(**values: ArrayLike) -> list[NDArray[np.float64]]:
    """Return the values as float64; raises for the first entry out of its range, NaN included."""
    checked = []
    for name, value in values.items():
        allowed, words = _ALLOWED[name]
        try:
            array = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"{name} must be {words}, got {value!r}") from None
        ok = allowed(array)
        if not np.all(ok):
            got = array[~ok].flat[0] if array.ndim else value
            raise ValueError(f"{name} must be {words}, got {got}")
        checked.append(array)
    return checked


def _plain(value: NDArray[np.float64] | np.float64) -> Values:
    return float(value) if np.ndim(value) == 0 else np.asarray(value)


@overload
def gd_edge(eta: float) -> float: ...
@overload
def gd_edge(eta: ArrayLike) -> Values: ...
def gd_edge(eta: ArrayLike) -> Values:
    """The edge of gradient descent, 2/eta.

    >>> gd_edge(0.5)
    4.0
    """
    (eta,) = _checked(eta=eta)
    return _plain(2 / eta)


@overload
def sam_edge(eta: float, rho: float, grad_norm: float) -> float: ...
@overload
def sam_edge(eta: ArrayLike, rho: ArrayLike, grad_norm: ArrayLike) -> Values: ...
def sam_edge(eta: ArrayLike, rho: ArrayLike, grad_norm: ArrayLike) -> Values:
    """The SAM-edge, (||g||/(2 rho)) (sqrt(1 + 8 rho/(eta ||g||)) - 1).

    Computed in the rationalised form (4/eta) / (1 + sqrt(1 + 8 rho/(eta ||g||))), which does not
    cancel for small rho and needs no branch at rho = 0, where it is 2/eta. Both limits are exact:
    at ||g|| = 0 it is 0 for rho > 0 (the edge shrinks like sqrt(2 ||g||/(eta rho))) and 2/eta for
    rho = 0 (SAM is then GD); at ||g|| = inf it is 2/eta.

    Source: arXiv 2309.12488, equation (1).

    >>> sam_edge(0.1, 0.0, 10.0)
    20.0
    >>> sam_edge(1.0, 0.1, 0.0)
    0.0
    """
    eta, rho, grad_norm = _checked(eta=eta, rho=rho, grad_norm=grad_norm)
    # 0/0 at rho = ||g|| = 0 means "SAM is GD", so the term that carries rho is 0 there;
    # overflow to inf is the exact limit (edge -> 0).
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        pull = np.where(rho == 0, 0.0, 8 * (rho / eta) / grad_norm)
    return _plain((4 / eta) / (1 + np.sqrt(1 + pull)))


@overload
def usam_edge(eta: float, rho: float) -> float: ...
@overload
def usam_edge(eta: ArrayLike, rho: ArrayLike) -> Values: ...
def usam_edge(eta: ArrayLike, rho: ArrayLike) -> Values:
    """The edge of unnormalised SAM, (sqrt(1 + 8 rho/eta) - 1)/(2 rho); independent of ||g||.

    >>> usam_edge(0.1, 0.0)
    20.0
    """
    return sam_edge(eta, rho, 1.0)


@overload
def polyak_edge(eta: float, beta: float) -> float: ...
@overload
def polyak_edge(eta: ArrayLike, beta: ArrayLike) -> Values: ...
def polyak_edge(eta: ArrayLike, beta: ArrayLike) -> Values:
    """The edge of Polyak (heavy-ball) momentum, (2 + 2 beta)/eta.

    >>> polyak_edge(1.0, 0.5)
    3.0
    """
    beta, eta = _checked(beta=beta, eta=eta)
    return _plain((2 + 2 * beta) / eta)


@overload
def nesterov_edge(eta: float, beta: float) -> float: ...
@overload
def nesterov_edge(eta: ArrayLike, beta: ArrayLike) -> Values: ...
def nesterov_edge(eta: ArrayLike, beta: ArrayLike) -> Values:
    """The edge of Nesterov momentum, (2 + 2 beta)/(eta (1 + 2 beta)).

    >>> nesterov_edge(1.0, 0.5)
    1.5
    """
    beta, eta = _checked(beta=beta, eta=eta)
    return _plain((2 + 2 * beta) / (eta * (1 + 2 * beta)))


def gd_multiplier(curvature: ArrayLike, eta: ArrayLike) -> Values:
    """The factor of a GD step along an eigenvector, 1 - eta lambda.

    >>> gd_multiplier(4.0, 0.5)
    -1.0
    """
    eta, curvature = _checked(eta=eta, curvature=curvature)
    return _plain(1 - eta * curvature)


def sam_reach(rho: Any, grad_norm: Any) -> Any:
    """The s of SAM's update w <- w - eta grad L(w + s g): rho/||g||, and 0 at g = 0, where u = 0.

    Unchecked, and for floats without NumPy, since small landscapes need it at every step.

    >>> sam_reach(0.1, 0.5), sam_reach(0.1, 0.0)
    (0.2, 0.0)
    """
    if isinstance(grad_norm, float):
        return rho / grad_norm if grad_norm else 0.0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(grad_norm == 0, 0.0, rho / grad_norm)


def sam_multiplier(
    curvature: ArrayLike, eta: ArrayLike, rho: ArrayLike, grad_norm: ArrayLike
) -> Values:
    """The factor of a SAM step along an eigenvector, 1 - eta lambda (1 + rho lambda/||g||).

    At ||g|| = 0 the step is zero by definition (u = 0), so the multiplier is GD's.

    >>> round(sam_multiplier(sam_edge(0.5, 0.1, 0.3), 0.5, 0.1, 0.3), 12)
    -1.0
    """
    eta, rho, grad_norm = _checked(eta=eta, rho=rho, grad_norm=grad_norm)
    (curvature,) = _checked(curvature=curvature)
    return _plain(1 - eta * curvature * (1 + sam_reach(rho, grad_norm) * curvature))


def usam_multiplier(curvature: ArrayLike, eta: ArrayLike, rho: ArrayLike) -> Values:
    """The factor of a USAM step along an eigenvector, 1 - eta lambda (1 + rho lambda)."""
    return sam_multiplier(curvature, eta, rho, 1.0)


def _momentum_multiplier(trace: NDArray[np.float64], determinant: NDArray[np.float64]):
    """The root of z^2 - trace z + determinant of largest modulus, signed where it is real."""
    root = np.sqrt((trace**2 - 4 * determinant).astype(np.complex128))
    high, low = (trace + root) / 2, (trace - root) / 2
    leading = np.where(np.abs(high) >= np.abs(low), high, low)
    return _plain(np.where(np.imag(root) == 0, np.real(leading), np.abs(leading)))


def polyak_multiplier(curvature: ArrayLike, eta: ArrayLike, beta: ArrayLike) -> Values:
    """The dominant factor of Polyak momentum along an eigenvector.

    The root of z^2 - (1 + beta - eta lambda) z + beta of largest modulus; of a complex pair, which
    oscillates at a rate of its own, the modulus.

    >>> round(polyak_multiplier(polyak_edge(0.5, 0.9), 0.5, 0.9), 12)
    -1.0
    """
    eta, beta, curvature = _checked(eta=eta, beta=beta, curvature=curvature)
    trace, determinant = np.broadcast_arrays(1 + beta - eta * curvature, beta)
    return _momentum_multiplier(trace, determinant)


def nesterov_multiplier(curvature: ArrayLike, eta: ArrayLike, beta: ArrayLike) -> Values:
    """The dominant factor of Nesterov momentum along an eigenvector.

    The root of z^2 - (1 + beta) c z + beta c, c = 1 - eta lambda, of largest modulus; of a complex
    pair the modulus.

    >>> round(nesterov_multiplier(nesterov_edge(0.5, 0.9), 0.5, 0.9), 12)
    -1.0
    """
    eta, beta, curvature = _checked(eta=eta, beta=beta, curvature=curvature)
    contraction = 1 - eta * curvature
    return _momentum_multiplier((1 + beta) * contraction, beta * contraction)


def adam_threshold(eta: ArrayLike, beta: ArrayLike, weight_decay: ArrayLike = 0.0) -> Values:
    """The edge of Adam on its preconditioned Hessian, (2 + 2 beta)/(eta (1 - beta)); with AdamW's
    decoupled decay times 1 - eta weight_decay/2, and 0 where the decay alone is too large.

    At beta = 0 that of RMSProp. Source: arXiv 2207.14484; the factor of the decay is algebra: the
    recursion of `adam_multiplier` at -1.

    >>> round(adam_threshold(1.0, 0.9), 12)
    38.0
    """
    eta, beta, weight_decay = _checked(eta=eta, beta=beta, weight_decay=weight_decay)
    left = np.maximum(1 - eta * weight_decay / 2, 0)
    return _plain((2 + 2 * beta) / (eta * (1 - beta)) * left)


def adam_multiplier(
    curvature: ArrayLike, eta: ArrayLike, beta: ArrayLike, weight_decay: ArrayLike = 0.0
) -> Values:
    """The dominant factor of Adam along an eigenvector of its preconditioned Hessian.

    The root of z^2 - (q + beta - eta (1 - beta) lambda) z + beta q of largest modulus, with
    q = 1 - eta weight_decay.

    >>> round(adam_multiplier(adam_threshold(0.5, 0.9, 0.1), 0.5, 0.9, 0.1), 12)
    -1.0
    """
    eta, beta, curvature = _checked(eta=eta, beta=beta, curvature=curvature)
    (weight_decay,) = _checked(weight_decay=weight_decay)
    kept = 1 - eta * weight_decay
    trace, determinant = np.broadcast_arrays(
        kept + beta - eta * (1 - beta) * curvature, beta * kept
    )
    return _momentum_multiplier(trace, determinant)
