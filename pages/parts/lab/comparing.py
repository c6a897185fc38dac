"""The buttons for runs side by side, and for one of them alone."""

import streamlit as st

from pages.parts.lab import presets, session
from pages.parts.views.names import names
from samedge_core.experiments.comparisons import COMPARISONS
from samedge_core.training.config import RunConfig
from samedge_core.worker.view import RunView

SIDE_BY_SIDE = {  # title, key, help
    "rule": (
        "Same start under GD and SAM",
        "g",
        "Two runs from identical weights in the same charts: the paper's comparison.",
    ),
    "eta": (
        "Three η",
        "t",
        "Three runs from identical weights, at half the step size, at η and at twice η: the "
        "sharpness of each goes to its own edge.",
    ),
    "rho": (
        "Three ρ",
        "a",
        "Three runs from identical weights, at half the radius, at ρ and at twice ρ. Needs a rule "
        "with a radius, and a ρ above 0 whose double is allowed.",
    ),
}


def draw(config: RunConfig | None, views: list[RunView]) -> None:
    """A button for each comparison."""
    for name in COMPARISONS:
        _button(name, config, views)


def _button(name: str, config: RunConfig | None, views: list[RunView]) -> None:
    title, key, text = SIDE_BY_SIDE[name]
    running = session.comparison() is COMPARISONS[name]
    if running and len(views) > 1:
        with st.popover("One run only", icon=":material/compare_arrows:"):
            for view, called in zip(views, names(views), strict=True):
                st.button(
                    f"Keep {called}",
                    key=f"keep:{view.id}",
                    on_click=session.keep,
                    args=(view.id,),
                    help="It goes on from where it is; the others end, and stay on the page Runs.",
                )
        return
    st.button(
        "One run only" if running else title,
        key=f"comparison:{name}",
        shortcut=key,
        disabled=config is None or not (running or COMPARISONS[name].fits(config)),
        icon=":material/compare_arrows:" if name == "rule" else None,
        on_click=session.compare if running else presets.compare,
        args=(None if running else name, config),
        help=text,
    )
