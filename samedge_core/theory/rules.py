"""The update rules: one entry for each, with everything but its update on networks.

To add a rule: an entry in `RULES`, an update in `samedge_core.training.optimizers`, and tests. What
can be set, measured, drawn, listed or compared follows from the entry. Importable without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from samedge_core.theory import edges, latex
from samedge_core.theory.edges import Values


class Settings(NamedTuple):
    """eta (step size), rho (SAM radius), beta (momentum) and weight_decay, as arrays that
    broadcast."""

    eta: Values
    rho: Values = 0.0
    beta: Values = 0.0
    weight_decay: Values = 0.0


@dataclass(frozen=True)
class Hyperparameters:
    """What is in force at a step: the rule's name, eta (step size), rho (SAM radius), beta
    (momentum; Adam's beta1), beta2 (of the second moment), eps and weight_decay."""

    rule: str
    eta: float
    rho: float
    beta: float
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

    def edge(self, grad_norm: Values) -> Values:
        """The edge of the rule in force, at gradient norm(s) `grad_norm`; broadcasts. NaN for a
        rule that has none on the Hessian itself."""
        return RULES[self.rule].edge(self, grad_norm)

    def multiplier(self, curvature: Values, grad_norm: float) -> Values:
        """The factor by which a step of the rule in force multiplies the components along
        eigenvectors of the Hessian with eigenvalue(s) `curvature`; same shape."""
        return RULES[self.rule].factor(self, curvature, grad_norm)


InForce = Settings | Hyperparameters
Reach = Callable[[Any, Any], Any]
Moments = Literal["", "velocity", "second", "both"]


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

    Near a minimum an update is a linear recursion along the eigenvectors of its edge operator, the
    symmetric A = P^-1/2 H (I + s H) P^-1/2 + weight_decay I. It is at its edge where the leading
    eigenvalue of A is at the threshold. Where P = I, the edge is the eigenvalue of H itself there.

    Attributes:
        name: in configurations, records, links and commands.
        short, title: its name in formulas, and in the list where one chooses.
        about: a sentence on its update, for whoever has chosen it.
        uses: the settings that its update depends on and that may change mid-run.
        also: those that may not.
        gradients: gradient evaluations of a step (one where rho is 0).
        threshold: the eigenvalue of A at which the multiplier is -1, from settings.
        multiplier: the factor of a step along eigenvectors of A, from settings and eigenvalues.
        formula: its edge without weight decay, as a template of `samedge_core.theory.latex`; of a
            preconditioned rule its threshold.
        look: how it is drawn.
        source: where the threshold is published; empty where it is this project's own.
        plain_edge: the edge without weight decay, from settings and gradient norms; None for a
            preconditioned rule.
        edge_text: the edge on charts, where a formula is short enough to stand there.
        follows_norm: its edge moves with the gradient norm.
        reach: from rho and gradient norms, the s of an update w <- w - eta grad L(w + s g), which
            small landscapes need; None for an update of another form.
        uphill: the s of A where the update has another form.
        perturbed: the point w + s g in words; empty where it is w.
        moments: what its moments are; rules of one kind go on with each other's.
        decoupled: weight decay shrinks w apart from the gradient, as AdamW has it, and A is
            without it; the threshold has it instead.
    """

    name: str
    short: str
    title: str
    about: str
    uses: tuple[str, ...]
    gradients: int
    threshold: Callable[[InForce], Values]
    multiplier: Callable[[InForce, Values], Values]
    formula: str
    look: Look
    source: str = ""
    plain_edge: Callable[[InForce, Values], Values] | None = None
    also: tuple[str, ...] = ("weight_decay",)
    edge_text: str = ""
    follows_norm: bool = False
    reach: Reach | None = None
    uphill: Reach | None = None
    perturbed: str = ""
    moments: Moments = ""
    decoupled: bool = False

    @property
    def unused(self) -> frozenset[str]:
        """The settings of update rules that play no part in its update."""
        found = {name for rule in RULES.values() for name in (*rule.uses, *rule.also)}
        return frozenset(found.difference(self.uses, self.also))

    @property
    def preconditioned(self) -> bool:
        """Whether P is not I: then its edge is known on A only, not as a sharpness."""
        return self.plain_edge is None

    @property
    def quantity(self) -> str:
        """What is held against its edge, in words."""
        return "edge value" if self.preconditioned else "sharpness"

    @property
    def limit(self) -> str:
        """What that is held against, in words."""
        return "threshold" if self.preconditioned else "edge"

    @property
    def measured(self) -> dict[str, str]:
        """These two as columns of a History, by their names."""
        columns = ("edge_value", "threshold") if self.preconditioned else ("sharpness", "edge")
        return dict(zip((self.quantity, self.limit), columns, strict=True))

    @property
    def ratio(self) -> str:
        """What is 1 at its edge, in words."""
        return f"{self.quantity} / {self.limit}"

    @property
    def edge_name(self) -> str:
        """The name of its edge on charts."""
        return self.edge_text or f"{self.short}-edge"

    def edge_named(self, weight_decay: float) -> str:
        """That name, where it is a formula without the decay that a run has."""
        decays = weight_decay and self.edge_text and "weight_decay" in self.also
        decays = decays and not self.decoupled
        return f"{self.edge_name} − weight decay" if decays else self.edge_name

    @property
    def column(self) -> str:
        """The column of a History that holds its edge, or its threshold."""
        return "threshold" if self.preconditioned else f"{self.name.replace('-', '_')}_edge"

    def edge(self, h: InForce, grad_norm: Values) -> Values:
        """The eigenvalue of H at which the leading one of A is at the threshold, from settings and
        gradient norms, which broadcast; NaN for a preconditioned rule.

        With weight decay, A is at the threshold c where H (I + s H) is at c - weight_decay: the
        edge of a step that is longer by c/(c - weight_decay), as c is inversely proportional to
        eta. 0 where the decay alone is beyond the threshold.
        """
        if self.plain_edge is None:
            return np.nan + np.zeros(np.broadcast_shapes(np.shape(h.eta), np.shape(grad_norm)))
        if not np.any(h.weight_decay):
            return self.plain_edge(h, grad_norm)
        left = np.asarray(1 - h.weight_decay / self.threshold(h))
        eta = h.eta / np.where(left > 0, left, 1.0)
        edge = self.plain_edge(Settings(eta, h.rho, h.beta), grad_norm)
        found = np.where(left > 0, edge, 0.0)
        return found if found.ndim else float(found)

    def operator_reach(self, h: InForce, grad_norm: Values) -> Values:
        """The s of A, from settings and gradient norms."""
        reach = self.reach or self.uphill
        return reach(h.rho, grad_norm) if reach else 0.0

    def operator_value(self, h: InForce, curvature: Values, grad_norm: Values) -> Values:
        """The eigenvalue of A, without P, that belongs to an eigenvalue of H; broadcasts."""
        decay = 0.0 if self.decoupled or "weight_decay" not in self.also else h.weight_decay
        # of a run that diverges these may be beyond all numbers: inf, or NaN for inf - inf
        with np.errstate(over="ignore", invalid="ignore"):
            return curvature * (1 + self.operator_reach(h, grad_norm) * curvature) + decay

    def factor(self, h: InForce, curvature: Values, grad_norm: Values) -> Values:
        """The factor of a step along eigenvectors of H, where P = I; broadcasts."""
        return self.multiplier(h, self.operator_value(h, curvature, grad_norm))

    def latex(self, row: Mapping[str, Any] | None = None) -> str:
        """Return the formula of its edge, as LaTeX; of a preconditioned rule, of its threshold.

        Args:
            row: a row of a History, whose numbers and edge are then put into the formula.
        """
        kind = "threshold" if self.preconditioned else "edge"
        symbols = rf"\text{{{self.short}-{kind}}} = {latex.in_symbols(self._formula(row))}"
        if not row:
            return symbols
        numbers = self.latex_with_numbers(row)
        return rf"{symbols} = {numbers} = \mathbf{{{latex.number(row[kind])}}}"

    def operator_latex(self, row: Mapping[str, Any] | None = None) -> str:
        """Return the leading eigenvalue of a preconditioned rule's edge operator as LaTeX; with the
        value in a row of a History."""
        inner = r"H\,(I+\tfrac{\rho}{\|g\|}H)\," if self.uphill else "H"
        # in braces, so that no line ends in it
        symbols = rf"{{\lambda_1\big(P^{{-1/2}}{inner}P^{{-1/2}}\big)}}"
        return rf"{symbols} = \mathbf{{{latex.number(row['edge_value'])}}}" if row else symbols

    def latex_with_numbers(self, row: Mapping[str, Any]) -> str:
        """Return the right-hand side of the formula with the settings and grad_norm of `row`."""
        values = {name: row[name] for name in latex.SYMBOLS if name in row}
        if "rho" in self.uses and row["rho"] == 0 and not self.preconditioned:
            # 0/0: a rule with a radius then is the one without
            below = RULES[self.name.removeprefix("sam-") if self.moments else "gd"]
            return latex.with_numbers(below._formula(row), values) + r"\;(\rho = 0)"
        return latex.with_numbers(self._formula(row), values)

    def _formula(self, row: Mapping[str, Any] | None) -> str:
        """The template, with weight decay where the row has some that it uses."""
        decay = row.get("weight_decay", 0.0) if row and "weight_decay" in self.also else 0.0
        return self.formula if not decay else self._decayed

    @property
    def _decayed(self) -> str:
        if self.decoupled:
            return rf"{self.formula}\left(1-\frac{{<eta>*<weight_decay>}}{{2}}\right)"
        if self.follows_norm or "rho" in self.uses:
            s = r"\frac{<rho>}{<grad_norm>}" if self.follows_norm else "<rho>"
            c = rf"\left({_THRESHOLDS[self.moments]}-<weight_decay>\right)"
            half = r"\frac{<grad_norm>}{2*<rho>}" if self.follows_norm else r"\frac{1}{2*<rho>}"
            return rf"{half}\left(\sqrt{{1+4*{s}{c}}}-1\right)"
        return rf"{self.formula}-<weight_decay>"


def _plain(h: InForce) -> Values:
    return edges.gd_edge(h.eta)


def _polyak(h: InForce) -> Values:
    return edges.polyak_edge(h.eta, h.beta)


def _adam(h: InForce) -> Values:
    return edges.adam_threshold(h.eta, h.beta, h.weight_decay)


_THRESHOLDS = {"": r"\frac{2}{<eta>}", "velocity": r"\frac{2+2*<beta>}{<eta>}"}
_ADAM = r"\frac{2+2*<beta>}{<eta>\,(1-<beta>)}"
_LONG_AND_BARTLETT, _COHEN, _ADAPTIVE = "arXiv 2309.12488", "arXiv 2103.00065", "arXiv 2207.14484"
_MOMENTS = ("beta2", "eps")

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
            plain_edge=lambda h, norm: edges.gd_edge(h.eta),
            threshold=_plain,
            multiplier=lambda h, a: edges.gd_multiplier(a, h.eta),
            source=_LONG_AND_BARTLETT,
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
            plain_edge=lambda h, norm: edges.sam_edge(h.eta, h.rho, norm),
            threshold=_plain,
            multiplier=lambda h, a: edges.gd_multiplier(a, h.eta),
            source=_LONG_AND_BARTLETT,
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
            plain_edge=lambda h, norm: edges.usam_edge(h.eta, h.rho),
            threshold=_plain,
            multiplier=lambda h, a: edges.gd_multiplier(a, h.eta),
            source="arXiv 2302.08692",
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
            plain_edge=lambda h, norm: edges.polyak_edge(h.eta, h.beta),
            threshold=_polyak,
            multiplier=lambda h, a: edges.polyak_multiplier(a, h.eta, h.beta),
            source=_COHEN,
            moments="velocity",
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
            plain_edge=lambda h, norm: edges.nesterov_edge(h.eta, h.beta),
            threshold=lambda h: edges.nesterov_edge(h.eta, h.beta),
            multiplier=lambda h, a: edges.nesterov_multiplier(a, h.eta, h.beta),
            source=_COHEN,
            moments="velocity",
            formula=r"\frac{2+2*<beta>}{<eta>\,(1+2*<beta>)}",
            look=Look("nesterov", dash="longdashdot"),
        ),
        Rule(
            name="sam-polyak",
            short="SAM+Polyak",
            title="SAM with Polyak momentum",
            about="SAM's gradient, taken at w + ρg/‖g‖, goes into Polyak's velocity v, and the "
            "step follows it, w ← w − ηv. The edge is this project's own, and exact where every "
            "step hops; near β = 0.9 many runs hop in longer cycles instead.",
            uses=("eta", "rho", "beta"),
            gradients=2,
            plain_edge=lambda h, norm: edges.sam_edge(h.eta / (1 + h.beta), h.rho, norm),
            threshold=_polyak,
            multiplier=lambda h, a: edges.polyak_multiplier(a, h.eta, h.beta),
            formula=r"\frac{<grad_norm>}{2*<rho>}"
            r"\left(\sqrt{1+\frac{8*<rho>\,(1+<beta>)}{<eta>*<grad_norm>}}-1\right)",
            look=Look("sam", dash="dot"),
            moments="velocity",
            follows_norm=True,
            uphill=edges.sam_reach,
            perturbed="w + ρu",
        ),
        Rule(
            name="rmsprop",
            short="RMSProp",
            title="RMSProp",
            about="Divides each entry of the gradient by the root of its mean square, "
            "ν ← β₂ν + (1 − β₂)g²: w ← w − ηg/(√ν + ε).",
            uses=("eta",),
            also=_MOMENTS,
            gradients=1,
            threshold=_plain,
            multiplier=lambda h, a: edges.gd_multiplier(a, h.eta),
            source=_ADAPTIVE,
            formula=r"\frac{2}{<eta>}",
            look=Look("usam", dash="dash"),
            edge_text="threshold 2/η",
            moments="second",
        ),
        Rule(
            name="adam",
            short="Adam",
            title="Adam",
            about="RMSProp with momentum: m ← βm + (1 − β)g, both moments corrected for their "
            "start at zero, and w ← w − ηm̂/(√ν̂ + ε). Weight decay is AdamW's.",
            uses=("eta", "beta"),
            also=(*_MOMENTS, "weight_decay"),
            gradients=1,
            threshold=_adam,
            multiplier=lambda h, a: edges.adam_multiplier(a, h.eta, h.beta, h.weight_decay),
            source=_ADAPTIVE,
            formula=_ADAM,
            look=Look("polyak", dash="dash"),
            edge_text="Adam's threshold",
            moments="both",
            decoupled=True,
        ),
        Rule(
            name="sam-rmsprop",
            short="SAM+RMSProp",
            title="SAM with RMSProp",
            about="SAM's gradient, taken at w + ρg/‖g‖, divided as RMSProp divides it.",
            uses=("eta", "rho"),
            also=_MOMENTS,
            gradients=2,
            threshold=_plain,
            multiplier=lambda h, a: edges.gd_multiplier(a, h.eta),
            formula=r"\frac{2}{<eta>}",
            look=Look("usam", dash="10px,4px", width=2.6),
            edge_text="threshold 2/η",
            moments="second",
            uphill=edges.sam_reach,
            perturbed="w + ρu",
        ),
        Rule(
            name="sam-adam",
            short="SAM+Adam",
            title="SAM with Adam",
            about="SAM's gradient, taken at w + ρg/‖g‖, goes into Adam's moments, and Adam steps.",
            uses=("eta", "rho", "beta"),
            also=(*_MOMENTS, "weight_decay"),
            gradients=2,
            threshold=_adam,
            multiplier=lambda h, a: edges.adam_multiplier(a, h.eta, h.beta, h.weight_decay),
            formula=_ADAM,
            look=Look("polyak", dash="10px,4px", width=2.6),
            edge_text="Adam's threshold",
            moments="both",
            decoupled=True,
            uphill=edges.sam_reach,
            perturbed="w + ρu",
        ),
    )
}
