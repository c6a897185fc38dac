"""SAMEdge, quadratic intuition: find the SAM-edge by hand, on losses of one or two weights."""

from typing import Any

import streamlit as st

from pages.parts.components import figures
from pages.parts.components.sliders import sliders
from pages.parts.frame import fragments, navigation
from pages.parts.frame.parts import part
from pages.parts.markdown import plain
from pages.parts.quadratic import derivation, draw, stability_map, state
from pages.parts.quadratic.checks import table
from pages.parts.quadratic.remarks import remarks
from pages.parts.quadratic.scenes import CHECKED, DESCENTS, SIMULATED
from pages.parts.quadratic.settings import (
    FIELDS,
    GD_ALONE,
    LOGGED,
    LOOK,
    PARTS,
    PRESETS,
    RULE_NAMES,
    SLIDERS,
    Values,
    preset_of,
)

FIGURES_KEY = "quadratic-figures"
# on a phone the choices would push the map out of sight of its sliders
STYLE = """
<style>
  @media (max-width: 640px) { :has(> .st-key-map-choices) { order: 1; } }
</style>
"""


def main() -> None:
    """Compose the page. What a slider changes is a fragment, so that it redraws nothing else."""
    arrived = navigation.begin("Quadratic intuition")
    st.html(STYLE)
    with st.container():
        for complaint in state.load(arrived=arrived):
            st.warning(plain(complaint))  # it quotes the link, which a stranger may have written
    values = state.values()
    preset = preset_of(values)
    with part("The head of the page"):
        _head(values, preset)
    fragments.draw(_body, preset, name="The picture")


def _body(preset: str | None) -> None:
    """Sliders and what they move; `preset` is the one that stands in the head."""
    values = state.values()
    if state.settled() and preset_of(values) != preset:
        st.rerun()  # the head stands outside of this fragment and must follow
    with part("The sliders"):
        sliders(
            [FIELDS[name] for name in SLIDERS[values["part"]]],
            values,
            key=state.SLIDERS_KEY,
            on_move=state.change,
        )
    scene = values["part"]
    runs = SIMULATED[scene].runs(values) if scene in SIMULATED else {}
    # sentences come and go in here, so that the figures keep their place
    with st.container(), part("The remarks"):
        for remark in remarks(values, runs):
            st.markdown(f":orange-badge[:material/lightbulb:] {remark}")
    with part("The figures"):
        _figures(values, runs)
    if scene == "derivation":
        with part("The derivation"):
            _derivation(values)
    if scene in CHECKED and (checks := CHECKED[scene].checks(values, runs)):
        with part("The predictions"):
            steps = max(run.steps for run in runs.values())
            st.markdown(
                f"**Check it.** Simulated with these settings, {steps:,} steps from the start, six "
                f"digits:\n\n{table(checks)}"
            )


def _figures(values: Values, runs: draw.Descents) -> None:
    scene, scrub = values["part"], None
    if scene == "map":
        with st.container(key="map-choices"):
            _map_choices(values)
        shown = stability_map.figures(values)
    elif scene == "derivation":
        shown = derivation.figures(values)
    else:
        shown, scrub = DESCENTS[scene].figures(values, runs), draw.scrub(runs)
    figures.figures(shown, scene=scene, key=FIGURES_KEY, scrub=scrub, on_click=_clicked)


def _head(values: Values, preset: str | None) -> None:
    """Preset, part, and what to draw."""
    left, right = st.columns([1.1, 2], vertical_alignment="center")
    st.session_state["quadratic:preset"] = preset
    left.selectbox(
        "Preset",
        list(PRESETS),
        format_func=lambda name: PRESETS[name].title,
        index=None,
        key="quadratic:preset",
        placeholder="your own settings",
        on_change=_preset_chosen,
        help="Settings that show something; every control can be changed from there. The address "
        "of this page holds all settings: share it, or go back with the browser's Back.",
    )
    look = PRESETS[preset].look if preset else LOOK[values["part"]]
    right.markdown(f"**What to look at.** {look}")
    with st.container(horizontal=True, vertical_alignment="center"):
        part = _bound("part") | {"help": None, "label_visibility": "collapsed"}
        st.segmented_control(
            options=list(PARTS), format_func=PARTS.__getitem__, required=True, **part
        )
        if values["part"] in DESCENTS and values["part"] not in GD_ALONE:
            st.session_state["quadratic:rules"] = [rule for rule in RULE_NAMES if values[rule]]
            st.pills(
                "Rules",
                list(RULE_NAMES),
                format_func=RULE_NAMES.__getitem__,
                selection_mode="multi",
                key="quadratic:rules",
                on_change=_rules_chosen,
                label_visibility="collapsed",
            )
        if values["part"] in LOGGED:
            st.toggle(**_bound("log"))


def _bound(name: str) -> dict[str, Any]:
    """The arguments that tie a widget to a setting, whose value it shows."""
    key = f"quadratic:{name}"
    st.session_state[key] = state.values()[name]
    label = {"label": FIELDS[name].label, "help": FIELDS[name].help}
    return label | {"key": key, "on_change": _widget_changed, "args": (name,)}


def _map_choices(values: Values) -> None:
    columns = st.columns([0.9, 1.5, 1.5, 1.4], vertical_alignment="bottom")
    for column, name in zip(columns, ("map_rule", "map_x", "map_y"), strict=False):
        titles = dict(zip(FIELDS[name].choices, FIELDS[name].titles, strict=True))
        taken = {"map_x": values["map_y"], "map_y": values["map_x"]}.get(name)
        options = [choice for choice in titles if choice != taken]
        column.selectbox(options=options, format_func=titles.__getitem__, **_bound(name))
    columns[-1].caption("Click on the map to set both quantities, on the other chart to set ‖g‖.")


def _derivation(values: Values) -> None:
    for number, line in enumerate(derivation.lines(values), start=1):
        left, right = st.columns([1, 1.25], vertical_alignment="center")
        left.markdown(f"{number}. {line.words}")
        right.latex(line.symbols)
        right.latex(line.numbers)


def _widget_changed(name: str) -> None:
    state.change({name: FIELDS[name].check(st.session_state[f"quadratic:{name}"])})


def _rules_chosen() -> None:
    chosen = st.session_state["quadratic:rules"]
    if not chosen:
        return  # there would be nothing to see: the last rule stays
    state.change({rule: rule in chosen for rule in RULE_NAMES})


def _preset_chosen() -> None:
    if name := st.session_state["quadratic:preset"]:
        state.choose_preset(name)


def _clicked() -> None:
    click = st.session_state[FIGURES_KEY]["clicked"]
    values = state.values()
    if values["part"] == "map":
        changed = stability_map.settings_at(click["figure"], click["x"], click["y"], values)
    else:
        changed = DESCENTS[values["part"]].moved_to(click["x"], click["y"])
    state.set_from_outside(changed)


main()
