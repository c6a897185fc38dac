"""The presets at the head of the live lab: the choice, what one should see, and the way back."""

from collections.abc import Sequence

import streamlit as st

from pages.parts.lab import controls, session, share
from pages.parts.markdown import brief
from samedge_core.experiments.paper import ALL_PRESETS
from samedge_core.experiments.presets import COMPARED, DEFAULT, Preset
from samedge_core.training.config import LIVE_FIELDS, RunConfig
from samedge_core.worker.view import RunView

KEY = "preset"  # of the choice: None while the settings are no preset's
FROM = "preset:from"  # the preset that was loaded last
INSTEAD = "preset:instead"  # why it was loaded, where nobody has chosen it


def first() -> None:
    """On a first visit: take up what the link names, a run, a setting or a preset."""
    named = st.query_params.get("preset")
    preset = ALL_PRESETS.get(named or DEFAULT, ALL_PRESETS[DEFAULT])
    if named and named not in ALL_PRESETS:
        st.session_state["notice"] = (
            f"There is no preset '{brief(named)}'; this is {preset.name!r}. Others: "
            f"{', '.join(ALL_PRESETS)}."
        )
    st.session_state[KEY] = None
    st.session_state[FROM], st.session_state[INSTEAD] = preset.name if named else None, ""
    if shown := session.glances():
        controls.load(session.lead(shown).entered)
    elif not share.arrive():
        _load(preset)


def draw(config: RunConfig | None, views: Sequence[RunView]) -> None:
    """The choice, beside what one should see; None for settings that can't be used."""
    if config:
        controls.put(KEY, _shown(config, views))
    left, right = st.columns([1.1, 2], vertical_alignment="center")
    name = left.selectbox(
        "Preset",
        list(ALL_PRESETS),
        format_func=lambda name: ALL_PRESETS[name].title,
        index=None,
        key=KEY,
        placeholder="your own settings",
        on_change=_chosen,
        persist_state="session",
        help="A setting that shows something; every control can be changed from there.",
    )
    with right:
        if name:
            if not views:  # of a run, its status says what it has shown
                st.markdown(f"**What you should see.** {ALL_PRESETS[name].see}")
            elif instead := st.session_state[INSTEAD]:
                st.markdown(instead)
        elif came := st.session_state[FROM]:
            title = ALL_PRESETS[came].title
            st.markdown(f"**Your own settings**, from the preset “{title}”: expect something else.")
            st.button(
                "Back to the preset",
                key="preset:back",
                icon=":material/undo:",
                on_click=_choose,
                args=(came,),
            )
        else:
            st.markdown("**Your own settings.** Each preset says what one should see.")


def _shown(config: RunConfig, views: Sequence[RunView]) -> str | None:
    """The preset whose description is true of the shown runs, or of the next one without any.

    Presets invite to change eta, rho and the rule on the way, so of a run counts what it started
    with; any other setting takes a new run, which the description would not be true of.
    """
    started = [config.replace(**_live(view.config)) for view in views] or [config]
    names = [name for name in (st.session_state[FROM], *ALL_PRESETS) if name]
    for preset in map(ALL_PRESETS.__getitem__, names):
        side_by_side = preset.comparison in (None, st.session_state.get(session.COMPARISON))
        if side_by_side and any(map(preset.describes, started)):
            return preset.name
    return None


def _live(config: RunConfig) -> dict[str, object]:
    return {name: getattr(config, name) for name in LIVE_FIELDS}


def _chosen() -> None:
    # a tick on its way may still bring the preset that another setting has just ended
    if not controls.outdated(KEY) and (name := st.session_state[KEY]):
        _choose(name)


def _choose(name: str) -> None:
    session.leave()  # the controls would no longer say what is in force in the run
    share.drop_planned()
    _load(ALL_PRESETS[name])
    st.query_params["preset"] = name


def begin() -> None:
    """Start the default run."""
    _choose(DEFAULT)
    session.start(ALL_PRESETS[DEFAULT].config)


def compare(name: str, config: RunConfig | None) -> None:
    """Start this comparison; of GD and SAM with the settings of another preset where those of the
    preset in force can't bring both to their edges."""
    unfit = next((n for n in COMPARED if config and ALL_PRESETS[n].describes(config)), None)
    if name == "rule" and unfit:
        before, fit = ALL_PRESETS[unfit], ALL_PRESETS[COMPARED[unfit]]
        _choose(fit.name)
        config = fit.config
        st.session_state[INSTEAD] = (
            f"GD never reaches its edge with the settings of the preset “{before.title}”. These "
            f"runs have those of “{fit.title}”, where GD and SAM both do. Settings of your own are "
            "compared as they are."
        )
    session.compare(name, config)


def _load(preset: Preset) -> None:
    controls.load(preset.config)
    st.session_state[session.COMPARISON] = preset.comparison
    st.session_state[FROM], st.session_state[INSTEAD] = preset.name, ""
