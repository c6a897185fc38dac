"""Hints for settings that are known to mislead; importable without torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from samedge_core.theory.rules import RULES, Rule
from samedge_core.theory.stability import edge_in
from samedge_core.training.config import RunConfig


@dataclass(frozen=True)
class _Range:
    """Step sizes and sharpness of one problem, measured at its default sizes and loss on one seed.

    Attributes:
        start: sharpness at step 0; None where a start above the edge does no harm.
        reach: highest sharpness seen under GD at small η, in `within` steps; None where not
            measured.
        eta: a step size that works under GD.
        falls: the sharpness falls by itself, to `reach`.
    """

    start: float | None
    reach: float | None
    within: int
    eta: float
    falls: bool = False


@dataclass(frozen=True)
class _Limits:
    """Settings of one problem that failed when they were tried, and what to try instead.

    Attributes:
        breaks: from this η on, training diverges or the network dies.
        slow: up to this η, SAM's edge never comes down to the sharpness.
        weak, strong: up to and from these ρ, SAM doesn't hold the sharpness at its edge.
        eta, rho: what works under SAM.
    """

    breaks: float
    slow: float
    weak: float
    strong: float
    eta: float
    rho: float


_RANGES = {
    ("digits-mlp", "relu", "torch"): _Range(0.35, 0.95, 1300, 2.5),
    ("digits-mlp", "relu", "glorot"): _Range(0.86, 1.2, 1300, 2.0),
    ("digits-mlp", "tanh", "torch"): _Range(0.49, 1.7, 1300, 1.5),
    ("digits-mlp", "tanh", "glorot"): _Range(1.26, None, 1000, 1.5),
    ("digits-cnn", None, "glorot"): _Range(1.7, 10.5, 500, 0.5),
    ("digits-cnn", None, "torch"): _Range(1.2, None, 500, 0.5),
    ("deep-linear", None, "torch"): _Range(0.48, 0.9, 1000, 2.5),
    ("chebyshev-mlp", "tanh", "fan-in"): _Range(6.1, 21, 3000, 0.2),
    ("points-mlp", "tanh", "torch"): _Range(5.1, 17.9, 3000, 0.2),
    ("mnist-mlp", None, None): _Range(1.75, 3.3, 1500, 0.8),
    ("cifar-cnn", None, None): _Range(None, 430, 400, 0.006, falls=True),
}

_LIMITS = {
    "digits-mlp": _Limits(breaks=10, slow=0.1, weak=0.001, strong=1, eta=1.0, rho=0.05),
    "digits-cnn": _Limits(breaks=math.inf, slow=0, weak=0, strong=0.1, eta=0.5, rho=0.03),
    "deep-linear": _Limits(breaks=math.inf, slow=0.1, weak=0.001, strong=1, eta=1.0, rho=0.05),
    "chebyshev-mlp": _Limits(breaks=1, slow=0, weak=0, strong=0.3, eta=0.2, rho=0.02),
    "points-mlp": _Limits(breaks=1, slow=0, weak=0, strong=0.3, eta=0.2, rho=0.02),
    "mnist-mlp": _Limits(breaks=math.inf, slow=0, weak=0, strong=1, eta=1.0, rho=0.03),
    "cifar-cnn": _Limits(breaks=0.01, slow=0, weak=0, strong=math.inf, eta=0.004, rho=0.03),
    "shakespeare-transformer": _Limits(
        breaks=math.inf, slow=0, weak=0, strong=0.5, eta=0.02, rho=0.03
    ),
}

# digits, MLP and CNN, 60-300 steps: accuracy at most .37 from these η on, 1.0 under Adam at .02
BREAKS_ADAM, BREAKS_RMSPROP, GOOD_ETA = 0.05, 0.01, 0.002

LOSS_FACTOR = {"mse": 1.0, "half-mse": 0.5}
LEAST_SHARE = 0.25  # of the data in the Hessian: below, errors of 13-16 % were seen


def hints(config: RunConfig, *, from_start: bool = True) -> list[str]:
    """Return warnings for settings that are known to mislead, as sentences; empty if none is known.

    The limits were measured at each problem's default size; for another size they are taken twice
    as far. Momentum and USAM get the exact warnings only.

    Args:
        from_start: whether the settings are in force from step 0 on; warnings about the sharpness
            there are left out otherwise.
    """
    from_start = from_start and config.schedule != "linear-warmup"  # else far below its edge
    return [*_of_large_steps(config), *_on_training(config, from_start), *_on_measuring(config)]


def too_large(rule: Rule, eta: float) -> bool:
    """Whether a step size is far too large for a rule that divides the gradient by its size."""
    return rule.preconditioned and eta >= (BREAKS_ADAM if "beta" in rule.uses else BREAKS_RMSPROP)


def _of_large_steps(config: RunConfig) -> Iterator[str]:
    rule = RULES[config.rule]
    if too_large(rule, config.eta):
        yield (
            f"η = {config.eta:g} is far too large for {rule.short}, which moves each weight by "
            "about η a step, whatever the gradient is: on the digits the network learnt little or "
            f"nothing. Try η = {GOOD_ETA:g}."
        )
    if config.schedule == "linear-warmup" and config.warmup > config.steps:
        share = config.steps / config.warmup
        yield (
            f"The warm-up of {config.warmup:,} steps is longer than the run of {config.steps:,}: η "
            f"ends at {config.eta * share:.3g}, not at {config.eta:g}. Try a warm-up of "
            f"{max(1, config.steps // 2):,}."
        )


def _on_measuring(config: RunConfig) -> Iterator[str]:
    has_data = config.spec.data_size is not None
    if has_data and config.hessian_share < LEAST_SHARE:
        yield (
            f"With {100 * config.hessian_share:.3g} % of the examples in the Hessian, the "
            "sharpness may read far too high: up to 16 % with a tenth of them, and two or three "
            f"times the value with a single one. Try a share of {LEAST_SHARE:g}."
        )


def _on_training(config: RunConfig, from_start: bool) -> list[str]:
    if config.options.get("loss") == "cross-entropy":
        return [
            "Under cross-entropy the sharpness rises, then falls again, so that it stays at no "
            "edge for long. Try the squared error."
        ]
    if config.problem == "quadratic":
        return list(_on_a_quadratic(config))
    if config.problem == "two-weight":
        return list(_on_two_weights(config)) if from_start else []
    if config.problem not in _LIMITS:
        return []  # the user's own data: nothing was measured
    if config.rule == "gd" or (config.rule == "sam" and config.rho == 0):
        return list(_breaks(config) or _under_gd(config, from_start))
    if config.rule == "sam":
        return list(_breaks(config) or _under_sam(config, from_start))
    return []


def _scale(config: RunConfig) -> float:
    """Sharpness in this loss over that in the problem's default loss; η counts inversely."""
    losses = [field for field in config.spec.options if field.name == "loss"]
    if not losses:
        return 1.0
    return LOSS_FACTOR[config.options["loss"]] / LOSS_FACTOR[losses[0].default]


