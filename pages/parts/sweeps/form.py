"""A new sweep: what is varied, over which ranges, from which settings, and for how long."""

import math
from collections.abc import Sequence
from typing import Any

import streamlit as st

from pages.parts.frame.parts import action
from pages.parts.lab import controls
from pages.parts.markdown import plain
from pages.parts.sweeps import source
from samedge_core.experiments.presets import PRESETS
from samedge_core.fields import ConfigError, Field
from samedge_core.prediction.prediction import check
from samedge_core.sharing.files import SavedError
from samedge_core.sweeps import launching
from samedge_core.sweeps.store import PREDICTED, ROWS, SweepError
from samedge_core.sweeps.sweep import DIGITS, MOST_CELLS, SAMPLES, Axis, Sweep, axis_fields
from samedge_core.training.config import FIELDS, RunConfig

OPEN = "sweeps:new"  # in the session: the form is asked for beside a sweep
LAB, SAME, NONE = "lab", "same", ""
FIRST = "sam-chebyshev"  # small: its cells advance together
COUNT = 16  # of cells along an axis, to begin with
SPAN = {"eta": 4, "rho": 10}  # around the settings' own value
_PREDICT = (
    "Computes also what a flow says of each run, from the same initial weights and without a look "
    "at it. It takes about as long as the runs one by one: ten times as long as small ones, which "
    "advance together. Of a finished sweep it can be added."
)
_FROM = "sweeps:from"  # in the session: settings of the sweep that is computed finer


def draw() -> None:
    """All entries, each with its message where it can't be used, and the button that starts it."""
    base, wrong = _base()
    if base is None:
        st.error(plain(wrong))
        return
    fields = axis_fields(base)
    axes = [_axis(k, base, fields) for k in (0, 1)]
    left, middle, right, last = st.columns(4, vertical_alignment="bottom")
    steps = FIELDS["steps"]
    steps = _number(left, "Steps of each run", 100, f"{steps.help} {_allowed(steps)}", "steps")
    about = "Runs of each cell, from different initial weights: 1 or more. It shows their medians."
    seeds = _number(middle, "Seeds", 1, about, "seeds")
    samples = _number(right, "Samples", 10, f"{SAMPLES.help} {_allowed(SAMPLES)}", "samples")
    if None in axes[:1] or (axes[1] is None and st.session_state[_key(1, "name")] != NONE):
        sweep = None  # the message stands beside its axis
    else:
        sweep = _checked(base, [one for one in axes if one], steps, seeds, samples)
    _start(sweep, _predict(last, base))


def _predict(place: Any, base: RunConfig) -> bool:
    """Whether each run is predicted, too."""
    why = refusal(base)
    about = f"Not here: {plain(why)}" if why else _PREDICT
    wanted = place.toggle(
        "Predicted fate",
        key=_key("predict"),
        persist_state="session",
        disabled=bool(why),
        help=about,
    )
    return wanted and not why


def refusal(base: RunConfig) -> str:
    """Why no flow predicts runs of these settings; empty where one does."""
    try:
        check(base.hyperparameters)
    except ConfigError as error:
        return str(error)
    return ""


def _number(place: Any, label: str, step: int, about: str, *of: Any) -> int:
    """The entry of a whole number. Without bounds of its own: beyond them the browser would keep
    the number before, and say nothing."""
    return place.number_input(label, step=step, key=_key(*of), persist_state="session", help=about)


def _allowed(field: Field) -> str:
    return f"Allowed: {field.allowed()}."


def _key(*of: Any) -> str:
    return ":".join(("sweeps:form", *map(str, of)))


def _base() -> tuple[RunConfig | None, str]:
    """The settings that all cells share, and why there are none."""
    options = [*PRESETS, LAB]
    if _FROM in st.session_state:
        options.append(SAME)
    names = {LAB: "The live lab's present settings", SAME: "The settings of the sweep before"}
    st.session_state.setdefault(_key("base"), FIRST)
    chosen = st.selectbox(
        "Settings of all cells",
        options,
        format_func=lambda name: names.get(name) or PRESETS[name].title,
        key=_key("base"),
        on_change=lambda: st.session_state.pop(_key("entered"), None),
        persist_state="session",
        help="What the cells have in common: all but what is varied below.",
    )
    try:
        base = _settings(chosen)
    except ConfigError as error:
        return None, f"The live lab's settings can't be used: {error}"
    if st.session_state.get(_key("entered")) != (chosen, base):
        _enter(base)
        st.session_state[_key("entered")] = (chosen, base)
    return base, ""


