"""The chosen cell of a diagram, its run and the lines through it; and the marked part."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from pages.parts.components.figures import Figure, Trace, figures
from pages.parts.frame import navigation
from pages.parts.lab import session
from pages.parts.markdown import plain
from pages.parts.sweeps import form, picture, predicted
from pages.parts.sweeps.board import EMPTY, RATIO, Board
from pages.parts.views.drawing import axis, envelope, level, line, log_ticks, markers
from samedge_core.sharing import links
from samedge_core.sweeps.rows import FATES, QUANTITIES
from samedge_core.sweeps.sweep import Axis, Sweep
from samedge_core.training.config import RunConfig

OPEN = "sweeps:open"  # in the session: the configuration to leave for the live lab with


def leave() -> None:
    """Leave for the live lab, where a click has asked for that."""
    if config := st.session_state.pop(OPEN, None):
        session.begin_anew()
        st.switch_page("app.py", query_params=links.to_query(config))


def draw(board: Board, quantity: str) -> None:
    """What is known of the chosen cell, or of the marked part, and what can be done with it."""
    recorded = board.recorded
    part = st.session_state.get(picture.MARKED, {}).get(recorded.id)
    at = picture.chosen(recorded)
    if part and not navigation.embedded():
        _part(recorded.sweep, *part)
    if at is None and recorded.sweep.shape[1] > 1:
        st.markdown(
            ":gray[Choose a cell, by a click or with the arrow keys and Enter, to open its run and "
            "to see its row and column as lines; drag over a part of the picture to compute it "
            "finer.]"
        )
        return
    if at is not None:
        _cell(board, at)
    slices(board, quantity, at or (0, 0))


def _part(sweep: Sweep, columns: Sequence[int], rows: Sequence[int]) -> None:
    spans = zip(sweep.axes, (columns, rows), strict=False)
    words = [
        f"{sweep.field(one).label} {one.values[int(a)]:.4g} to {one.values[int(b)]:.4g}"
        for one, (a, b) in spans
    ]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**Marked:** {plain(', '.join(words))}", width="content")
        _finer("Compute this part finer", sweep, columns, rows)


def _finer(label: str, sweep: Sweep, columns: Sequence[int], rows: Sequence[int]) -> None:
    st.button(
        label,
        icon=":material/zoom_in:",
        key=f"sweeps:finer:{label}",
        on_click=form.refine,
        args=(sweep, [int(i) for i in columns], [int(i) for i in rows]),
        help="Fills in a new sweep of these ranges; it starts when you press Start.",
    )


def _cell(board: Board, at: tuple[int, int]) -> None:
    sweep = board.recorded.sweep
    place = at[1] * sweep.shape[0] + at[0]
    fate = board.commonest()[place]
    # a run that ends as the cell is marked, of all its seeds
    seed = int(np.argmax(board.fates[place] == fate))
    cell = sweep.cells[place * board.seeds + seed]
    where = ", ".join(_where(sweep, one, i) for one, i in zip(sweep.axes, at, strict=False))
    said = "not computed yet" if fate == EMPTY else FATES[fate]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{plain(where)}:** {said}{_predicted(board, place)}", width="content")
        _run_button(cell.config, board.seeds)
        if not navigation.embedded():
            around = [
                (max(i - 1, 0), min(i + 1, n - 1)) for i, n in zip(at, sweep.shape, strict=True)
            ]
            _finer("Compute around it finer", sweep, *around)


def _predicted(board: Board, place: int) -> str:
    """What a flow says of a cell, and which of its assumptions failed there."""
    said = board.predicted[place]
    if not predicted.on(board.recorded.sweep) or (said == EMPTY).all():
        return ""
    fate = FATES[board.commonest(said[None])[0]]
    right = int((said == board.fates[place]).sum())
    seeds = f" ({right} of {board.seeds} seeds end as predicted)" if board.seeds > 1 else ""
    named = QUANTITIES[picture.FIRST].label_under(board.recorded.sweep.base.rule)
    own, ratio = board.over_seeds(picture.FIRST)[0][place], board.over_seeds(RATIO)[0][place]
    ratios = f"{named}: {own:.4g}, predicted: {ratio:.4g}." if np.isfinite(own + ratio) else ""
    cells = range(place * board.seeds, (place + 1) * board.seeds)
    first = next((board.doubts[i] for i in cells if i in board.doubts), "")
    of = " for the first such seed" if board.seeds > 1 else ""
    doubt = f" Of the flow{of}: {first}." if first else ""
    return plain(f", predicted: {fate}{seeds}. {ratios}{doubt}")


def _run_button(config: RunConfig, seeds: int) -> None:
    many = seeds > 1
    st.button(
        f"Open as a run (seed {config.seed})" if many else "Open as a run",
        icon=":material/monitoring:",
        key="sweeps:run",
        on_click=lambda: st.session_state.update({OPEN: config}),
        help="The live lab with the settings of this cell: press Start there to watch each step."
        + (f" Of the {seeds} seeds it is the first that ends as is said here." if many else ""),
    )


def _where(sweep: Sweep, one: Axis, i: int) -> str:
    return f"{sweep.field(one).label} {one.values[i]:.4g}"


def slices(board: Board, quantity: str, at: tuple[int, int]) -> None:
    """The quantity along the row and the column of a cell; the spread over the seeds as a band."""
    sweep = board.recorded.sweep
    nx, ny = sweep.shape
    unknown = np.isin(board.commonest(), picture.BLANK)
    spread = board.over_seeds(quantity)
    grids = [np.where(unknown, np.nan, one).reshape(ny, nx) for one in spread]
    along = [(sweep.axes[0], [grid[at[1]] for grid in grids], at[0])]
    if ny > 1:
        along.append((sweep.axes[1], [grid[:, at[0]] for grid in grids], at[1]))
    shown = []
    for k, (one, values, i) in enumerate(along):
        others = [_where(sweep, o, at[1 - k]) for o in sweep.axes if o is not one]
        name = f"Along {sweep.field(one).label}" + (f" at {others[0]}" if others else "")
        shown.append(_slice(sweep, one, quantity, name, values, i, len(along)))
    figures(shown, scene=board.id, key="sweeps-slices", on_click=lambda: None)


def _slice(
    sweep: Sweep, one: Axis, quantity: str, name: str, values: Any, i: int, of: int
) -> Figure:
    x, (middle, low, high) = np.array(one.values, dtype=float), values
    about = QUANTITIES[quantity]
    traces: list[Trace] = []
    if len(sweep.seeds) > 1:
        traces += envelope("seeds", x, low, high, "sharpness")
    named = about.label_under(sweep.base.rule)
    label = f"median of {len(sweep.seeds)} seeds" if len(sweep.seeds) > 1 else named
    traces.append(line(label, x, middle, "sharpness") | {"mode": "lines+markers"})
    traces.append(markers("the chosen cell", [x[i]], [middle[i]], "sam", "diamond", 12))
    log = about.log and np.nanmin(middle, initial=np.inf) > 0
    scale = {"type": "log", **log_ticks(x[0], x[-1])} if one.log else {"type": "linear"}
    layout = {
        "xaxis": axis(picture.axis_of(sweep, one).label, **scale),
        "yaxis": axis(named, type="log" if log else "linear"),
        "hovermode": "closest",
        "title": {"text": name, "font": {"size": 14}, "x": 0.01, "y": 0.98},
        "showlegend": False,
        "shapes": [level("y", 1.0)] if quantity == "ratio" else [],
    }
    return Figure(name, traces, layout, columns=6 // of, height=320)
