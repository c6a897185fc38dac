"""The phase diagram of a sweep: which quantity colours it, and what theory says beforehand."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from pages.parts.components.diagram import DiagramAxis, Line, Shown, diagram
from pages.parts.sweeps import predicted
from pages.parts.sweeps.board import RATIO, Board
from samedge_core.sweeps.rows import FATES, QUANTITIES
from samedge_core.sweeps.store import RecordedSweep
from samedge_core.sweeps.sweep import Axis, Sweep
from samedge_core.theory.rules import RULES
from samedge_core.theory.stability import edge_in

FIRST = "ratio"  # of the quantities
BLANK = [FATES.index("diverged"), FATES.index("failed")]  # what they end with means nothing
CHOSEN, MARKED = "sweeps:chosen", "sweeps:marked"  # in the session, by the id of a sweep
POINTS = 200  # of a line


def draw(board: Board, quantity: str, *, key: str, name: str) -> None:
    """Draw the diagram of `quantity`, with the cells at work and the chosen one."""
    recorded, sweep = board.recorded, board.recorded.sweep
    places = {cell // board.seeds for cell in recorded.running()}
    shown = shown_as(
        quantity, lines(sweep, *board.start()), sweep.base.rule, predicted=predicted.on(sweep)
    )

    def heard() -> None:
        event = st.session_state[key]
        if "resync" in event and event["resync"] is not None:
            board.forget_sent(key)
        if at := event.get("chosen"):
            st.session_state[CHOSEN] = {recorded.id: (int(at["x"]), int(at["y"]))}
            st.session_state.pop(MARKED, None)
        if part := event.get("marked"):
            st.session_state[MARKED] = {recorded.id: (part["x"], part["y"])}

    diagram(
        name,
        [axis_of(sweep, axis) for axis in sweep.axes],
        board.news(key),
        shown,
        key=key,
        total=sweep.shape[0] * sweep.shape[1],
        running=list(places),
        chosen=chosen(recorded),
        on_event=heard,
    )


def shown_as(quantity: str, lines: Sequence[Line], rule: str, *, predicted: bool = False) -> Shown:
    """How the cells of any sweep of `rule` are drawn when `quantity` colours them, with what is
    predicted of them where that is wanted."""
    labels = {FIRST: label_of(FIRST, rule)}
    if predicted:
        labels[RATIO] = "The same, predicted"
    return Shown(
        quantity,
        labels | {name: label_of(name, rule) for name in QUANTITIES},
        "edge" if quantity == "ratio" else "sequence",
        QUANTITIES[quantity].range,
        QUANTITIES[quantity].log,
        FATES,
        BLANK,
        lines,
        predicted,
    )


def label_of(quantity: str, rule: str) -> str:
    """What a quantity is called under a rule, with its unit where the name does not say it."""
    label, unit = QUANTITIES[quantity].label_under(rule), QUANTITIES[quantity].unit
    return f"{label} ({unit})" if unit and unit not in label.lower() else label


def chosen(recorded: RecordedSweep) -> tuple[int, int] | None:
    """The column and row of the chosen cell of a sweep, as far as it has such a one."""
    at = st.session_state.get(CHOSEN, {}).get(recorded.id)
    # a click may come late, when another sweep is shown
    inside = at and all(0 <= i < n for i, n in zip(at, recorded.sweep.shape, strict=True))
    return at if inside else None


def axis_of(sweep: Sweep, axis: Axis) -> DiagramAxis:
    """An axis as it is drawn."""
    field = sweep.field(axis)
    label = f"{field.label} ({field.unit})" if field.unit else field.label
    return DiagramAxis(label, axis.values, axis.log)


def lines(sweep: Sweep, curvature: float, norm: float) -> Sequence[Line]:
    """Where theory expects the edge before any step: the start's sharpness on GD's edge, and on the
    rule's own. Only those that cross the cells; none where the start differs from cell to
    cell, or is NaN: no row tells it yet."""
    names = [axis.name for axis in sweep.axes]
    if len(names) < 2 or "eta" not in names or not {*names} <= {"eta", "rho", "beta"}:
        return []
    rule = RULES[sweep.base.rule]
    if not np.isfinite(curvature) or rule.reach is None:
        return []
    x, y = sweep.axes
    if 1 in sweep.shape:  # one value has no scale on which a line could lie
        return []
    other, eta_upward = (x, True) if y.name == "eta" else (y, False)
    spaced = np.geomspace if other.log else np.linspace
    along = spaced(other.values[0] / 4, other.values[-1] * 4, POINTS)
    fixed = {"rho": sweep.base.rho, other.name: along, "curvature": curvature, "grad_norm": norm}
    fixed.pop("beta", None)
    flat = edge_in("eta", "gd", curvature=curvature) * np.ones(POINTS)
    found = [("η λ₀ = 2 at the start", flat, (2, 3))]
    if other.name == "rho":
        own = edge_in("eta", sweep.base.rule, **fixed)
        found.append((f"λ₀ = {rule.edge_name} at the start", own, (8, 4)))
    drawn = [
        Line(name, *((along, eta) if eta_upward else (eta, along)), dash)
        for name, eta, dash in found
    ]
    return [line for line in drawn if (_within(line.x, x) & _within(line.y, y)).any()]


def _within(values: np.ndarray, axis: Axis) -> np.ndarray:
    """Which values lie beside cells of an axis."""
    (low, second), (last, high) = axis.values[:2], axis.values[-2:]
    return (values > low - (second - low) / 2) & (values < high + (high - last) / 2)
