"""The iterates of a lesson's own run on the losses that can be drawn: bowl and two weights.

A run records no weights. On these losses they follow exactly from what it does record; the tests
compare both with the weights of the run itself. Importable without torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from samedge_core.theory.descent import Trajectory, descend
from samedge_core.theory.edges import sam_multiplier
from samedge_core.theory.quadratics import Quadratic
from samedge_core.theory.rules import RULES
from samedge_core.theory.two_weight import TwoWeightLandscape
from samedge_core.training.history import History


@dataclass(frozen=True)
class AlongV1(Trajectory):
    """A run on a bowl, seen along v1: w has shape (n + 1, 1), the distance from the bottom.

    Attributes:
        ascent: of each iterate, the part along v1 of the way to the point where the rule takes its
            gradient, (n + 1, 1). The whole way is rho long, so this part is shorter as long as g
            has other parts.
    """

    ascent: NDArray[np.float64]

    @property
    def perturbed(self) -> NDArray[np.float64]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The points at which the rule takes its gradient, (n + 1, 1)."""
        return self.w + self.ascent

    def until(self, count: int) -> AlongV1:
        """The first so many iterates."""
        return replace(self, w=self.w[:count], ascent=self.ascent[:count])


def along_v1(history: History) -> AlongV1:
    """The distance of each iterate from the bottom of a bowl along v1; the first is positive, as
    the sign of v1 is nobody's choice.

    |<w, v1>| is |<g, v1>|/lambda at step 0; each step multiplies it by 1 - eta lambda (1 + rho
    lambda/||g||), where lambda is the bowl's own and ||g|| the recorded one.

    Raises:
        ValueError: a run of another problem or rule, or without a measured first row.
    """
    columns, config = history.columns(), history.config
    rules = set(columns["rule"])
    if config.problem != "quadratic" or not rules <= {"gd", "sam"}:
        raise ValueError(
            f"the run must be GD or SAM on 'quadratic', got {', '.join(sorted(rules))} on "
            f"{config.problem!r}"
        )
    if not len(columns["step"]) or not np.isfinite(columns["align_grad"][0]):
        raise ValueError("the run must have a measured row of step 0, got none")
    bowl = Quadratic([max(config.options["eigenvalues"])])
    (curvature,) = bowl.eigenvalues
    norm = columns["grad_norm"]
    rho = np.where(columns["rule"] == "sam", columns["rho"], 0.0)
    factors = np.asarray(sam_multiplier(curvature, columns["eta"], rho, norm))
    start = columns["align_grad"][0] * norm[0] / curvature
    w = start * np.concatenate([[1.0], np.cumprod(factors[:-1])])[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        ascent = np.where(norm > 0, rho * curvature / norm, 0.0)[:, None] * w
    hyper = history.hyperparameters
    return AlongV1(bowl, hyper.rule, hyper.eta, float(rho[-1]), w, False, ascent)


def in_the_valley(history: History) -> Trajectory:
    """The weights (a, b) of each iterate of a run on two weights, (n + 1, 2).

    The start and the update have no chance in them: the same steps are taken again, in Float64 as
    in the lessons' runs.

    Raises:
        ValueError: a run of another problem or rule, or one whose settings were changed on the way.
    """
    config = history.config
    if config.problem != "two-weight" or not RULES[config.rule].reach:
        raise ValueError(
            f"the run must be GD, SAM or USAM on 'two-weight', got {config.rule} on "
            f"{config.problem!r}"
        )
    if changed := [item.step for item in history.interventions if item.changes]:
        raise ValueError(f"the run must keep its settings, got a change at step {changed[0]:,}")
    start = [config.options["a"], config.options["b"]]
    steps = max(0, history.last_step)
    return descend(TwoWeightLandscape(), config.rule, config.eta, config.rho, start, steps)