def _slack(config: RunConfig) -> float:
    """1 for the sizes and the shape of the points that were measured, 2 for others."""
    sizes = (f for f in config.spec.options if f.kind == "int" or f.name == "shape")
    return 1.0 if all(config.options[f.name] == f.default for f in sizes) else 2.0


def _range(config: RunConfig) -> _Range | None:
    options = config.options
    return _RANGES.get((config.problem, options.get("activation"), options.get("init")))


def _breaks(config: RunConfig) -> list[str]:
    limit = _LIMITS[config.problem].breaks / _scale(config)
    if config.eta < limit * _slack(config):
        return []
    found = _range(config)
    good = found.eta if found and config.rule == "gd" else _LIMITS[config.problem].eta
    return [
        f"η = {config.eta:g} is too large: from about η = {limit:g} on, training diverges within "
        "some ten steps or the network dies, and a dead network sits at the edge too. Try η = "
        f"{good / _scale(config):g}."
    ]


def _under_gd(config: RunConfig, from_start: bool) -> Iterator[str]:
    found = _range(config)
    if found is None:
        return
    scale, slack, edge = _scale(config), _slack(config), 2 / config.eta
    advice = f"Try η = {found.eta / scale:g}."
    if found.reach and edge > found.reach * scale * slack:
        way = "fell by itself to about" if found.falls else "rose to at most about"
        yield (
            f"2/η = {edge:.3g} is out of reach: in {found.within:,} steps of GD the sharpness here "
            f"{way} {found.reach * scale:.3g}. {advice}"
        )
    if from_start and found.start and edge * slack < found.start * scale:
        yield _starts_above(edge, found.start * scale, advice)


