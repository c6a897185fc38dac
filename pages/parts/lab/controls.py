"""Controls made from the field tables: every setting with its help, unit and a check beside it.

What a person has entered stands in the session state as it was typed; `current()` turns all of it
into a RunConfig or says what is wrong, next to where it was entered.
"""

import contextlib
import math
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from pages.parts.lab import uploads
from pages.parts.markdown import plain
from pages.parts.server import registry
from samedge_core.analysis import compare
from samedge_core.experiments.comparisons import COMPARISONS, Comparison
from samedge_core.experiments.hints import GOOD_ETA, too_large
from samedge_core.fields import ConfigError, Field
from samedge_core.problems.registry import PROBLEMS
from samedge_core.problems.uploads import UploadError
from samedge_core.theory.rules import RULES, Rule
from samedge_core.training.config import FIELDS, LIVE_FIELDS, RunConfig
from samedge_core.training.history import SYMBOLS
from samedge_core.training.schedule import LENGTHS

PER_DECADE = 20
MODEL, MEASUREMENT = "Model, data and seed", "Batches, schedule, measuring"
BATCH = ("batch_size", "measure_on", "batch_sharpness_every", "batch_sharpness_batches")
MORE = ("schedule", *LENGTHS, "weight_decay", "beta2", "eps", *BATCH)
MORE += ("hessian_share", "top_k", "sharpness_every", "steps", "dtype", "device")

CADENCE, STRIDE = FIELDS["cadence"], FIELDS["measure_every"]
CADENCES = {
    "every step": "Every step: nothing is missed; most expensive with mini-batches.",
    "adaptive": "Pairs of steps, far apart where the sharpness moves evenly. Saves little where it "
    "swings.",
    "every k-th step": "Cheapest, but at the edge the sharpness swings between the measured steps.",
}
_REPLACED = "set:replaced"
ON_ITS_WAY = 2.0  # seconds that a message from the browser may take
FIRST_STRIDE = 10  # of "every k-th step", before another is entered


def load(config: RunConfig) -> None:
    """Set every control to `config`. Before the controls are drawn, so in a callback."""
    for field in FIELDS.values():
        _enter(field, _key(field), getattr(config, field.name))
    for field in config.spec.options:
        _enter(field, _key(field, config.problem), config.options[field.name])
    st.session_state[_cadence_key()] = _cadence(config.cadence, config.measure_every)


def current() -> RunConfig:
    """The settings as entered.

    Raises:
        ConfigError: the first setting that can't be used.
    """
    values = {name: _entered(field, _key(field)) for name, field in FIELDS.items()}
    options = _entered_options()
    found = uploads.look(options, values["batch_size"]) if "path" in options else None
    config = RunConfig(**values, options=options)
    registry().check_fits(config, found)
    return config


def _entered_options() -> dict[str, Any]:
    problem = _entered(FIELDS["problem"], _key(FIELDS["problem"]))
    return {f.name: _entered(f, _key(f, problem)) for f in PROBLEMS[problem].options}


def live_values() -> dict[str, Any]:
    """The settings that act mid-run, as far as they can be used."""
    values = {}
    for name in LIVE_FIELDS:
        with contextlib.suppress(ConfigError):  # its message stands beside its box
            values[name] = _entered(FIELDS[name], _key(FIELDS[name]))
    return values


def draw(on_live_change: Callable[[], None], *, comparison: Comparison | None = None) -> None:
    """Draw all settings; `on_live_change` is called when one that acts mid-run has changed.
    `comparison` is what runs side by side."""
    rule_fixed = comparison is COMPARISONS["rule"]
    _draw(FIELDS["problem"])
    _draw(FIELDS["rule"], on_live_change, disabled=rule_fixed)
    if rule_fixed:
        st.caption("GD and SAM run side by side; the rule is fixed.")
    else:
        st.caption(_about(RULES[st.session_state[_key(FIELDS["rule"])]]))
    if comparison and not rule_fixed:
        symbol = SYMBOLS[comparison.name]
        st.caption(f"Three runs side by side, at ½{symbol}, {symbol} and 2{symbol}.")
    _draw(FIELDS["eta"], on_live_change)
    # side by side, SAM runs whatever rule had been chosen
    rule = RULES["sam" if rule_fixed else st.session_state[_key(FIELDS["rule"])]]
    _offer_step_size(rule, on_live_change)
    if "rho" in rule.uses or "beta" not in rule.uses:
        _draw(FIELDS["rho"], on_live_change, disabled="rho" not in rule.uses)
    if "beta" in rule.uses:
        _draw(FIELDS["beta"], on_live_change)
    _draw_cadence()
    problem = st.session_state[_key(FIELDS["problem"])]
    options = PROBLEMS[problem].options
    asks = any(field.kind == "path" for field in options)
    with st.expander(MODEL, expanded=asks, icon=":material/database:"):
        st.caption(PROBLEMS[problem].summary + " Changes here need a Reset.")
        for field in options:
            _draw(field, problem=problem, disabled=not _matters(field, problem))
        _draw(FIELDS["seed"])
    with st.expander(MEASUREMENT, icon=":material/straighten:"):
        st.caption("Changes here need a Reset.")
        for name in MORE:
            if name not in rule.unused and (name != "sharpness_every" or rule.preconditioned):
                _draw(FIELDS[name], disabled=not _scheduled(name))


