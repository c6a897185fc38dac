"""SAMEdge, the lessons: guess what a run will do, watch it, and read why."""

import streamlit as st

from pages.parts.components.live import View, live_charts
from pages.parts.frame import fragments, navigation, ticks
from pages.parts.frame.parts import part
from pages.parts.lab import session
from pages.parts.lessons import reading, runs
from pages.parts.lessons.runs import Watched
from pages.parts.markdown import plain
from pages.parts.views import feed, formula, progress
from pages.parts.views.names import names
from samedge_core.experiments.lessons import Lesson
from samedge_core.worker.view import Phase

# the answer has five lines at most
_STYLE = """
<style>
  .st-key-lessons-answer { min-height: 9.5rem; }
</style>
"""


def main() -> None:
    """Compose the page."""
    navigation.begin("Lessons")
    st.html(_STYLE)
    ticks.begin()
    if opened := st.session_state.pop(reading.OPEN, None):
        session.go(opened)
    lesson = runs.attach()
    watched = runs.look(lesson)
    runs.link(lesson)
    with part("The choice of a lesson"):
        reading.draw_choice()
    if notice := st.session_state.pop("notice", None):
        st.warning(notice)
    left, right = st.columns([2, 3], gap="medium")
    with left, part("The lesson"):
        reading.draw(lesson, watched)
    with right:
        every = ticks.seconds(watched.views) if watched.active else None
        fragments.draw(_watch, lesson, _state(watched), every=every, name="What is watched")


def _state(watched: Watched) -> list[tuple[str, Phase, bool]]:
    """What the text beside the charts was drawn for."""
    return [(view.id, view.phase, view.pausing) for view in watched.views]


def _watch(lesson: Lesson, drawn_for: list[tuple[str, Phase, bool]]) -> None:
    """The charts and how far their runs have come, drawn anew at every tick."""
    watched = runs.look(lesson)
    if _state(watched) != drawn_for:
        st.rerun()  # the text must follow
    charts = f"lesson:{lesson.name}"
    views = feed.poll([view.id for view in watched.views], charts)
    called = names(views)
    with st.container():  # keeps the charts in their place, however many lines there are
        for view, name in zip(views, called, strict=True):
            with part(f"The progress of {name or 'this run'}"):
                progress.show(view, name)
                if view.stop and not watched.finished:
                    what = f"{name} {view.stop.what}.".lstrip()
                    st.warning(plain(what[:1].upper() + what[1:]))
        with st.container(key="lessons-formula"), part("The formula"):
            formula.show(views[-1:], lesson.replays(lesson.knob.default)[-1].config.rule)
    updates = feed.updates(views, called, charts)
    with part("The charts"):
        live_charts(
            updates,
            View(log_y=lesson.log_y),
            key=charts,
            charts="lesson",
            on_resync=lambda: feed.forget_sent(charts),
        )


main()