def _settings(name: str) -> RunConfig:
    if name == LAB:
        return controls.current()
    return st.session_state[_FROM].base if name == SAME else PRESETS[name].config


def _enter(base: RunConfig) -> None:
    """Put a first sweep of these settings into the entries."""
    fields = axis_fields(base)
    names = [name for name in ("eta", "rho", "beta") if name in fields]
    for k in (0, 1):
        _enter_axis(k, base, names[k] if k < len(names) else NONE)
    st.session_state.update({_key("steps"): base.steps, _key("seeds"): 1})
    st.session_state[_key("samples")] = SAMPLES.default


def _enter_axis(k: int, base: RunConfig, name: str) -> None:
    """Put a setting and a range around its own value into the entries of an axis."""
    st.session_state[_key(k, "name")] = name
    if name == NONE:
        return
    field = axis_fields(base)[name]
    low, high = _around(field, base)
    texts = {"low": field.text(low), "high": field.text(high)}
    fits = field.kind == "float" or high - low >= COUNT - 1
    log = field.log or (field.kind == "int" and low > 0 and high / low > 20)
    entries = {**texts, "count": COUNT if fits else int(high - low) + 1, "log": log}
    st.session_state.update({_key(k, entry): value for entry, value in entries.items()})


def _around(field: Field, base: RunConfig) -> tuple[float, float]:
    """A range that holds the setting's own value."""
    value = getattr(base, field.name) if field.name in FIELDS else base.options[field.name]
    if not value:
        return field.suggested or (field.low or 0, min(field.high or 100, 100))
    factor = SPAN.get(field.name, 4)
    low = max(value / factor, field.low if field.low is not None else -math.inf)
    high = min(value * factor, field.high if field.high is not None else math.inf)
    if field.kind == "int":
        return math.ceil(low), math.floor(high)
    return float(f"{low:.3g}"), float(f"{high:.3g}")


def _axis(k: int, base: RunConfig, fields: dict[str, Field]) -> Axis | None:
    """The entries of one axis; None where it is left out, or can't be used: then they say why."""
    other = st.session_state.get(_key(1 - k, "name"))
    options = [name for name in fields if name != other] + ([NONE] if k else [])
    columns = st.columns([1.8, 1, 1, 1, 1.4], vertical_alignment="bottom")
    name = columns[0].selectbox(
        "To the right" if k == 0 else "Upward",
        options,
        format_func=lambda name: fields[name].label if name else "nothing: a single line of cells",
        key=_key(k, "name"),
        on_change=lambda: _enter_axis(k, base, st.session_state[_key(k, "name")]),
        persist_state="session",
        help="The setting that varies along this side of the picture.",
    )
    if name == NONE:
        return None
    field = fields[name]
    unit = f" ({field.unit})" if field.unit else ""
    entry: Any = {
        "persist_state": "session",
        "help": f"{field.help}\n\nAllowed: {field.allowed()}.",
    }
    low = columns[1].text_input(f"From{unit}", key=_key(k, "low"), **entry)
    high = columns[2].text_input(f"To{unit}", key=_key(k, "high"), **entry)
    about = f"Along this side; 2 or more, {MOST_CELLS:,} in all."
    count = _number(columns[3], "Cells", 1, about, k, "count")
    log = columns[4].toggle(
        "Log scale",
        key=_key(k, "log"),
        persist_state="session",
        help="Equal ratios between neighbours instead of equal steps.",
    )
    try:
        return Axis.span(base, name, low, high, count, log)
    except ConfigError as error:
        st.markdown(f":red[:material/error: {plain(str(error))}]")
        return None


def _checked(
    base: RunConfig, axes: Sequence[Axis], steps: int, seeds: int, samples: int
) -> Sweep | None:
    try:
        if not 1 <= seeds <= MOST_CELLS:
            raise ConfigError("seeds", f"seeds must be from 1 to {MOST_CELLS:,}, got {seeds:,}")
        own = tuple(base.seed + k for k in range(seeds))
        return Sweep(base.replace(steps=steps), tuple(axes), own, samples)
    except ConfigError as error:
        st.markdown(f":red[:material/error: {plain(str(error))}]")
        return None


