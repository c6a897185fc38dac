"""The family of a run: where forks and rewinds left it, as a tree over steps."""

import html
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import streamlit as st

from pages.parts.components.figures import Figure, Trace, figures
from pages.parts.runs import records, source
from pages.parts.views.drawing import axis, line, markers
from samedge_core.analysis import compare
from samedge_core.store import Entry, Query

KEY = "runs:family"
NAME = "Family tree"
LANE = 34  # pixels
POINTS = 40  # of a line, for the mouse to find


def relatives(entry: Entry) -> Sequence[Entry]:
    """The whole family, the run itself among it."""
    query = Query(root=entry.root, removed=True, sort="created", descending=False, limit=200)
    return source.opened().find(query).entries


def draw(selected: Collection[str], family: Sequence[Entry]) -> None:
    """The tree, the selected runs marked."""
    st.caption(
        "Each line is a run, from the step at which it left its parent; what was abandoned by "
        "rewinding is grey. Selected ones are orange."
    )
    figures([figure(selected, family)], scene=family[0].root, key=KEY, on_click=lambda: None)


def lanes(family: Sequence[Entry]) -> dict[str, int]:
    """A lane for each run, from the top: children below their parents, late branches first.

    Then no vertical connection crosses a line that belongs to another branch of the same parent.
    """
    ids = {entry.id for entry in family}
    children: dict[str | None, list[Entry]] = {}
    for entry in family:
        children.setdefault(entry.parent if entry.parent in ids else None, []).append(entry)
    for siblings in children.values():
        siblings.sort(key=lambda entry: -(entry.parent_step or 0))
    found: dict[str, int] = {}
    # all of them at the end: a ring of parents, which may come from elsewhere, has no first
    waiting = [*family[::-1], *children.get(None, [])[::-1]]
    while waiting:
        entry = waiting.pop()
        if entry.id not in found:
            found[entry.id] = len(found)
            waiting += children.get(entry.id, [])[::-1]
    return found


def abandoned_from(family: Sequence[Entry]) -> dict[str, int]:
    """By run, the step from which on it was abandoned by rewinding."""
    found: dict[str, int] = {}
    for entry in family:
        if entry.branch == "rewind" and entry.parent and entry.parent_step is not None:
            found[entry.parent] = min(entry.parent_step, found.get(entry.parent, entry.parent_step))
    return found


def figure(selected: Collection[str], family: Sequence[Entry]) -> Figure:
    """The tree as a figure."""
    place, left = lanes(family), abandoned_from(family)
    by_id = {entry.id: entry for entry in family}
    traces: list[Trace] = []
    for entry in family:
        if entry.parent in by_id:
            traces.append(_connection(entry, place))
        traces += _run(entry, place[entry.id], left.get(entry.id), chosen=entry.id in selected)
    labels = {
        "tickmode": "array",
        "tickvals": list(place.values()),
        "ticktext": [_label(by_id[run], run in selected) for run in place],
        "range": [len(place) - 0.5, -0.5],
        "showgrid": False,
        "automargin": True,
    }
    layout = {
        "xaxis": axis("step", rangemode="tozero"),
        "yaxis": labels,
        "showlegend": False,
        "hovermode": "closest",
    }
    return Figure(NAME, traces, layout, columns=6, height=90 + LANE * max(2, len(place)))


def _label(entry: Entry, chosen: bool) -> str:
    changes = compare.interventions_in_words(records.made(entry))
    # relatives start alike: what tells one from the others is how it left them
    name = entry.title or changes or (records.came(entry) if entry.parent else records.what(entry))
    short = html.escape(name if len(name) <= 28 else f"{name[:27]}…", quote=False)
    return f"<b>{short}</b>" if chosen else short


def _connection(entry: Entry, place: Mapping[str, int]) -> Trace:
    steps, lane = [entry.parent_step or 0] * 2, [place[entry.parent or ""], place[entry.id]]
    return line(entry.id, steps, lane, "mark", "3px,3px", width=1.5, hoverinfo="skip")


def _run(entry: Entry, lane: int, left: int | None, *, chosen: bool) -> list[Trace]:
    """A run's line, grey from where it was abandoned, and a mark at its end."""
    start = entry.parent_step or 0
    end = max(entry.last_step, start)
    turn = end if left is None else min(max(left, start), end)
    colour = "sam" if chosen else "sharpness"
    lines = [_stretch(entry, lane, (start, turn, colour), chosen)]
    if turn < end:
        lines.append(_stretch(entry, lane, (turn, end, "ghost"), chosen))
    colour = colour if turn == end else "ghost"
    symbol = "x" if entry.stop_reason == "diverged" else "circle"
    size = 11 if chosen else 8
    return [*lines, markers(entry.id, [end], [lane], colour, symbol, size, **_tip(entry))]


def _stretch(entry: Entry, lane: int, part: tuple[int, int, str], chosen: bool) -> Trace:
    first, last, colour = part
    x, y = np.linspace(first, last, POINTS), np.full(POINTS, lane)
    return line(entry.id, x, y, colour, width=5 if chosen else 3, **_tip(entry))


def _tip(entry: Entry) -> Trace:
    # not in the template itself: a title may hold what a template would fill in
    return {"meta": [_hover(entry)], "hovertemplate": "%{meta[0]}<extra></extra>"}


def _hover(entry: Entry) -> str:
    lines = [records.what(entry), *([records.came(entry)] if entry.parent else [])]
    lines.append(f"to step {entry.last_step:,}: {entry.stop_reason or entry.status}")
    title = [f"<b>{html.escape(entry.title, quote=False)}</b>"] if entry.title else []
    return "<br>".join([*title, *(html.escape(line, quote=False) for line in lines)])
