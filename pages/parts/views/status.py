"""How the runs go, in a few lines that stay in their place, and boxes when one needs attention."""

import math
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import streamlit as st

from pages.parts import server
from pages.parts.frame.parts import part
from pages.parts.markdown import plain
from samedge_core.analysis import observed
from samedge_core.analysis.observed import AVERAGED, Observed
from samedge_core.theory.rules import RULES
from samedge_core.training.history import History
from samedge_core.training.stop import Stop, StopReason
from samedge_core.worker.view import Phase, RunView

_LOOK = {
    Phase.WAITING: ("orange", "hourglass_empty", "Waiting"),
    Phase.STARTING: ("orange", "hourglass_top", "Starting"),
    Phase.RUNNING: ("green", "play_arrow", "Running"),
    Phase.PAUSED: ("blue", "pause", "Paused"),
    Phase.ENDED: ("gray", "stop", "Ended"),
}
IN_FULL = 1e5  # from here on a ratio, of a run that diverges, is written as 1.2e+07
_PAUSING = ("blue", "pending", "Pausing")
MEANING = (
    "**Sharpness**: the largest curvature of the loss at the weights. It is the largest eigenvalue "
    "of the Hessian, the matrix of second derivatives, and found by Hessian-vector products. "
    "**v₁**: its eigenvector, the direction of largest curvature, across the valley.\n\n"
    "**Edge value**: what counts in place of the sharpness where a step divides the gradient by P, "
    "as under Adam and RMSProp. It is the largest eigenvalue of the edge operator "
    "A = P^(−½) H P^(−½), with the Hessian H; SAM on top puts H(I + ρH/‖g‖) in the place of H. "
    "Its edge is called **threshold**.\n\n"
    f"**Sharpness / edge**, **edge value / threshold**: the mean over the last {AVERAGED} "
    "measured steps; 1 is the edge of stability.\n\n"
    "**Hop**: a step that crosses the valley along v₁; the share is of the newest measured "
    "steps.\n\n"
    "**Alignment** (the last chart): |cos| of the angle between a gradient and v₁. At 1 the "
    "gradient points straight across the valley. Where there is an edge operator, it is that of "
    "P^(−½) g to its v₁.\n\n"
    "**Residual**: how far the estimate may be off; an eigenvalue lies within ± that distance."
)
_PRODUCT = (
    "**Hessian-vector product (HVP)**: how the gradient changes along one direction; a measurement "
    "of the sharpness takes some of them."
)
_EXPECTED = (StopReason.STEP_CAP, StopReason.STOPPED, StopReason.CONVERGED)


def show(views: Sequence[RunView], called: Sequence[str]) -> None:
    """Draw the line of each run, what it has shown, and why it waits or has stopped; `called` says
    which run it is, among several. Where all have stopped alike, that is said once."""
    said = {view.stop.message if view.stop else "" for view in views}
    alike = len(views) > 1 and len(said) == 1
    for view, name in zip(views, called, strict=True):
        with part(f"The status of {name or 'this run'}"):
            _show(view, name)
            if view.stop and not alike:
                _stopped(view.stop, f"**{name}** " if name else "")
    if alike and views[0].stop:
        _stopped(views[0].stop, "**Each run:** ")


def _stopped(stop: Stop, name: str) -> None:
    colour = "gray" if stop.reason in _EXPECTED else "red"
    st.markdown(f":{colour}[{name}{plain(stop.message)}]")


def _show(view: RunView, called: str) -> None:
    colour, icon, word = _PAUSING if view.pausing else _LOOK[view.phase]
    name = f"**{called}** " if called else ""
    seen, history = _observed(view)
    parts = [f":{colour}[:material/{icon}: **{word}**]", *_figures(view, seen)]
    line = name + " · ".join(parts)
    if shown := observed.in_words(seen, history):
        line += f"  \n:material/visibility: {shown}"
    st.markdown(line, help=MEANING if view.latest else None)
    if view.phase is Phase.WAITING:
        ahead = f"{view.ahead} ahead of you"
        st.markdown(f":orange[Waiting for a free worker, {ahead}. The run starts by itself.]")
    if view.unrecorded or view.diagnoses:
        st.markdown(":orange[:material/warning: See the note under the charts.]")


def faults(views: Sequence[RunView], called: Sequence[str]) -> None:
    """A box for each fault of a run."""
    for view, name in zip(views, called, strict=True):
        whose = f"**{name}** " if name else ""
        if view.unrecorded:
            st.warning(f"{whose}This run is not being saved: {plain(view.unrecorded)}.")
        for diagnosis in view.diagnoses:
            st.warning(whose + diagnosis)


_SEEN: WeakKeyDictionary[History, Observed] = WeakKeyDictionary()  # of all viewers of a run


def _observed(view: RunView) -> tuple[Observed, History]:
    """What the run has shown, and its record: only rows that are new since the last tick cost."""
    history = server.registry().history(view.id)
    _SEEN[history] = observed.observe(history, _SEEN.get(history))
    return _SEEN[history], history


def _figures(view: RunView, seen: Observed) -> list[str]:
    """The numbers of the line, those that there are."""
    parts = [f"step {max(0, view.last_step + 1):,} of {view.config.steps:,}"]
    status, row = view.status, view.latest
    if status and view.phase is Phase.RUNNING and status.steps_per_second:
        parts.append(f"{status.steps_per_second:.3g} steps/s")
    if row:
        if seen.recent:
            # a mean of what explodes is nothing
            diverged = view.stop and view.stop.reason is StopReason.DIVERGED
            ratio = seen.recent[-1] if diverged else seen.ratio
            shown = f"{ratio:.3f}" if ratio < IN_FULL else f"{ratio:.3g}"
            parts.append(f"{RULES[row['rule']].ratio} **{shown}**")
        if not math.isnan(row["hopping"]):
            parts.append(f"{100 * row['hopping']:.0f} % of steps hop")
        if not row["converged"]:
            parts.append(":orange[estimate not converged]")
        if not math.isnan(row["accuracy"]):
            parts.append(f"accuracy {row['accuracy']:.3f}")
        if not math.isnan(row["held_out_loss"]):
            parts.append(_held_out(row))
    return [*parts, *filter(None, [view.arithmetic])]


def costs(views: Sequence[RunView], called: Sequence[str]) -> None:
    """What measuring the curvature costs in each run."""
    for view, name in zip(views, called, strict=True):
        cost = view.status and view.status.cost
        if cost and not math.isnan(cost.hvps):
            products = f"{cost.hvps:.1f} Hessian-vector products (HVPs)"
            parts = [f"{products}, {duration(cost.seconds)} a measurement", cost.words]
            if not math.isnan(cost.batches):
                parts.append(f"a batch sharpness takes {duration(cost.batches)}, apart from that")
            whose = f"**{name}** " if name else ""
            st.caption(whose + " · ".join(filter(None, parts)), help=_PRODUCT)


def _held_out(row: Mapping[str, Any]) -> str:
    loss, accuracy = row["held_out_loss"], row["held_out_accuracy"]
    text = f"held out: loss {loss:.3g}"
    return text if math.isnan(accuracy) else f"{text}, accuracy {accuracy:.3f}"


def duration(seconds: float) -> str:
    """With three significant digits, in milliseconds below a second."""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
