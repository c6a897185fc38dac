"""The map of fates: what becomes of every setting of two weights or of a quadratic, at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pages.parts.components.sliders import forget, sliders
from pages.parts.frame import fragments, navigation
from pages.parts.frame.parts import part
from pages.parts.markdown import plain
from pages.parts.sweeps import cell, predicted, zooming
from pages.parts.sweeps.atlas_settings import (
    DEFAULTS,
    FIELDS,
    PLACES,
    Values,
    axes_of,
    plane_of,
    with_axes,
)
from samedge_core.sharing import links
from samedge_core.sweeps.fate_map import (
    POINTS,
    PREVIEW,
    STEPS,
    Plane,
    View,
    alone,
    finest,
    shares,
    told,
)
from samedge_core.sweeps.following import CONVERGED, DIVERGED, HOPS, SETTLING
from samedge_core.theory.rules import RULES, Settings
from samedge_core.theory.two_weight import TwoWeightLandscape

MAP_KEY, SLIDERS_KEY = "atlas-map", "atlas-sliders"
LEAD = (
    "Where a run settles, where it hops for ever, where it is thrown out: **every pixel is a run** "
    "on a loss so small that all of them are computed while you look. Zoom in anywhere."
)
_UNPREDICTED = (
    "Not on a map of fates: each pixel follows the rule exactly, in less time than one step of a "
    "flow takes. On a sweep of two weights (Sweeps of runs) it can be switched on."
)
_VALUES, _LINK, _ASKED = "atlas:values", "atlas:link", "atlas:asked"


# --- the settings, kept equal to the link


def _load() -> Sequence[str]:
    """Take up the settings of the link if it is not the one that was written here; complaints."""
    link = {name: text for name, text in st.query_params.items() if name in FIELDS}
    unnamed = not link and not navigation.by_history()  # from another page: what was, is wanted
    if _VALUES in st.session_state and (unnamed or link == st.session_state[_LINK]):
        return ()
    values, complaints = dict(DEFAULTS), []
    for name, text in link.items():
        values[name], complaint = links.nearest(FIELDS[name], text, values[name])
        complaints += [complaint] if complaint else []
    st.session_state[_VALUES] = with_axes(values)
    st.session_state[_LINK] = link
    _anew()
    forget(SLIDERS_KEY)
    return complaints


def _change(changed: Values, settled: bool = True) -> None:
    """Put settings in force; what another plane or scale makes meaningless goes."""
    values = st.session_state[_VALUES]
    new = with_axes({**values, **changed})
    if any(new[name] != values[name] for name in ("problem", "x", "y", "log")):
        new |= {name: DEFAULTS[name] for name in ("view", "at") if name not in changed}
    st.session_state[_VALUES] = new
    _anew()
    if settled:
        _write_link()


def _anew() -> None:
    """The next picture is a coarse one, of the view that the settings have."""
    before = st.session_state.get(_ASKED, {"origin": 0})
    st.session_state[_ASKED] = {"points": PREVIEW, "origin": before["origin"] + 1}


def _write_link() -> None:
    link = links.texts(FIELDS.values(), st.session_state[_VALUES])
    st.session_state[_LINK] = link
    navigation.put_address({"part": "map"} | link)


# --- the page


def draw() -> None:
    """Draw the map and what belongs to it, in a fragment of its own."""
    complaints = _load()
    _write_link()
    with st.container():
        for complaint in complaints:
            st.warning(plain(f"The link says: {complaint}."))
    fragments.draw(_body, name="The map of fates")


def _body() -> None:
    if cell.OPEN in st.session_state:
        st.rerun()  # pages are switched by the whole script
    values = st.session_state[_VALUES]
    plane = plane_of(values)
    left, right = st.columns([1.9, 1], gap="medium")
    with right:
        with part("The choices"):
            _choices(values)
        with part("The sliders"):
            _sliders(values)
    with left, part("The map"):
        _map(plane, plane.within(values["view"]), values["at"])
    with right, part("The chosen point"):
        _point(plane, values["at"])


def _choices(values: Values) -> None:
    st.markdown(LEAD)
    now = [p for p in PLACES if with_axes({**DEFAULTS, **p.values}) == {**values, "at": (0.0,)}]
    st.session_state["atlas:place"] = now[0] if now else None
    st.selectbox(
        "Places to go",
        PLACES,
        format_func=lambda place: place.title,
        index=None,
        key="atlas:place",
        placeholder="your own",
        on_change=_go,
        help="Maps that show something. The address of this page keeps the map and its view: "
        "share it, or go back with the browser's Back.",
    )
    if now:
        st.markdown(now[0].look)
    with st.container(key="atlas-choices"):
        first, second = st.columns(2)
        for column, name in ((first, "problem"), (second, "rule")):
            _select(column, name, values, FIELDS[name].choices)
        first, second = st.columns(2)
        _select(first, "x", values, axes_of(values))
        _select(second, "y", values, [name for name in axes_of(values) if name != values["x"]])
    st.session_state["atlas:log"] = values["log"]
    log = FIELDS["log"]
    st.toggle(log.label, key="atlas:log", help=log.help, on_change=_chosen, args=("log",))
    st.toggle(predicted.LABEL, key="atlas:predicted", disabled=True, help=_UNPREDICTED)


def _select(column: Any, name: str, values: Values, options: Sequence[str]) -> None:
    field = FIELDS[name]
    titles = dict(zip(field.choices, field.titles, strict=True))
    st.session_state[f"atlas:{name}"] = values[name]
    column.selectbox(
        field.label,
        list(options),
        format_func=titles.__getitem__,
        key=f"atlas:{name}",
        help=field.help,
        on_change=_chosen,
        args=(name,),
    )


def _chosen(name: str) -> None:
    _change({name: st.session_state[f"atlas:{name}"]})


def _go() -> None:
    if place := st.session_state["atlas:place"]:
        forget(SLIDERS_KEY)
        _change({**DEFAULTS, **place.values})


def _sliders(values: Values) -> None:
    """Of the settings that are on no axis."""
    fields = [FIELDS[name] for name in axes_of(values) if name not in (values["x"], values["y"])]
    if fields:
        sliders(fields, values, key=SLIDERS_KEY, on_move=_change)


def _map(plane: Plane, view: View, at: Sequence[float]) -> None:
    asked = st.session_state[_ASKED]
    zooming.draw(
        plane,
        view,
        asked["points"],
        origin=asked["origin"],
        key=MAP_KEY,
        marks=[at] if plane.has(at) else [],
        summary=lambda values: summary(plane, view, values),
        on_ask=_asked,
        on_pick=_picked,
    )


def _asked(view: View, still: bool) -> None:
    values = st.session_state[_VALUES]
    whole = view == plane_of(values).whole
    st.session_state[_VALUES] = {**values, "view": DEFAULTS["view"] if whole else view}
    st.session_state[_ASKED] |= {"points": POINTS if still else PREVIEW}
    if still:
        _write_link()


def _picked(x: float, y: float) -> None:
    st.session_state[_VALUES] = {**st.session_state[_VALUES], "at": (x, y)}
    _write_link()


# --- what is seen, in words


def summary(plane: Plane, view: View, values: NDArray[np.uint16]) -> str:
    """What the picture shows, with its own numbers."""
    found = shares(values)
    said = (
        (CONVERGED, "converge"),
        (HOPS, "never settle, but hop"),
        (SETTLING, "are still settling"),
        (DIVERGED, "diverge"),
    )
    parts = [f"{_percent(found[fate])} {verb}" for fate, verb in said if found[fate]]
    within = f" within {STEPS} steps" if plane.problem == "two-weight" else ""
    words = f"Of the settings in view{within}: {', '.join(parts)}."
    whole = plane.whole
    times = min((whole[k + 1] - whole[k]) / (view[k + 1] - view[k]) for k in (0, 2))
    if times > 1.05:
        words += f" Magnified {times:,.3g} times."
    if any(view[k + 1] - view[k] < 2 * finest(*view[k : k + 2]) for k in (0, 2)):
        words += " Here the digits of Float64 are used up: neighbouring points differ in the last."
    return words


def _percent(share: float) -> str:
    if 0.01 <= share <= 0.99:
        return f"{100 * share:.0f} %"
    return "all" if share == 1 else "under 1 %" if share < 0.5 else "over 99 %"


def _point(plane: Plane, at: Sequence[float]) -> None:
    """The run of the chosen point, and the way to it in the live lab."""
    if not plane.has(at):
        st.caption("Click on the map for the run behind a pixel.")
        return
    names = (plane.x, plane.y)
    true = [10.0**v if plane.is_log(n) else v for n, v in zip(names, at, strict=True)]
    setting = plane.at(*true)
    value, end = alone(setting)
    where = ", ".join(f"{zooming.LABELS[n]} = {getattr(setting, n):.6g}" for n in names)
    st.markdown(f"**{where.replace('-', '−')}** {told(value)}.")
    if plane.problem == "two-weight" and np.isfinite(end).all():
        st.markdown(_at_end(setting, end))
    if not navigation.embedded():
        st.button(
            "Open this run in the live lab",
            key="atlas:open",
            icon=":material/monitoring:",
            on_click=_open,
            args=(setting,),
            help="With the same start, rule and step size, in Float64; Start takes its steps.",
        )


def _at_end(setting: Plane, end: tuple[float, float]) -> str:
    landscape = TwoWeightLandscape()
    sharpness = landscape.sharpness(end)
    if not np.isfinite(sharpness) or sharpness > 1e6:
        return ""
    norm = float(np.hypot(*landscape.gradient(end)))
    edge = float(RULES[setting.rule].edge(Settings(setting.eta, setting.rho, setting.beta), norm))
    a, b, product = (f"{v:.4g}".replace("-", "−") for v in (*end, end[0] * end[1]))
    return (
        f"At its last step (a, b) = ({a}, {b}), ab = {product}; the sharpness is {sharpness:.4g}, "
        f"the {RULES[setting.rule].edge_name} {edge:.4g}."
    )


def _open(setting: Plane) -> None:
    st.session_state[cell.OPEN] = setting.config
