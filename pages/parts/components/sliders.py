"""Sliders that act while they are dragged, made from Fields, with exact entry and a check.

Streamlit's own sliders report only where a drag ends. What was entered is kept as text, also where
it can't be used; then the message stands under the slider, and the last good value stays in force.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st
from streamlit.components.v2 import component

from pages.parts.frame import assets
from samedge_core.fields import ConfigError, Field


def sliders(
    fields: Sequence[Field],
    values: Mapping[str, Any],
    *,
    key: str,
    on_move: Callable[[dict[str, Any], bool], None],
    marks: Mapping[str, tuple[float, str]] | None = None,
) -> None:
    """Draw a slider for each field; each needs a `suggested` range. `marks` has by name a value
    that is marked under the slider, and its label.

    `on_move(changed, settled)` gets the checked values that differ from `values`; `settled` is
    False while a slider is still being dragged.
    """
    memory = st.session_state.setdefault(f"{key}:memory", {"count": 0, "refused": {}})

    def moved() -> None:
        message = st.session_state[key]["moved"]
        memory["count"] = message["count"]
        memory["refused"].clear()
        good = {}
        for item in fields:
            text = message["values"].get(item.name)
            try:
                good[item.name] = values[item.name] if text is None else item.check(text)
            except ConfigError as error:
                wrong = str(error).replace(item.name, item.label, 1)  # the name that is on the page
                memory["refused"][item.name] = (text, wrong)
        changed = {name: value for name, value in good.items() if value != values[name]}
        on_move(changed, message["settled"])

    refused = memory["refused"]
    data = {
        "fields": [
            _describe(item, values[item.name], refused.get(item.name))
            | {"mark": (marks or {}).get(item.name)}
            for item in fields
        ],
        "count": memory["count"],
    }
    _mount(key=key, data=data, on_moved_change=moved)


def forget(key: str) -> None:
    """Drop what was refused: the values were set from elsewhere."""
    if memory := st.session_state.get(f"{key}:memory"):
        memory["refused"].clear()


def _describe(item: Field, value: Any, refused: tuple[str, str] | None) -> dict[str, Any]:
    assert item.suggested is not None, f"{item.name} needs a suggested range"
    text, error = refused or (item.text(value), "")
    return {
        "name": item.name,
        "label": item.label,
        "unit": item.unit,
        "help": f"{item.help}\nAllowed: {item.allowed()}; default {item.text(item.default)}.",
        "low": item.suggested[0],
        "high": item.suggested[1],
        "log": item.log,
        "zero": item.log and item.low == 0 and not item.open_low,
        "integer": item.kind == "int",
        "text": text,
        "error": error,
    }


_mount = component(
    "samedge_sliders", js=assets.module("sliders.js", tall=300, wide=110), isolate_styles=False
)
