"""A bowl, L(w) = 1/2 lambda w^2, with the hops of a rule on it."""

import numpy as np

from pages.parts.components.figures import Figure, Scrub
from pages.parts.views.drawing import UNLISTED, axis, line, markers, note, rim
from samedge_core.theory.descent import Trajectory

TRAIL = 8  # hops drawn behind the current one


def bowl(name: str, run: Trajectory, half: float, *, height: int) -> Figure:
    """The figure `name` of a run on one weight, for -half <= w <= half; each hop has its step."""
    w = np.linspace(-half, half, 121)
    top = float(run.landscape.loss([half]))
    x, steps = run.w[:, 0], np.arange(run.steps + 1)
    left = bool((np.abs(x) > half).any())
    color = "bad" if left else "sharpness"
    played = {"meta": {"step": steps, "trail": TRAIL}, **UNLISTED}
    current = {"meta": {"step": steps, "trail": 1}, **UNLISTED}
    traces = [
        line("loss", w, run.landscape.loss([w]), "muted", width=3, **UNLISTED),
        line("hops", x, run.loss, f"{color}/0.5", **played),
        markers("iterates", x, run.loss, f"{color}/0.7", "circle", 7, **played),
        markers("now", x, run.loss, color, "circle", 17, marker=rim(2), **current),
    ]
    right = bool(x[-1] > 0)
    where = {"xanchor": "right" if right else "left", "xref": "paper", "xshift": (20, -20)[right]}
    label = note("thrown out", float(right), 1, font={"color": "@bad"}, **where)
    layout = {
        "margin": {"t": 8, "r": 4, "l": 24},
        "xaxis": axis("weight w", range=[-half, half], zeroline=False),
        "yaxis": axis("loss", range=[-0.08 * top, 1.02 * top], showticklabels=False, ticks=""),
        "annotations": [label] if left else [],
    }
    return Figure(name, traces, layout, 6, height=height)


def loop(run: Trajectory) -> Scrub:
    """The steps of a run, played again and again."""
    return Scrub(np.arange(run.steps + 1), (), loop=True)
