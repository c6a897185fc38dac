"""The settings of the quadratic page in this browser session, kept equal to the link."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from pages.parts.components import sliders
from pages.parts.frame import navigation
from pages.parts.quadratic.settings import DEFAULTS, FIELDS, PRESETS, Values, from_link, to_link

_VALUES, _LINK, _SETTLED = "quadratic:values", "quadratic:link", "quadratic:settled"
SLIDERS_KEY = "quadratic-sliders"


def load(*, arrived: bool) -> list[str]:
    """Take up the settings of the link if it is not the one that we wrote; returns complaints.

    A link without settings means the defaults, also after the browser's Back; on arrival from
    another page it means that the settings of before are still wanted.
    """
    link = {k: v for k, v in st.query_params.items() if k in FIELDS or k == "preset"}
    if _VALUES in st.session_state and (link == st.session_state[_LINK] or (arrived and not link)):
        if arrived:
            _write_link()
        return []
    st.session_state[_VALUES], complaints = from_link(link)
    st.session_state[_LINK] = link
    sliders.forget(SLIDERS_KEY)
    return complaints


def values() -> Values:
    """The settings in force."""
    return st.session_state[_VALUES]


def settled() -> bool:
    """Whether no slider is being dragged."""
    return st.session_state.get(_SETTLED, True)


def change(changed: Mapping[str, Any], settled: bool = True) -> None:
    """Put settings in force, and once they are `settled` into the link: there Back undoes them."""
    st.session_state[_VALUES] |= changed
    st.session_state[_SETTLED] = settled
    if settled:
        _write_link()


def set_from_outside(changed: Mapping[str, Any]) -> None:
    """Settings from a click on a figure: rounded, and inside what is allowed."""
    good = {}
    for name, value in changed.items():
        field = FIELDS[name]
        low = field.low if field.low is not None and not field.open_low else -float("inf")
        high = field.high if field.high is not None else float("inf")
        good[name] = field.check(min(max(float(f"{value:.3g}"), low), high))
    sliders.forget(SLIDERS_KEY)
    change(good)


def choose_preset(name: str) -> None:
    """Put a preset in force; what concerns the reader, not the picture, stays."""
    sliders.forget(SLIDERS_KEY)
    change({**DEFAULTS, **PRESETS[name].values, "log": values()["log"]})


def _write_link() -> None:
    link = to_link(values())
    st.session_state[_LINK] = link
    navigation.put_address(link)
