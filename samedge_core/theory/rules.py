"""The names of the update rules, which settings each uses, and its edge; importable without torch.

The updates themselves are in `samedge_core.training.optimizers`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from numpy.typing import ArrayLike

from samedge_core.theory import edges


@dataclass(frozen=True)
class Hyperparameters:
    """What is in force at a step: the rule's name, eta (step size), rho (SAM radius), beta."""

    rule: str
    eta: float
    rho: float
    beta: float

    def edge(self, grad_norm: ArrayLike):
        """The edge of the rule in force, at gradient norm(s) `grad_norm`; same shape."""
        return RULES[self.rule].edge(self, grad_norm)

    def multiplier(self, curvature: ArrayLike, grad_norm: float):
        """What a step of the rule in force multiplies the components along eigenvectors with
        eigenvalue(s) `curvature` by; same shape."""
        return RULES[self.rule].multiplier(self, curvature, grad_norm)


@dataclass(frozen=True)
class RuleSpec:
    """A rule's title, the settings it uses, gradients a step, its edge and its multiplier.

    Attributes:
        edge_name: how the edge is called on charts.
        column: the History column that holds this edge.
        gradients: gradient evaluations a step costs.
    """

    title: str
    uses: tuple[str, ...]
    gradients: int
    edge_name: str
    column: str
    edge: Callable[[Hyperparameters, ArrayLike], object]
    multiplier: Callable[[Hyperparameters, ArrayLike, float], object]


RULES: dict[str, RuleSpec] = {
    "gd": RuleSpec(
        "GD: gradient descent",
        ("eta",),
        1,
        "2/η",
        "gd_edge",
        lambda h, grad_norm: edges.gd_edge(h.eta),
        lambda h, c, grad_norm: edges.gd_multiplier(c, h.eta),
    ),
    "sam": RuleSpec(
        "SAM: sharpness-aware",
        ("eta", "rho"),
        2,
        "SAM-edge",
        "sam_edge",
        lambda h, grad_norm: edges.sam_edge(h.eta, h.rho, grad_norm),
        lambda h, c, grad_norm: edges.sam_multiplier(c, h.eta, h.rho, grad_norm),
    ),
    "usam": RuleSpec(
        "USAM: unnormalised SAM",
        ("eta", "rho"),
        2,
        "USAM-edge",
        "usam_edge",
        lambda h, grad_norm: edges.usam_edge(h.eta, h.rho),
        lambda h, c, grad_norm: edges.usam_multiplier(c, h.eta, h.rho),
    ),
    "polyak": RuleSpec(
        "Polyak momentum",
        ("eta", "beta"),
        1,
        "Polyak-edge",
        "polyak_edge",
        lambda h, grad_norm: edges.polyak_edge(h.eta, h.beta),
        lambda h, c, grad_norm: edges.polyak_multiplier(c, h.eta, h.beta),
    ),
    "nesterov": RuleSpec(
        "Nesterov momentum",
        ("eta", "beta"),
        1,
        "Nesterov-edge",
        "nesterov_edge",
        lambda h, grad_norm: edges.nesterov_edge(h.eta, h.beta),
        lambda h, c, grad_norm: edges.nesterov_multiplier(c, h.eta, h.beta),
    ),
}
