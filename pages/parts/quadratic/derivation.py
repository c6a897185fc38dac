"""Part 5: the SAM-edge in five short steps, with the current numbers in each line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pages.parts.components.figures import Figure
from pages.parts.quadratic import draw
from pages.parts.quadratic.checks import Check
from pages.parts.quadratic.draw import Descents
from pages.parts.quadratic.settings import Values
from pages.parts.views.drawing import axis, level
from samedge_core.theory.descent import descend
from samedge_core.theory.edges import gd_edge, gd_multiplier, sam_edge, sam_multiplier
from samedge_core.theory.latex import in_symbols, number, with_numbers
from samedge_core.theory.quadratics import Quadratic, orbit_grad_norm, orbit_radius
from samedge_core.theory.rules import RULES


@dataclass(frozen=True)
class Line:
    """One step: what is done, in symbols (LaTeX), and with numbers (LaTeX)."""

    words: str
    symbols: str
    numbers: str


FACTOR = r"1-<eta>*<curvature>*\left(1+\frac{<rho>*<curvature>}{<grad_norm>}\right)"
ORBIT = r"\frac{<eta>*<rho>*<curvature>*<curvature>}{2-<eta>*<curvature>}"


def lines(values: Values) -> list[Line]:
    """The five steps, at the first iterate w_0 and, at the end, on the orbit."""
    eta, rho, curvature, w0 = (values[name] for name in ("eta", "rho", "curvature", "w0"))
    norm, u = abs(curvature * w0), float(np.sign(w0))
    row = {"eta": eta, "rho": rho, "curvature": curvature, "grad_norm": norm, "w": w0, "u": u}
    factor = float(sam_multiplier(curvature, eta, rho, norm))
    step = f"{with_numbers(FACTOR, row)} = {number(factor)}"
    gradient = number(curvature * (w0 + rho * u))
    return [
        Line(
            "**Near the iterate the loss is a quadratic.** Along a direction of curvature λ the "
            "gradient is λ times the distance w from the minimum.",
            r"L(w) = \tfrac12 \lambda w^2, \qquad g = \lambda w",
            rf"g = {with_numbers('<curvature>*<w>', row)} = {number(curvature * w0)}",
        ),
        Line(
            "**SAM takes its gradient at the perturbed point.** It goes the distance ρ along the "
            "unit vector u = g/‖g‖, uphill; the gradient there is longer by ρλ/‖g‖.",
            r"\nabla L(w + \rho u) = \lambda (w + \rho u)"
            r" = g\left(1 + \frac{\rho\lambda}{\|g\|}\right)",
            rf"{with_numbers('<curvature>*(<w> + <rho>*<u>)', row)} = {gradient}",
        ),
        Line(
            "**A step multiplies w.** The factor is that of GD, 1 − ηλ, with the longer gradient.",
            rf"w \leftarrow w\left({in_symbols(FACTOR)}\right)",
            step if norm else r"\text{at } g = 0 \text{ there is no direction: the step is } 0",
        ),
        Line(
            "**The edge is where that factor is −1:** a hop to the other side, just as far. "
            "That is a quadratic equation for λ, and its positive root is the SAM-edge.",
            r"\eta\lambda + \frac{\eta\rho}{\|g\|}\lambda^2 = 2 \;\Rightarrow\; \lambda = "
            + in_symbols(RULES["sam"].formula),
            _edge_numbers(row),
        ),
        Line(
            "**On a quadratic λ can't move, so ‖g‖ does,** until the edge is at λ. Put λ into the "
            "equation of the edge and solve it for ‖g‖: that is the hop that stays.",
            r"\|g^*\| = \frac{\eta\rho\lambda^2}{2-\eta\lambda}",
            _orbit_numbers(row, _orbit_norm(values)),
        ),
    ]


def _edge_numbers(row: Mapping[str, float]) -> str:
    if row["grad_norm"] == 0 and row["rho"] > 0:
        return r"\|g\| = 0:\quad \lambda = 0"
    edge = float(sam_edge(row["eta"], row["rho"], row["grad_norm"]))
    return f"{RULES['sam'].latex_with_numbers(row)} = {number(edge)}"


def _orbit_numbers(row: Mapping[str, float], norm: float) -> str:
    """The gradient norm of the hop that stays, or why there is none."""
    eta, rho, stretch = row["eta"], row["rho"], row["eta"] * row["curvature"]
    if stretch == 2 and rho == 0:
        return r"\eta\lambda = 2, \; \rho = 0: \quad \text{SAM is GD, and every hop stays}"
    if stretch >= 2:
        gone = r"\text{no such hop, SAM diverges}"
        return rf"\eta\lambda = {number(stretch)} \ge 2: \quad {gone}"
    if rho == 0:
        return r"\rho = 0:\quad \|g^*\| = 0, \text{ SAM is GD and converges}"
    edge = number(float(sam_edge(eta, rho, norm)))
    numbers = rf"{with_numbers(ORBIT, row)} = {number(norm)}"
    return rf"\|g^*\| = {numbers}, \qquad \text{{SAM-edge}} = {edge} = \lambda"


def runs(values: Values) -> Descents:
    """The descent that `checks` looks at."""
    landscape = Quadratic([values["curvature"]])
    eta, rho, w0, steps = (values[name] for name in ("eta", "rho", "w0", "steps"))
    return {"sam": descend(landscape, "sam", eta, rho, [w0], steps)}


def checks(values: Values, simulated: Descents) -> list[Check]:
    """Predictions against the simulation of the current settings; none of what can't be seen."""
    eta, rho, curvature, w0 = (values[name] for name in ("eta", "rho", "curvature", "w0"))
    run = simulated["sam"]
    if not w0 or not run.steps:
        return []
    first = float(sam_multiplier(curvature, eta, rho, abs(curvature * w0)))
    # 1 - x, in which digits cancel where x is near 1
    found = [Check("first factor w₁/w₀", first, float(run.w[1, 0] / run.w[0, 0]), slack=1e-12)]
    if rho == 0 or eta * curvature >= 2 or run.grad_norm[-1] == 0:
        return found
    return [
        *found,
        Check("|w*|", float(orbit_radius(curvature, eta, rho)), abs(float(run.w[-1, 0]))),
        Check("‖g*‖", _orbit_norm(values), float(run.grad_norm[-1])),
        Check("SAM-edge on the orbit, λ", curvature, float(run.edge[-1])),
    ]


