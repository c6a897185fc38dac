"""The loss along v1 and along g at one step, with the points of the step on it, and in words."""

import math
from collections.abc import Iterator

import numpy as np

from pages.parts.components.figures import Figure, Trace
from pages.parts.views import drawing
from pages.parts.views.numerals import number
from samedge_core.theory.rules import RULES
from samedge_core.training.config import RunConfig
from samedge_core.training.history import SYMBOLS
from samedge_core.training.inspection import Along, Inspection, Mark, Place, Slice

NAMES: dict[Along, str] = {"v1": "v₁", "g": "g"}
_GRADIENT = "where the update takes its gradient"
MARKS: dict[Place, tuple[str, str, str, int, str]] = {
    # symbol, meaning, shape, size (where they coincide, each shows under the next), label's place
    "iterate": ("w", "the iterate", "circle", 16, "top center"),
    "perturbed": ("w + ρu", _GRADIENT, "triangle-up", 13, "middle right"),
    "next": ("w′", "the next iterate", "diamond", 9, "bottom center"),
}
LITTLE = 0.005  # of the way to the bottom: nearer to twice that way, the step ends as high as w


def facts(made: Inspection) -> list[str]:
    """The settings of a step, its numbers, and how sure they are."""
    hyper, rule = made.hyper, RULES[made.hyper.rule]
    settings = ", ".join(f"{SYMBOLS[n]} = {getattr(hyper, n):.4g}" for n in rule.uses)
    parts = [f"{rule.short} with {settings}", *numbers(made)]
    if not math.isnan(made.alignments[0]):
        g = "P^(−½) g" if rule.preconditioned else "g"
        parts.append(f"alignment of {g} with v₁ = {made.alignments[0]:.3f}")
    return parts if made.converged else [*parts, ":orange[estimate not converged]"]


def numbers(made: Inspection) -> list[str]:
    """Loss, gradient norm, sharpness and edge (or edge value and threshold) at a step."""
    rule = RULES[made.hyper.rule]
    return [
        f"loss = {made.loss:.5g}",
        f"‖g‖ = {made.grad_norm:.4g}",
        f"{rule.quantity} = {number(abs(made.eigenvalues[0]))}",
        f"{rule.edge_named(made.hyper.weight_decay)} = {number(made.edge)}",
    ]


def figures_of(made: Inspection | None, whose: str, *, height: int) -> list[Figure]:
    """The two figures of an inspection; empty ones of the same size where there is none. `whose`
    is added to the titles, where there are several runs."""
    found = {line.along: line for line in made.slices} if made else {}
    return [
        _figure(found.get(along), made, f"Loss along {name}{whose}", f"{name}{whose}", height)
        for along, name in NAMES.items()
        if along in found or not made
    ]


def _figure(
    line: Slice | None, made: Inspection | None, title: str, along: str, height: int
) -> Figure:
    layout = {
        "xaxis": drawing.axis(f"distance t from w along {along}"),
        "yaxis": drawing.axis("loss", automargin=True),
        "hovermode": "closest",
    }
    if not line or not made:
        return Figure(title, [], layout, columns=3, height=height)
    layout["xaxis"]["range"] = [line.offsets[0], line.offsets[-1]]
    traces = [
        drawing.line("quadratic model", line.offsets, line.model, "ghost", "dash"),
        drawing.line("loss", line.offsets, line.losses, "loss", width=2.5),
        *(_point(mark, made.hyper.rule) for mark in line.marks),
    ]
    return Figure(title, traces, layout, columns=3, height=height)


def _point(mark: Mark, rule: str) -> Trace:
    _, what, shape, size, position = MARKS[mark.place]
    symbol = _symbol(mark.place, rule)
    hover = (
        f"{symbol}, {what}<br>t = {number(mark.offset)}<br>loss here {mark.on_line:.5g}"
        f"<br>at the point itself {mark.loss:.5g}, {mark.beside:.3g} beside this line"
    )
    return drawing.markers(
        symbol,
        np.array([mark.offset]),
        np.array([mark.on_line]),
        "loss" if mark.place == "iterate" else RULES[rule].look.colour,
        shape,
        size,
        mode="markers+text",
        showlegend=False,
        text=[symbol],
        textposition=position,
        hovertext=[hover],
        hoverinfo="text",
        cliponaxis=False,
        marker=drawing.rim(1.5),
    )


def _symbol(place: Place, rule: str) -> str:
    return (place == "perturbed" and RULES[rule].perturbed) or MARKS[place][0]


def about(config: RunConfig, made: Inspection) -> str:
    """What the points and lines of the figures are."""
    points = "; ".join(
        f"{_symbol(mark.place, made.hyper.rule)}: {MARKS[mark.place][1]}"
        for mark in made.slices[0].marks
    )
    text = (
        f"{points}; each drawn at its projection on the line. t is a distance in weight space; the "
        "dashed parabola has the slope and the curvature of the loss at w."
    )
    if RULES[made.hyper.rule].preconditioned:
        text += (
            " v₁ is the leading eigenvector of the edge operator A as a direction in the weights, "
            "P^(−½) v₁: the step divides the gradient by P."
        )
    if len(made.slices) < 2:
        text += " There is no line along g: the gradient is 0."
    if config.batch_size and config.measure_on == "fixed":
        text += " The loss is that of the fixed batch, the step is taken on its own."
    if config.hessian_share < 1:
        text += " The curvature is that of a part of the examples, the loss of all."
    return text


def in_words(made: Inspection) -> Iterator[str]:
    """A sentence for each line: how far the step goes, in the parabola."""
    for line in made.slices:
        at_w = f"slope {number(line.slope)}, curvature {number(line.curvature)}"
        yield f"Along {NAMES[line.along]} ({at_w}) {_way(line)}."


def _way(line: Slice) -> str:
    """What the step does along a line, against the bottom of its parabola: eta times the curvature
    is the share of the way there that GD goes, 1 at the bottom and 2 at the edge."""
    offset = next((mark.offset for mark in line.marks if mark.place == "next"), None)
    if offset is None:
        return "the next iterate leaves the finite range"
    if line.curvature <= 0:
        return f"the step goes {number(offset)}; the loss curves downward, there is no bottom"
    if line.slope == 0:
        return f"the step goes {number(offset)} from w, which lies at the bottom of the parabola"
    share = offset * line.curvature / -line.slope
    if share <= 0:
        return "the step goes away from the bottom of the parabola"
    if share <= 1:
        way = f"the step goes {share:.0%} of the way to the bottom of the parabola"
        return f"{way} and stays on this side of the valley"
    way = f"the step goes {share:.3g} times the way to the bottom of the parabola"
    height = "as high as" if abs(share - 2) < LITTLE else "above" if share > 2 else "below"
    return f"{way}: across the valley, to a point {height} w"
