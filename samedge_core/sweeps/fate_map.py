"""A map of fates: what becomes of every setting in a plane of two, without one run of them.

On a quadratic a multiplier decides, and the map is exact. On two weights each point is followed for
STEPS steps, in a process of its own (`fate_process`), down to where Float64 has no digits left: the
boundary of divergence is fractal (Sohl-Dickstein, arXiv 2402.06184). Importable without numba.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samedge_core.fields import ConfigError, abridged
from samedge_core.sweeps import following
from samedge_core.sweeps.following import CONVERGED, DIVERGED, FATE, HOPS, PERIOD, SETTLING
from samedge_core.theory.rules import RULES, Settings
from samedge_core.theory.stability import edge_in
from samedge_core.theory.two_weight import TwoWeightLandscape, sharpness_level
from samedge_core.training.config import RunConfig

STEPS = 500  # of each point on two weights
POINTS, PREVIEW = 512, 128  # along each side of a picture
MAPPED_RULES = ("gd", "sam", "usam", "polyak")  # in the order of their numbers in `following`
SPANS = {  # the whole map, along each axis; a start is allowed from -10 to 10
    "eta": (0.0, 2.2),
    "rho": (0.0, 1.0),
    "beta": (0.0, 0.99),
    "a": (-4.0, 4.0),
    "b": (-4.0, 4.0),
    "curvature": (0.0, 20.0),
}
LOG_SPANS = {"eta": (1e-3, 10.0), "rho": (1e-4, 10.0), "curvature": (0.1, 1000.0)}
AXES = {
    "two-weight": ("eta", "rho", "beta", "a", "b"),
    "quadratic": ("eta", "rho", "beta", "curvature"),
}
LOSS_GROWS, GRADIENT_SHRINKS = 1e8, 1e-12  # as the training loop's tests
View = tuple[float, float, float, float]  # x from, x to, y from, y to, in axis units
FollowAll = Callable[..., NDArray[np.uint16]]
_POINT = ("eta", "rho", "beta", "a", "b")  # the columns of `following.follow`


@dataclass(frozen=True)
class Plane:
    """Two settings, drawn to the right and upward, and the values of all others.

    Attributes:
        problem: "two-weight", started at (a, b), or "quadratic", of which the largest eigenvalue,
            `curvature`, decides.
        x, y: names of the two settings, different ones of AXES[problem].
        log: an axis in LOG_SPANS is logarithmic; its view then has exponents of ten.

    Raises:
        ConfigError: a problem, rule or axis that has no map; the message names what has.
    """

    problem: str = "two-weight"
    rule: str = "gd"
    x: str = "eta"
    y: str = "a"
    log: bool = False
    eta: float = 0.3
    rho: float = 0.05
    beta: float = 0.9
    a: float = 2.5
    b: float = 0.6
    curvature: float = 6.0

    def __post_init__(self) -> None:
        _among("problem", self.problem, AXES)
        _among("rule", self.rule, MAPPED_RULES)
        _among("x", self.x, AXES[self.problem])
        _among("y", self.y, [name for name in AXES[self.problem] if name != self.x])

    def is_log(self, name: str) -> bool:
        """Whether the axis of this setting is logarithmic."""
        return self.log and name in LOG_SPANS

    @property
    def whole(self) -> View:
        """The view of all of it: x from, x to, y from, y to, in axis units."""
        x, y = (self._span(name) for name in (self.x, self.y))
        return (*x, *y)

    def _span(self, name: str) -> tuple[float, float]:
        low, high = LOG_SPANS[name] if self.is_log(name) else SPANS[name]
        return (math.log10(low), math.log10(high)) if self.is_log(name) else (low, high)

    def within(self, view: Sequence[float]) -> View:
        """The part of a view that lies on the map, at least so wide that neighbouring points differ
        in Float64; all of the map where nothing of it does."""
        whole = self.whole
        if len(view) != 4 or not np.isfinite(view).all():
            return whole
        (x0, x1), (y0, y1) = (_inside(view[k : k + 2], whole[k : k + 2]) for k in (0, 2))
        return (x0, x1, y0, y1) if x0 < x1 and y0 < y1 else whole

    def has(self, point: Sequence[float]) -> bool:
        """Whether a point, in axis units, lies within the map."""
        x0, x1, y0, y1 = self.whole
        return len(point) == 2 and x0 < point[0] < x1 and y0 < point[1] < y1

    def points(self, view: View, count: int) -> tuple[list[float], list[float]]:
        """The values of x and of y at the middles of `count` pixels along each side."""
        found = []
        for name, low, high in ((self.x, *view[:2]), (self.y, *view[2:])):
            middles = (low + (np.arange(count) + 0.5) * ((high - low) / count)).tolist()
            found.append([10.0**v for v in middles] if self.is_log(name) else middles)
        return found[0], found[1]

    def at(self, x: float, y: float) -> Plane:
        """The same plane with these values of its two settings."""
        return replace(self, **{self.x: x, self.y: y})

    @property
    def config(self) -> RunConfig:
        """The run of the setting that this plane has, with its measurements."""
        options = {"a": self.a, "b": self.b}
        if self.problem == "quadratic":
            c = self.curvature
            options = {"eigenvalues": (c, c / 3, c / 10)}
        names = ("problem", "rule", "eta", "rho", "beta")
        settings = {name: getattr(self, name) for name in names}
        return RunConfig(**settings, options=options, steps=STEPS, dtype="float64")


def _among(name: str, value: str, allowed: Iterable[str]) -> None:
    if value not in (allowed := list(allowed)):
        raise ConfigError(
            name, f"{name} must be one of {', '.join(allowed)}, got {abridged(value)}"
        )


def finest(low: float, high: float) -> float:
    """The least width of a view about here: POINTS numbers of Float64 that differ."""
    return POINTS * float(np.spacing(max(abs(low), abs(high))))


def _inside(part: Sequence[float], whole: Sequence[float]) -> tuple[float, float]:
    low, high = (float(min(max(v, whole[0]), whole[1])) for v in part)
    lacking = finest(low, high) - (high - low)
    if low < high and lacking > 0:
        low, high = max(low - lacking, whole[0]), min(high + lacking, whole[1])
    return low, high


# --- the picture ----------------------------------------------------------------------------


def picture(plane: Plane, view: View, count: int, follow_all: FollowAll) -> NDArray[np.uint16]:
    """What becomes of each point of a view, shape (count, count), its first row lowest; a value is
    as `following.follow` writes it, and `told` reads it.

    Args:
        follow_all: `FateProcess.follow_all`, or the same in this process.
    """
    xs, ys = plane.points(view, count)
    if plane.problem == "quadratic":
        settings = {f.name: getattr(plane, f.name) for f in fields(plane)}
        settings |= {plane.x: np.array(xs), plane.y: np.array(ys)[:, None]}
        return np.broadcast_to(_on_quadratic(plane.rule, settings), (count, count))
    fixed = [getattr(plane, name) for name in _POINT]
    places = (_POINT.index(plane.x), _POINT.index(plane.y))
    return follow_all(MAPPED_RULES.index(plane.rule), fixed, places, xs, ys, STEPS)


def alone(plane: Plane) -> tuple[int, tuple[float, float]]:
    """The value of the setting that the plane has, as in a picture, and the weights (a, b) at its
    end; computed here, in plain Python. NaN for the weights on a quadratic."""
    if plane.problem == "quadratic":
        return int(_on_quadratic(plane.rule, vars(plane))), (math.nan, math.nan)
    point = np.array([[getattr(plane, name) for name in _POINT]])
    out = np.zeros(1, np.uint16)
    following.follow(MAPPED_RULES.index(plane.rule), point, STEPS, out)
    return int(out[0]), (float(point[0, 3]), float(point[0, 4]))


def _on_quadratic(rule: str, settings: Mapping[str, Any]) -> NDArray[np.uint16]:
    """By the factor m of a step along the top eigenvector. That of SAM is 1 - eta lambda towards
    or away from its orbit, whatever rho > 0 (arXiv 2210.01513)."""
    eta, rho, beta, curvature = (np.asarray(settings[n]) for n in (*_POINT[:3], "curvature"))
    of = "gd" if rule == "sam" else rule
    m = np.abs(RULES[of].factor(Settings(eta, rho, beta), curvature, 1.0))
    m, rho = np.broadcast_arrays(m, rho)
    with np.errstate(divide="ignore"):
        shrinks, grows = (
            math.log(GRADIENT_SHRINKS) / np.log(m),
            math.log(LOSS_GROWS) / np.log(m) / 2,
        )
    hops = np.where((rule == "sam") & (rho > 0), m < 1, m == 1)
    fate = np.where(hops, HOPS, np.where(m < 1, CONVERGED, DIVERGED))
    number = np.where(hops, 2 * PERIOD + 1000, np.where(m < 1, shrinks, grows))
    return (fate * FATE + np.minimum(np.ceil(number), FATE - 1)).astype(np.uint16)


# --- in words -------------------------------------------------------------------------------

WORDS = {
    CONVERGED: "converges in {number} steps",
    HOPS: "never settles: hops with {period}, multiplier −{multiplier}",
    SETTLING: "is still settling, by a factor {multiplier} a step",
    DIVERGED: "diverges in {number} steps",
}
"""By fate; static/fates.js puts in the numbers as `told` does."""


def told(value: int) -> str:
    """A value of a picture in words.

    >>> told(DIVERGED * FATE + 12), told(HOPS * FATE + 3 * PERIOD + 998)
    ('diverges in 12 steps', 'never settles: hops with period 3, multiplier −0.998')
    """
    fate, number = divmod(int(value), FATE)
    period, thousandths = divmod(number, PERIOD)
    return WORDS[fate].format(
        number=f"{number:,}" if number < FATE - 1 else f"{number:,} or more",
        period=f"period {period}" if period else "no period",
        multiplier=f"{thousandths / 1000:.3f}",
    )


def shares(values: NDArray[np.uint16]) -> dict[int, float]:
    """The share of a picture that each fate has."""
    counts = np.bincount((values // FATE).ravel(), minlength=len(WORDS))
    return {fate: float(counts[fate]) / values.size for fate in WORDS}


# --- what theory says of the start ----------------------------------------------------------


def lines(plane: Plane, view: View, count: int = 257) -> dict[str, list[tuple[NDArray, NDArray]]]:
    """By name, curves (x, y) in axis units on which the start is at an edge: 2/eta, and the rule's
    own. On a quadratic they bound divergence exactly; on two weights the sharpness moves on."""
    if {plane.x, plane.y} == {"a", "b"}:
        curves = sharpness_level(2 / plane.eta)
        swap = slice(None, None, 1 if plane.x == "a" else -1)
        return {"λ₀ = 2/η": [(curve[swap][0], curve[swap][1]) for curve in curves]}
    if "eta" not in (plane.x, plane.y):
        return {}
    other = plane.y if plane.x == "eta" else plane.x
    along = np.linspace(*(view[2:] if plane.x == "eta" else view[:2]), count)
    settings = {f.name: getattr(plane, f.name) for f in fields(plane)}
    settings[other] = 10.0**along if plane.is_log(other) else along
    found = {}
    for name, eta in _edges(plane, settings).items():
        eta = np.log10(eta) if plane.is_log("eta") else eta
        eta = np.broadcast_to(eta, along.shape)
        found[name] = [(eta, along) if plane.x == "eta" else (along, eta)]
    return found


def _edges(plane: Plane, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The eta at which the start is on the edge of GD, and on that of the rule."""
    rho, beta, a, b = (np.asarray(settings[name]) for name in ("rho", "beta", "a", "b"))
    curvature, norm = settings["curvature"], 1.0
    if plane.problem == "two-weight":
        landscape = TwoWeightLandscape()
        curvature, norm = landscape.sharpness((a, b)), np.hypot(*landscape.gradient((a, b)))
    rule = RULES[plane.rule]
    with np.errstate(divide="ignore"):  # at curvature 0 there is no edge: inf
        found = {"ηλ₀ = 2": 2 / np.asarray(curvature)}
        if plane.rule == "polyak":  # this edge is inversely proportional to eta
            found[f"{rule.edge_name} = λ₀"] = rule.edge(Settings(1.0, 0.0, beta), norm) / curvature
    if plane.rule == "usam" or (plane.rule == "sam" and plane.problem == "two-weight"):
        eta = edge_in("eta", plane.rule, rho=rho, curvature=curvature, grad_norm=norm)
        found[f"{rule.edge_name} = λ₀"] = eta
    return found
