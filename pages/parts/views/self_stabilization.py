"""The portrait of GD's self-stabilisation at an inspected step, drawn and in words."""

from collections.abc import Iterator

import numpy as np

from pages.parts.components.figures import Figure
from pages.parts.views.drawing import UNLISTED, axis, level, line, markers
from pages.parts.views.numerals import number
from samedge_core.training.portrait import DEAD, Portrait

SMALL = 0.3  # of its amplitude: a cycle that strays no farther keeps to the period of small ones


def figures_of(seen: Portrait | None, whose: str) -> list[Figure]:
    """The portrait, and x over the steps; nothing where none was asked for."""
    return [_plane(seen, whose), _over_steps(seen, whose)] if seen else []


def _plane(seen: Portrait, whose: str) -> Figure:
    """x over y, joined from step to step, with the fixed points that the law predicts."""
    hover = {
        "text": [f"{seen.step + i:,}" for i in range(len(seen.x))],
        "hovertemplate": "x %{x:.4~g}, sharpness − 2/η %{y:.4~g} at step %{text}",
    }
    look = {"mode": "lines+markers", "marker": {"size": 4, "color": "@sharpness"}, **hover}
    first = markers("first", seen.x[:1], seen.y[:1], "text", "circle-open", 11, **UNLISTED)
    last = markers("last", seen.x[-1:], seen.y[-1:], "sharpness", "circle", 11, **UNLISTED)
    traces = [line("measured", seen.x, seen.y, "sharpness/0.55", width=1.3, **look), first, last]
    low, high = float(seen.x.min()), float(seen.x.max())
    # a fixed point on each side on which x comes by; x changes sides where a hop is left out
    sides = [side for side in (-1, 1) if side * (low if side < 0 else high) > 0]
    ends = [low, high, *(side * seen.amplitude for side in sides)]
    room = 0.08 * (max(ends) - min(ends)) or 1.0
    if seen.amplitude:
        places = seen.amplitude * np.array(sides)
        traces.append(markers("predicted: |x| = √(2α/b)", places, places * 0, "gd", "x", 12))
    layout = {
        "xaxis": axis(f"x, half a hop along v₁{whose}", range=[min(ends) - room, max(ends) + room]),
        "yaxis": axis("sharpness − 2/η"),
        "shapes": [level("y", 0, "gd")],
        "hovermode": "closest",
    }
    return Figure(f"Self-stabilisation{whose}", traces, layout, height=400)


def _over_steps(seen: Portrait, whose: str) -> Figure:
    steps = seen.step + np.arange(len(seen.x))
    size = np.abs(seen.x)
    traces = [line("|x|, measured", steps, size, "sharpness")]
    if seen.amplitude:
        ends, flat = [steps[0], steps[-1]], [seen.amplitude] * 2
        traces.append(line("√(2α/b), predicted", ends, flat, "gd", "dash"))
    layout = {
        "xaxis": axis(f"step{whose}"),
        "yaxis": axis("|x|, half a hop along v₁"),
        "hovermode": "x unified",
    }
    return Figure(f"Hops along v₁{whose}", traces, layout, height=400)


def in_sentences(seen: Portrait | None) -> Iterator[str]:
    """What the portrait shows, a sentence each."""
    if seen is None:
        return
    yield (
        f"**Self-stabilisation** over {len(seen.x):,} steps: a hop along v₁ pushes the sharpness "
        "down, the loss pushes it up (α), and where they balance GD hops by x = √(2α/b). The law "
        "is that of one direction; its energy is not constant, so the path need not close."
    )
    if seen.turned is not None:
        yield f":orange[v₁ becomes another direction at step {seen.turned:,}: more than one hops.]"
    if not seen.amplitude:
        yield "**No oscillation is driven**: the loss doesn't push the sharpness up here (α ≤ 0)."
    elif seen.died:
        yield (
            "**The oscillation has died**: in the last quarter the hops are below "
            f"{DEAD:.0%} of the predicted √(2α/b) = {number(seen.amplitude)}. "
            + ("The sharpness is below 2/η." if seen.y[-1] < 0 else "It is about to grow again.")
        )
    else:
        yield from _cycles(seen)


def _cycles(seen: Portrait) -> Iterator[str]:
    over = (
        f"over {seen.cycles} whole cycle{'s' * (seen.cycles > 1)}"
        if seen.cycles
        else "over the window, no whole cycle"
    )
    yield (
        f"Amplitude, root mean square of x {over}: {number(seen.measured_amplitude)}; predicted "
        f"√(2α/b) = {number(seen.amplitude)}."
    )
    period = f"2π/(η√(2α)) = {number(seen.period)} steps"
    if not seen.cycles:
        yield f"Small cycles would take {period}; none was seen whole: choose more steps."
        return
    yield f"Period: {number(seen.measured_period)} steps; predicted for small cycles {period}."
    if float(np.std(np.abs(seen.x))) > SMALL * seen.amplitude:
        yield "These cycles are large, and large ones take longer."