def _starts_above(edge: float, start: float, advice: str) -> str:
    return (
        f"2/η = {edge:.3g} lies below the sharpness at the start, about {start:.3g}: "
        f"the loss jumps up first (a catapult) and may not come back. {advice}"
    )


def _under_sam(config: RunConfig, from_start: bool) -> Iterator[str]:
    limits, found = _LIMITS[config.problem], _range(config)
    scale, slack, edge = _scale(config), _slack(config), 2 / config.eta
    smaller, wider = f"Try η = {limits.eta / scale:g}.", f"Try ρ = {limits.rho:g}."
    if config.eta * slack <= limits.slow / scale:
        yield (
            f"η = {config.eta:g} is too small: 2/η = {edge:.3g}, and in 1,300 steps the SAM-edge "
            f"doesn't come down to the sharpness. {smaller}"
        )
    if from_start and found and found.start and edge * slack < found.start * scale:
        yield _starts_above(edge, found.start * scale, smaller)
    if config.rho * slack <= limits.weak:
        yield (
            f"ρ = {config.rho:g} is so small that SAM hardly differs from GD: its edge stays above "
            f"the sharpness. {wider}"
        )
    if config.rho >= limits.strong * slack:
        yield (
            f"ρ = {config.rho:g} is too large: so far uphill the network learns little or nothing, "
            "and a ratio of 1 then proves nothing. Watch the loss and the accuracy. " + wider
        )
    yield from _small_batches(config)


def _small_batches(config: RunConfig) -> Iterator[str]:
    measured = config.problem == "digits-mlp" and config.options["init"] == "torch"
    if measured and 0 < config.batch_size <= 50 and config.rho <= 0.05:
        yield (
            f"With {config.batch_size} examples a step and ρ = {config.rho:g}, the sharpness of a "
            "batch follows its edge only loosely (15 % off and more). Try batches of 100 and "
            "ρ = 0.1."
        )


def _on_a_quadratic(config: RunConfig) -> Iterator[str]:
    """Exact: the SAM-edge never exceeds 2/η, and the edges of the other rules are constant."""
    rule, eta = RULES[config.rule], config.eta
    top, least = max(config.options["eigenvalues"]), min(config.options["eigenvalues"])
    if least < 0 and "rho" not in rule.uses:  # SAM may be caught at a saddle instead
        yield (
            f"The eigenvalue {least:g} makes a saddle: the run leaves it along that direction and "
            "diverges, whatever η is. Try positive eigenvalues."
        )
    edge = float(config.hyperparameters.edge(np.inf))
    if top >= edge:
        largest = {"rho": config.rho, "curvature": top, "grad_norm": np.inf}
        limit = edge_in("eta", rule.name, **largest) if rule.reach else eta * edge / top
        name = RULES["gd"].edge_name if rule.follows_norm else rule.edge_name
        yield (
            f"The run diverges: the top eigenvalue, {top:g}, is not below {name} = {edge:.3g}, and "
            f"a quadratic can't get flatter. Try an η below {limit:.3g}."
        )


def _on_two_weights(config: RunConfig) -> Iterator[str]:
    a, b = config.options["a"], config.options["b"]
    hessian = [[b * b, 2 * a * b - 1], [2 * a * b - 1, a * a]]
    start = float(np.abs(np.linalg.eigvalsh(hessian)).max())
    # of 40,000 random starts and step sizes, 1 % with eta lambda from 2 to 2.5 diverge under GD,
    # 28 % with 4 to 4.5, 92 % with 6 to 8; a little more under SAM
    if config.rule in ("gd", "sam") and config.eta * start > 4:
        yield (
            f"The start ({a:g}, {b:g}) has sharpness {start:.3g}, more than twice 2/η = "
            f"{2 / config.eta:.3g}: the run is likely to diverge. Try an η below {2 / start:.2g}."
        )