def figures(values: Values) -> list[Figure]:
    """The factor of a step over the curvature: each edge is where its line comes to -1."""
    eta, rho, curvature, w0 = (values[name] for name in ("eta", "rho", "curvature", "w0"))
    reach = 1.25 * max(curvature, gd_edge(eta))
    along = np.linspace(0, reach, 200)
    traces = [draw.line("GD", along, gd_multiplier(along, eta), "gd", "dashdot")]
    at_edge: dict[str, Any] = {"size": 11, "showlegend": False}
    norms = {"SAM at w₀": abs(curvature * w0), "SAM on its orbit": _orbit_norm(values)}
    for (name, norm), dash in zip(norms.items(), ("dot", "solid"), strict=True):
        if rho and 0 < norm < np.inf:
            factor = sam_multiplier(along, eta, rho, norm)
            traces.append(draw.line(name, along, factor, "sam", dash, width=2.5))
            edge = sam_edge(eta, rho, norm)
            hover = "SAM-edge %{x:.4~g}"
            traces.append(draw.dots(name, [edge], [-1], "sam", **at_edge, hovertemplate=hover))
    hover, edge = "2/η = %{x:.4~g}", [gd_edge(eta)]
    traces.append(draw.dots("2/η", edge, [-1], "gd", **at_edge, hovertemplate=hover))
    upright = ([curvature] * 2, [-3, 1])
    traces.append(draw.line("λ", *upright, "sharpness", "longdash", hoverinfo="skip"))
    layout: dict[str, Any] = {
        "xaxis": axis("curvature", range=[0, reach]),
        "yaxis": axis("factor of a step", range=[-2, 1.05]),
        "shapes": [level("y", -1)],
        "hovermode": "closest",
    }
    return [Figure("Factor of a step over curvature", traces, layout, columns=6, height=260)]


def _orbit_norm(values: Values) -> float:
    return float(orbit_grad_norm(values["curvature"], values["eta"], values["rho"]))
