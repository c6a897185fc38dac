"""The update rules: one entry for each, with everything but its update on networks.

To add a rule: an entry in `RULES`, an update in `samedge_core.training.optimizers`, and tests. What
can be set, measured, drawn, listed or compared follows from the entry. Importable without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from samedge_core.theory import edges, latex
from samedge_core.theory.edges import Values


class Settings(NamedTuple):
    """eta (step size), rho (SAM radius) and beta (momentum), as arrays that broadcast."""

    eta: Values
    rho: Values = 0.0
    beta: Values = 0.0


@dataclass(frozen=True)
class Hyperparameters:
    """What is in force at a step: the rule's name, eta (step size), rho (SAM radius), beta."""

    rule: str
    eta: float
    rho: float
    beta: float

    def edge(self, grad_norm: Values) -> Values:
        """The edge of the rule in force, at gradient norm(s) `grad_norm`; broadcasts."""
        return RULES[self.rule].edge(self, grad_norm)

    def multiplier(self, curvature: Values, grad_norm: float) -> Values:
        """The factor by which a step of the rule in force multiplies the components along
        eigenvectors with eigenvalue(s) `curvature`; same shape."""
        return RULES[self.rule].multiplier(self, curvature, grad_norm)


InForce = Settings | Hyperparameters
Reach = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Look:
    """How charts draw a rule. Dashes and markers tell rules apart without their colours, too.

    Attributes:
        colour: a colour of static/theme.js, by its name.
        dash, width: of the rule's edge in the live charts, as Plotly has them.
        path, marker: dash and symbol of its iterates on the page of small landscapes.
    """

    colour: str
    dash: str
    width: float = 2.2
    path: str = "solid"
    marker: str = "circle"


@dataclass(frozen=True)
class Rule:
    r"""An update rule: everything but its update on networks.

    Attributes:
        name: in configurations, records, links and commands.
        short, title: its name in formulas, and in the list where one chooses.
        about: a sentence on its update, for whoever has chosen it.
        uses: the settings that its update depends on.
        gradients: gradient evaluations of a step (one where rho is 0).
        edge: the curvature at which the multiplier is -1, from settings and gradient norms.
        multiplier: the factor of a step along eigenvectors, from settings, their eigenvalues and
            gradient norms.
        formula: its edge, as a template of `samedge_core.theory.latex`.
        look: how it is drawn.
        edge_text: the edge on charts, where a formula is short enough to stand there.
        follows_norm: its edge moves with the gradient norm.
        reach: from rho and gradient norms, the s of an update w <- w - eta grad L(w + s g), which
            small landscapes need; None for an update of another form.
        perturbed: the point w + s g in words; empty where it is w.
    """

    name: str
    short: str
    title: str
    about: str
    uses: tuple[str, ...]
    gradients: int
    edge: Callable[[InForce, Values], Values]
    multiplier: Callable[[InForce, Values, Values], Values]
    formula: str
    look: Look
    edge_text: str = ""
    follows_norm: bool = False
    reach: Reach | None = None
    perturbed: str = ""

    @property
    def edge_name(self) -> str:
        """The name of its edge on charts."""
        return self.edge_text or f"{self.short}-edge"

    @property
    def column(self) -> str:
        """The column of a History that holds its edge."""
        return f"{self.name}_edge"

    def latex(self, row: Mapping[str, Any] | None = None) -> str:
        """Return the formula of its edge, as LaTeX.

        Args:
            row: a row of a History, whose numbers and edge are then put into the formula.
        """
        symbols = rf"\text{{{self.short}-edge}} = {latex.in_symbols(self.formula)}"
        if not row:
            return symbols
        numbers = self.latex_with_numbers(row)
        return rf"{symbols} = {numbers} = \mathbf{{{latex.number(row['edge'])}}}"

    def latex_with_numbers(self, row: Mapping[str, Any]) -> str:
        """Return the right-hand side of the formula with the settings and grad_norm of `row`."""
        values = {name: row[name] for name in latex.SYMBOLS if name in row}
        if "rho" in self.uses and row["rho"] == 0:  # 0/0: every rule with a radius then is GD
            return latex.with_numbers(RULES["gd"].formula, values) + r"\;(\rho = 0)"
        return latex.with_numbers(self.formula, values)


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(
            name="gd",
            short="GD",
            title="GD: gradient descent",
            about="Steps against the gradient: w ← w − ηg.",
            uses=("eta",),
            gradients=1,
            edge=lambda h, norm: edges.gd_edge(h.eta),
            multiplier=lambda h, c, norm: edges.gd_multiplier(c, h.eta),
            formula=r"\frac{2}{<eta>}",
            look=Look("gd", dash="dash", width=2, path="dashdot"),
            edge_text="2/η",
            reach=lambda rho, norm: 0.0,
        ),
        Rule(
            name="sam",
            short="SAM",
            title="SAM: sharpness-aware",
            about="Sharpness-aware minimization looks uphill first: it takes its gradient at "
            "w + ρg/‖g‖, the distance ρ away, and steps from w with that.",
            uses=("eta", "rho"),
            gradients=2,
            edge=lambda h, norm: edges.sam_edge(h.eta, h.rho, norm),
            multiplier=lambda h, c, norm: edges.sam_multiplier(c, h.eta, h.rho, norm),
            formula=r"\frac{<grad_norm>}{2*<rho>}"
            r"\left(\sqrt{1+\frac{8*<rho>}{<eta>*<grad_norm>}}-1\right)",
            look=Look("sam", dash="10px,4px", width=2.6, marker="diamond"),
            follows_norm=True,
            reach=edges.sam_reach,
            perturbed="w + ρu",
        ),
        Rule(
            name="usam",
            short="USAM",
            title="USAM: unnormalised SAM",
            about="SAM without dividing by ‖g‖: it takes its gradient at w + ρg. The smaller g, "
            "the less far it looks, and its edge stands still.",
            uses=("eta", "rho"),
            gradients=2,
            edge=lambda h, norm: edges.usam_edge(h.eta, h.rho),
            multiplier=lambda h, c, norm: edges.usam_multiplier(c, h.eta, h.rho),
            formula=r"\frac{\sqrt{1+8*<rho>/<eta>}-1}{2*<rho>}",
            look=Look("usam", dash="dashdot", path="dot", marker="square"),
            reach=lambda rho, norm: rho,
            perturbed="w + ρg",
        ),
        Rule(
            name="polyak",
            short="Polyak",
            title="Polyak momentum",
            about="The heavy ball: a velocity keeps the share β of itself, v ← βv + g, and the "
            "step follows it, w ← w − ηv.",
            uses=("eta", "beta"),
            gradients=1,
            edge=lambda h, norm: edges.polyak_edge(h.eta, h.beta),
            multiplier=lambda h, c, norm: edges.polyak_multiplier(c, h.eta, h.beta),
            formula=r"\frac{2+2*<beta>}{<eta>}",
            look=Look("polyak", dash="dot"),
        ),
        Rule(
            name="nesterov",
            short="Nesterov",
            title="Nesterov momentum",
            about="Polyak's velocity, v ← βv + g, seen one step ahead: w ← w − η(g + βv).",
            uses=("eta", "beta"),
            gradients=1,
            edge=lambda h, norm: edges.nesterov_edge(h.eta, h.beta),
            multiplier=lambda h, c, norm: edges.nesterov_multiplier(c, h.eta, h.beta),
            formula=r"\frac{2+2*<beta>}{<eta>\,(1+2*<beta>)}",
            look=Look("nesterov", dash="longdashdot"),
        ),
    )
}
