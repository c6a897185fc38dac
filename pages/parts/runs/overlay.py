"""The selected runs in the same charts."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import streamlit as st

from pages.parts.components.figures import Figure, Trace, figures
from pages.parts.components.live import BANDS
from pages.parts.markdown import plain
from pages.parts.runs import grouping, records
from pages.parts.runs.grouping import Group
from pages.parts.runs.records import Compared
from pages.parts.views.drawing import axis, envelope, level, line
from samedge_core.analysis.compare import AXES, QUANTITIES, Axis, Line
from samedge_core.sharing.files import SavedError
from samedge_core.theory.rules import RULES, Rule

KEY = "runs:charts"
RATIO, SHARPNESS, GRADIENT, LOSS = "Sharpness / edge", "Sharpness", "Gradient norm", "Loss"
EDGE_VALUE = "Edge value"
EDGES = {"sharpness": "edge", "edge_value": "threshold"}  # what each is drawn with
# cycled together they make twelve lines, each unlike its neighbours in colour and in dash
COLOURS = ("sharpness", "sam", "polyak", "usam", "nesterov", "grad")
DASHES = ("solid", "10px,4px", "3px,3px", "10px,3px,2px,3px")
EDGE_DASH = "2px,2px"

FAR = 50  # times the usual largest value: a line that goes beyond is cut off

Drawn = tuple[Group, Mapping[str, Line]]
_OF_OPERATOR = ("edge_value", "threshold")


def draw(runs: Sequence[Compared], selected: int) -> None:
    """The choices, and the charts of `runs`, out of `selected` ones."""
    by, over, log_y, edges = _choices(runs)
    with st.container():  # messages come and go in here, so that the charts keep their place
        if selected > len(runs):
            st.info(_left_out(runs, selected))
        drawn = _read(grouping.groups(runs, by), over)
        if any(len(group.runs) > 1 for group, _ in drawn):
            st.caption(_means(over))
        if any(len(group.runs) == 1 and _banded(lines) for group, lines in drawn):
            st.caption(BANDS)
        if not log_y and any(_ceiling(drawn, name) for name in QUANTITIES):
            st.caption("A line leaves its chart: on the log scale all of it is seen.")
        if log_y and any(_not_positive(one) for _, lines in drawn for one in lines.values()):
            st.caption("The log scale has no place for values of 0 and below: they are left out.")
    shown = _figures(drawn, over, log_y=log_y, edges=edges)
    figures(shown, scene=over, key=KEY, on_click=lambda: None)


def _choices(runs: Sequence[Compared]) -> tuple[str, Axis, bool, bool]:
    """How to group, the horizontal axis, and whether with logarithms and with edges."""
    ways = grouping.choices(runs)
    if st.session_state.get("runs:group") not in ways:
        st.session_state["runs:group"] = grouping.EACH
    with st.container(horizontal=True, vertical_alignment="bottom"):
        by = st.selectbox(
            "Lines",
            list(ways),
            format_func=ways.__getitem__,
            key="runs:group",
            width=300,
            persist_state="session",
            help="Each run, or the mean and the range of all those that differ in the seed alone, "
            "or of all those with the same value of a setting. Those that differ come first.",
        )
        title = st.segmented_control(
            "Horizontal axis",
            list(AXES),
            default="Step",
            required=True,
            key="runs:axis",
            persist_state="session",
            help="Effective time is the sum of η over the steps. Gradient evaluations count two a "
            "step for SAM, one for GD.",
        )
        with st.container(width="content", gap=None):
            log_y = st.toggle(
                "Log scale",
                key="runs:log",
                persist_state="session",
                help="Logarithmic vertical axes.",
            )
            edges = st.toggle(
                "Edges",
                True,
                key="runs:edges",
                persist_state="session",
                help="Each run's own edge, dotted, with its sharpness; of Adam and RMSProp, the "
                "threshold with the edge value.",
            )
    return by, AXES[title or "Step"], log_y, edges


def _left_out(runs: Sequence[Compared], selected: int) -> str:
    if len(runs) == records.MOST:
        return (
            f"The charts show the first {records.MOST} of the {selected} selected runs: more lines "
            "can't be told apart. Buttons act on all of them."
        )
    left = selected - len(runs)
    return (
        f"{left} of the selected runs {'is' if left == 1 else 'are'} not drawn: the rows were "
        "removed by the quota, or a newer version of SAMEdge recorded them."
    )


def _means(over: Axis) -> str:
    if over == "step":
        return "Means are taken at the steps that all runs of a group have measured."
    return (
        "Means are taken where all runs of a group have values; between their measured points, "
        "runs are interpolated linearly."
    )


def _read(groups: Sequence[Group], over: Axis) -> list[Drawn]:
    """The lines of the groups, those of an edge operator where a rule is held against one; and a
    message for each that can't be read."""
    found = []
    for group in groups:
        try:
            lines = records.lines(group.runs, over)
            operator = any(rule.preconditioned for rule in _rules(group))
            own = {n: one for n, one in lines.items() if operator or n not in _OF_OPERATOR}
            found.append((group, own))
        except SavedError as error:
            st.error(f"{plain(group.name)} can't be drawn: {plain(str(error))}")
    return found