def _about(rule: Rule) -> str:
    if not rule.preconditioned:
        return rule.about
    every = FIELDS["sharpness_every"].label
    return (
        f"{rule.about} Its edge is not one of the sharpness: the charts show the edge value. For "
        f"both, see “{every}” under “{MEASUREMENT}”."
    )


def _scheduled(name: str) -> bool:
    """Whether a setting has an effect under the schedule that is entered."""
    field = FIELDS["schedule"]
    chosen = st.session_state.get(_key(field), field.default)
    return LENGTHS.get(name, chosen) == chosen


def _offer_step_size(rule: Rule, on_live_change: Callable[[], None]) -> None:
    """A way out of a step size that is far too large for the rule, as that of GD is for Adam."""
    field = FIELDS["eta"]
    with contextlib.suppress(ConfigError):  # its message stands above
        if not too_large(rule, _entered(field, _key(field))):
            return

        def take() -> None:
            _enter(field, _key(field), GOOD_ETA)
            on_live_change()

        st.button(
            f"Take η = {GOOD_ETA:g}",
            key="eta:offer",
            icon=":material/lightbulb:",
            on_click=take,
            help=f"{rule.short} divides the gradient by its size: a step moves each weight by "
            "about η, whatever the gradient is. The step size of GD or SAM is far too large.",
        )


def _key(field: Field, problem: str = "") -> str:
    return f"set:{problem}:{field.name}"


def _enter(field: Field, key: str, value: Any) -> None:
    """Put a valid value into the widgets of a field."""
    as_text = field.kind in ("float", "floats")
    put(key, field.text(value) if as_text else value)
    if field.suggested:
        _slide_to(field, key, value)


def _slide_to(field: Field, key: str, value: float) -> None:
    """Put a value that was not chosen by the slider on it; its bubble shows that very value."""
    assert field.suggested is not None
    low, high = field.suggested
    labels = [_bubble(option) for option in _grid(field)]
    if low <= value <= high and _bubble(value) not in labels:
        st.session_state[f"{key}:between"] = value
    put(f"{key}:slider", min(_options(field, key), key=lambda option: abs(option - value)))


def _options(field: Field, key: str) -> list[float]:
    """What the slider offers: its grid, and the value between that was entered last. It stays until
    another is: a slider whose options change loses the focus of the keyboard."""
    between = st.session_state.get(f"{key}:between")
    return sorted(_grid(field) + ([] if between is None else [between]))


def _bubble(value: float) -> str:
    return f"{value:.3g}"


def put(key: str, value: Any) -> None:
    """Set a widget, and remember what it replaces."""
    if key in st.session_state and st.session_state[key] != value:
        replaced = st.session_state.setdefault(_REPLACED, {})
        replaced[key] = st.session_state[key], value, time.monotonic()
    st.session_state[key] = value


def outdated(key: str) -> bool:
    """Whether a widget has the value that was replaced a moment ago: the browser sent it before the
    new one had arrived, which is put back."""
    old, new, at = st.session_state.get(_REPLACED, {}).get(key, (None, None, -math.inf))
    if time.monotonic() - at > ON_ITS_WAY or st.session_state[key] != old:
        return False
    st.session_state[key] = new
    return True


def _entered(field: Field, key: str) -> Any:
    """The checked value of a field; its default before it was ever drawn."""
    return field.check(st.session_state.get(key, field.default))


def _draw(
    field: Field,
    on_change: Callable[[], None] | None = None,
    *,
    problem: str = "",
    disabled: bool = False,
) -> None:
    key = _key(field, problem)
    if key not in st.session_state:
        _enter(field, key, field.default)
    label = f"{field.label} ({field.unit})" if field.unit else field.label

    def changed() -> None:
        if not outdated(key) and on_change:
            on_change()

    shared: dict[str, Any] = {
        "help": f"{field.help}\n\nAllowed: {allowed(field)}; default "
        f"{compare.as_text(field, field.default)}.",
        "disabled": disabled,
        "on_change": changed,
        "persist_state": "session",
    }
    if field.kind == "choice":
        titles = dict(zip(field.choices, field.titles or field.choices, strict=True))
        st.selectbox(label, field.choices, format_func=lambda v: titles[v], key=key, **shared)
    elif field.kind == "bool":
        st.toggle(label, key=key, **shared)
    elif field.kind == "path":
        _upload(field, key, label, shared)
    elif field.kind == "int":
        st.number_input(label, step=1, key=key, **shared)
    elif field.suggested:
        _slider_and_text(field, key, label, shared | {"on_change": on_change})
    else:
        st.text_input(label, key=key, **shared)
    _complain(field, key)


def allowed(field: Field) -> str:
    """The allowed values in words, choices by their titles."""
    return f"one of {', '.join(field.titles)}" if field.titles else field.allowed()