def _start(sweep: Sweep | None, predict: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Start",
            type="primary",
            icon=":material/play_arrow:",
            key="sweeps:start",
            disabled=sweep is None,
            on_click=start,
            args=(sweep, predict),
            help="It is computed by a process of its own, also while no page shows it.",
        )
        if st.session_state.get(OPEN):
            st.button("Close", key="sweeps:close", on_click=close, help="Nothing is started.")
        if sweep is not None:
            cells = f"{sweep.count:,} runs of {sweep.base.steps:,} steps"
            more = f"; their predictions, {expected(sweep, predict=True)}" if predict else ""
            st.markdown(f"{cells}, {expected(sweep)}{more}", width="content")


def start(sweep: Sweep, predict: bool = False) -> None:
    """Store the sweep, have it computed, and show it."""
    with action("The start of the sweep"):
        recorded = source.sweeps().create(sweep, predict=predict)
        if recorded.state in ("stopped", "failed"):
            launching.launch(source.sweeps().folder.parent, recorded.id)
        source.show(sweep=recorded.id, predicted="true" if predict else None, **{"with": None})
        close()


def close() -> None:
    """Put the form away."""
    st.session_state.pop(OPEN, None)


def refine(sweep: Sweep, columns: Sequence[int], rows: Sequence[int]) -> None:
    """Open the form with a part of a sweep's ranges, as fine as it was."""
    st.session_state[_FROM] = sweep
    st.session_state[_key("base")] = SAME
    _enter(sweep.base)
    st.session_state[_key("entered")] = (SAME, sweep.base)
    st.session_state.update({_key("seeds"): len(sweep.seeds), _key("samples"): sweep.samples})
    for k, (first, last) in enumerate((columns, rows)):
        if k >= len(sweep.axes):
            st.session_state[_key(k, "name")] = NONE
            continue
        axis = sweep.axes[k]
        if len(axis.values) == 1:  # there is no range yet
            _enter_axis(k, sweep.cells[0].config, axis.name)
            continue
        first, last = (first, last) if last > first else (max(first - 1, 0), last + 1)
        field = sweep.field(axis)
        values = [axis.values[min(i, len(axis.values) - 1)] for i in (first, last)]
        values = values if field.kind == "int" else _briefly(*values)
        fits = field.kind == "float" or values[1] - values[0] >= len(axis.values) - 1
        entries = {"name": axis.name, "low": field.text(values[0]), "high": field.text(values[1])}
        entries |= {"count": len(axis.values) if fits else int(values[1] - values[0]) + 1}
        for entry, value in {**entries, "log": axis.log}.items():
            st.session_state[_key(k, entry)] = value
    st.session_state[OPEN] = True


def _briefly(low: float, high: float) -> tuple[float, float]:
    """A range in few digits, but as many as leave each end within a hundredth of its width."""
    for digits in range(4, DIGITS):
        ends = float(f"{low:.{digits}g}"), float(f"{high:.{digits}g}")
        if max(abs(ends[0] - low), abs(ends[1] - high)) <= (high - low) / 100:
            return ends
    return low, high


# --- how long it takes ----------------------------------------------------------------------


def expected(sweep: Sweep, *, predict: bool = False) -> str:
    """How long the runs of the sweep will take, or their predictions, from the sweeps of its model
    that this machine has computed."""
    rate = _seconds_a_step(sweep.base.problem, PREDICTED if predict else ROWS)
    if rate is None and predict:
        return "which take about as long as the runs one by one"
    if rate is None:
        return "for the first time with this model: its first cells will tell how long it takes"
    try:
        workers = launching.local_workers()
    except SweepError as error:
        return f":red[{plain(str(error))}]"
    seconds = rate * sweep.count * sweep.base.steps / workers
    ready = "" if predict else " once its workers have started"
    return f"about {in_words(seconds)} on this machine{ready}"


@st.cache_data(ttl=30, show_spinner=False)
def _seconds_a_step(problem: str, of: str) -> float | None:
    """Computing time of a step in the newest finished cells of this problem, or in their newest
    predictions; None without any."""
    for recorded in source.sweeps().find():
        if recorded.sweep.base.problem != problem:
            continue
        try:
            rows = recorded.rows(of)
        except SavedError:
            continue
        steps = sum(row.steps for row in rows if math.isfinite(row.seconds))
        if steps:
            return sum(row.seconds for row in rows if math.isfinite(row.seconds)) / steps
    return None


def in_words(seconds: float) -> str:
    """A time as one says it.

    >>> in_words(40), in_words(200), in_words(8000)
    ('40 s', '3 min', '2.2 h')
    """
    if seconds < 90:
        return f"{max(1, round(seconds, -1 if seconds > 20 else 0)):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