def _rules(group: Group) -> list[Rule]:
    return [RULES[rule] for run in group.runs for rule in run.course("rule")]


def _figures(drawn: Sequence[Drawn], over: Axis, *, log_y: bool, edges: bool) -> list[Figure]:
    """Sharpness / edge large and with the legend, the rest small."""
    title = next(name for name, value in AXES.items() if value == over).lower()

    def figure(name: str, quantity: str, label: str, **rest: Any) -> Figure:
        own = [(i, one) for i, one in enumerate(drawn) if quantity in one[1]]
        traces = [t for i, one in own for t in _traces(i, one, quantity, log_y)]
        if quantity in EDGES and edges:
            traces += [t for i, one in own for t in _edge(i, one, EDGES[quantity], log_y)]
        layout = _layout(title, label, log_y=log_y, legend=quantity == "ratio")
        if not log_y and (top := _ceiling(drawn, quantity)):
            layout["yaxis"]["range"] = [0, top]
        return Figure(name, traces, layout, **rest)

    ratios = dict.fromkeys(rule.ratio for group, _ in drawn for rule in _rules(group))
    ratio = "<br>".join(ratios) or "sharpness / edge"
    operator = any("edge_value" in lines for _, lines in drawn)
    small = {"columns": 3 if operator else 2, "height": 270}
    return [
        figure(RATIO, "ratio", ratio, columns=6, height=340 + 10 * len(drawn)),
        *([figure(EDGE_VALUE, "edge_value", "edge value", **small)] if operator else []),
        figure(SHARPNESS, "sharpness", "sharpness", **small),
        figure(GRADIENT, "grad_norm", "‖g‖", **small),
        figure(LOSS, "loss", "loss", **small),
    ]


def _ceiling(drawn: Sequence[Drawn], quantity: str) -> float | None:
    """Where to cut a linear axis so that a line that diverges does not flatten all others."""
    found = [lines[quantity] for _, lines in drawn if quantity in lines and len(lines[quantity].y)]
    tops = sorted(float((one.y if one.high is None else one.high).max()) for one in found)
    if len(tops) < 2:
        return None
    edge = 1.0 if quantity == "ratio" else 0.0  # the line at 1 is always seen
    far = FAR * max(tops[(len(tops) - 1) // 2], 0.2 * edge)
    near = [top for top in tops if top <= far]
    return 1.05 * max(*near, edge) if len(near) < len(tops) else None


def _layout(title: str, label: str, *, log_y: bool, legend: bool) -> dict[str, Any]:
    # small charts have no room for the digits between the powers of ten
    kind = {"type": "log", "minorloglabels": "small digits" if legend else "none"} if log_y else {}
    layout: dict[str, Any] = {
        "xaxis": axis(title),
        "yaxis": axis(f"{label} (log scale)" if log_y else label, automargin=True, **kind),
        "showlegend": legend,
        "hovermode": "x" if legend else "closest",
    }
    if legend:  # the edge of every run
        layout["shapes"] = [level("y", 1, width=1.2)]
    return layout


def _traces(index: int, drawn: Drawn, quantity: str, log_y: bool) -> list[Trace]:
    """A line, and its band under it."""
    group, lines = drawn
    found, colour = lines[quantity], COLOURS[index % len(COLOURS)]
    name = html.escape(group.name, quote=False)
    main = line(
        name,
        found.x,
        _drawable(found.y, log_y),
        colour,
        DASHES[index % len(DASHES)],
        width=1.8,
        mode="lines" if len(found.x) > 1 else "markers",
        legendgroup=name,
        marker={"color": f"@{colour}"},
        hovertemplate="%{y:.4~g}" if found.at is None else "mean %{y:.4~g}",
    )
    return [*_band(found, name, colour, log_y), main]


def _band(found: Line, name: str, colour: str, log_y: bool) -> list[Trace]:
    if found.at is None or found.low is None or found.high is None:
        return []
    at, low, high = found.at, found.low, found.high
    if log_y:
        shown = high > 0
        at, high = at[shown], high[shown]
        # down to the bottom, where something lies at 0 or below
        low = low[shown]
        low = np.where(low > 0, low, np.concatenate([low[low > 0], high]).min(initial=np.inf))
    return envelope(name, at, low, high, colour, legendgroup=name)


def _edge(index: int, drawn: Drawn, quantity: str, log_y: bool) -> list[Trace]:
    group, lines = drawn
    name = f"{html.escape(group.name, quote=False)}, {quantity}"
    colour, found = COLOURS[index % len(COLOURS)], lines[quantity]
    look = {"width": 1.3, "showlegend": False, "hovertemplate": f"{quantity} %{{y:.4~g}}"}
    main = line(name, found.x, _drawable(found.y, log_y), f"{colour}/0.75", EDGE_DASH, **look)
    return [*_band(found, name, colour, log_y), main]


def _banded(lines: Mapping[str, Line]) -> bool:
    return any(one.at is not None for one in lines.values())


def _not_positive(line: Line) -> bool:
    low = line.y if line.low is None else line.low
    return bool((low <= 0).any())


def _drawable(values: np.ndarray, log_y: bool) -> np.ndarray:
    """A logarithmic axis has no place for 0."""
    return np.where(values > 0, values, np.nan) if log_y else values
