"""The map of fates as the picture of a lesson: its runs are points of it."""

from collections.abc import Sequence

import streamlit as st

from pages.parts.sweeps import zooming
from pages.parts.sweeps.atlas import summary
from pages.parts.sweeps.atlas_settings import address
from samedge_core.experiments.lessons import Lesson
from samedge_core.sweeps.fate_map import POINTS, PREVIEW, Plane, View
from samedge_core.theory.rules import RULES
from samedge_core.training.config import RunConfig

AROUND = 4  # distances between the runs, to each side


def drawn(configs: Sequence[RunConfig]) -> bool:
    """Whether these runs have a map for their picture: their rule has no way through the valley
    that could be drawn, as its step depends on more than the iterate."""
    return configs[0].problem == "two-weight" and not RULES[configs[0].rule].reach


def link(configs: Sequence[RunConfig]) -> dict[str, str]:
    """The address of this map on the page of phase diagrams."""
    return address(_plane(configs), _view(configs))


def draw(lesson: Lesson, configs: Sequence[RunConfig], *, ended: bool) -> None:
    """The map about the runs, each of which is marked, once they have ended: it has the answer."""
    if not ended:
        st.caption("Here you will see a map of what becomes of these step sizes, and all around.")
        return
    plane, state = _plane(configs), f"lessons-fates:{lesson.name}"
    asked = st.session_state.get(state, {})
    origin = str(configs[0].eta)
    if asked.get("origin") != origin:  # other runs
        asked = {"origin": origin, "view": plane.within(_view(configs)), "points": PREVIEW}

    def ask(view: View, still: bool) -> None:
        points = POINTS if still else PREVIEW
        st.session_state[state] = {"origin": origin, "view": view, "points": points}

    zooming.draw(
        plane,
        asked["view"],
        asked["points"],
        origin=origin,
        key=f"lessons-map:{lesson.name}",
        marks=[(config.eta, config.options["a"]) for config in configs],
        summary=lambda values: summary(plane, asked["view"], values),
        on_ask=ask,
        on_pick=lambda x, y: None,
    )


def _plane(configs: Sequence[RunConfig]) -> Plane:
    lead = configs[len(configs) // 2]
    start = {"a": lead.options["a"], "b": lead.options["b"]}
    return Plane("two-weight", lead.rule, eta=lead.eta, rho=lead.rho, beta=lead.beta, **start)


def _view(configs: Sequence[RunConfig]) -> View:
    first, last, a = configs[0].eta, configs[-1].eta, configs[0].options["a"]
    middle, half = (first + last) / 2, AROUND * (last - first) / 2
    return middle - half, middle + half, a - half, a + half