def _matters(field: Field, problem: str) -> bool:
    """Whether a setting of the problem has any effect beside the others, as entered."""
    if field.only is None:
        return True
    (other,) = [f for f in PROBLEMS[problem].options if f.name == field.only[0]]
    return st.session_state.get(_key(other, problem), other.default) == field.only[1]


def _draw_cadence() -> None:
    """One choice in words for cadence and measure_every, and what it costs."""
    key = _cadence_key()
    for field in (CADENCE, STRIDE):
        if _key(field) not in st.session_state:
            _enter(field, _key(field), field.default)
    if key not in st.session_state:
        st.session_state[key] = _cadence(*(st.session_state[_key(f)] for f in (CADENCE, STRIDE)))

    def chosen() -> None:
        choice = st.session_state[key]
        st.session_state[_key(CADENCE)] = "adaptive" if choice == "adaptive" else "every"
        st.session_state[_key(STRIDE)] = FIRST_STRIDE if choice == "every k-th step" else 1

    place = st.container()
    choice = place.selectbox(
        CADENCE.label,
        list(CADENCES),
        key=key,
        on_change=chosen,
        persist_state="session",
        help=f"{CADENCE.help}\n\nAllowed: one of {', '.join(CADENCES)}; default "
        f"{_cadence(CADENCE.default, STRIDE.default)}. A change needs a Reset.",
    )
    if choice == "every k-th step":
        _draw(STRIDE)
    st.caption(f"{CADENCES[choice]} A line under the charts shows the cost.")


def _cadence_key() -> str:
    return f"{_key(CADENCE)}:choice"


def _cadence(cadence: str, every: int) -> str:
    """The choice in words that stands for the values of both fields."""
    if cadence == "adaptive":
        return "adaptive"
    return "every step" if every == 1 else "every k-th step"


def _upload(field: Field, key: str, label: str, shared: dict[str, Any]) -> None:
    def came() -> None:
        file, before = st.session_state[f"{key}:file"], st.session_state[key]
        try:
            st.session_state[key] = uploads.keep(file, field.suffix, before) if file else ""
        except UploadError as error:
            st.session_state[key] = ""
            st.session_state["notice"] = f"{plain(file.name)} can't be taken: {plain(str(error))}"

    st.file_uploader(
        label, type=field.suffix.lstrip("."), key=f"{key}:file", on_change=came, help=shared["help"]
    )
    if st.session_state[key]:
        with contextlib.suppress(ConfigError):  # its message stands below
            content = uploads.check(_entered_options())
            st.caption(plain(f"{Path(st.session_state[key]).name}: {content}."))


def _slider_and_text(field: Field, key: str, label: str, shared: dict[str, Any]) -> None:
    on_change = shared.pop("on_change")
    help_text = shared.pop("help")

    def slid() -> None:
        if outdated(f"{key}:slider"):
            return
        put(key, field.text(st.session_state[f"{key}:slider"]))
        if on_change:
            on_change()

    def typed() -> None:
        if outdated(key):
            return
        try:
            value = field.check(st.session_state[key])
        except ConfigError:
            return  # the message stands under the box; nothing has changed
        _slide_to(field, key, value)
        if on_change:
            on_change()

    left, right = st.columns([3, 1.4], vertical_alignment="bottom")
    left.select_slider(
        label,
        _options(field, key),
        format_func=_bubble,
        key=f"{key}:slider",
        help=help_text,
        on_change=slid,
        **shared,
    )
    right.text_input(
        f"{label}, exact", key=key, label_visibility="collapsed", on_change=typed, **shared
    )


def _complain(field: Field, key: str) -> None:
    try:
        field.check(st.session_state[key])
        current()  # for what only shows in combination, like a batch larger than the data
    except ConfigError as error:
        if error.field == field.name:
            st.markdown(f":red[:material/error: {complaint(error)}]")


def complaint(error: ConfigError, *, located: bool = False) -> str:
    """What is wrong, as Markdown, by the label of the setting; and where that is found."""
    problem = st.session_state[_key(FIELDS["problem"])]
    options = {field.name: field for field in PROBLEMS[problem].options}
    field = {**FIELDS, **options}.get(error.field)
    if field is None:
        return plain(str(error))
    text = plain(re.sub(rf"^{field.name}\b", field.label, str(error)))
    inside = MEASUREMENT if field.name in MORE else MODEL
    if located and (field.name in (*MORE, *options, "seed")):
        text += f" (in the sidebar, under **{inside}**)"
    return text


def _grid(field: Field) -> list[float]:
    """The values that a slider offers: two significant digits, evenly spread (in exponents)."""
    assert field.suggested is not None
    low, high = field.suggested
    if not field.log:
        return [round(v, 4) for v in np.linspace(low, high, 100)]
    count = round(math.log10(high / low) * PER_DECADE) + 1
    values = [float(f"{v:.2g}") for v in np.geomspace(low, high, count)]
    return ([0.0] if field.low == 0 and not field.open_low else []) + values
