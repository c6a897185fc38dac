"""SAMEdge, the lessons: guess what a run will do, watch it, and read why."""

import streamlit as st

from pages.parts.components.live import View, live_charts
from pages.parts.frame import fragments, navigation, ticks
from pages.parts.frame.parts import part
from pages.parts.lab import session
from pages.parts.lessons import pictures, reading, runs, sketching
from pages.parts.lessons.runs import Watched
from pages.parts.markdown import plain
from pages.parts.views import feed, formula, progress
from pages.parts.views.names import names
from samedge_core.experiments.lessons import Lesson
from samedge_core.theory.rules import RULES

# the answer has five lines at most
_STYLE = """
<style>
  .st-key-lessons-answer { min-height: 9.5rem; }
  .st-key-lessons-picture { min-height: 300px; }
  @media (max-width: 1300px) { .st-key-lessons-picture { min-height: 262px; } }  /* with Play */
  @media (min-width: 1000px) {  /* two looks at networks, side by side */
    .st-key-lessons-picture :has(> [role=figure] ~ [role=figure]) > [role=figure]
      { grid-column: span 3 !important; }
  }
  @media (max-width: 640px) {  /* a phone: the picture before the reason */
    [data-testid="stHorizontalBlock"]:has(> .stColumn .st-key-lessons-answer)
      { flex-direction: column; gap: 0.5rem; }
    .stColumn:has(.st-key-lessons-answer),
    .stColumn:has(.st-key-lessons-answer) > [data-testid="stVerticalBlock"] { display: contents; }
    .stColumn:has(.st-key-lessons-picture) { order: 1; }
    :has(> .st-key-lessons-why) { order: 2; }
    .st-key-lessons-answer { min-height: 0; }
  }
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
    watched = runs.look(lesson) if lesson else None
    runs.link(lesson)
    if notice := st.session_state.pop("notice", None):
        st.warning(notice)
    if lesson is None or watched is None:
        _choice()
        with part("What was learnt"):
            reading.draw_summary()
        return
    left, right = st.columns([2, 3], gap="medium")
    with left:
        _choice()
        with part("The lesson"):
            reading.draw(lesson, watched)
    with right:
        every = (
            ticks.seconds(watched.views) if watched.active or _to_come(lesson, watched) else None
        )
        fragments.draw(_watch, lesson, _state(lesson, watched), every=every, name="What is watched")


def _choice() -> None:
    with part("The choice of a lesson"):
        reading.draw_choice()


def _state(lesson: Lesson, watched: Watched) -> list[tuple[object, ...]]:
    """What the text beside the charts, and the ticks, were drawn for."""
    runs_now = [(view.id, view.phase, view.pausing) for view in watched.views]
    value = lesson.knob.default if watched.value is None else watched.value
    return [
        *runs_now,
        (not watched.active and _to_come(lesson, watched), runs.sketch(lesson, value)),
    ]


def _to_come(lesson: Lesson, watched: Watched) -> bool:
    """Whether the picture of runs that stand still is still to change."""
    if lesson.canvas:
        return any(map(sketching.to_come, watched.views))
    return pictures.to_come(lesson, watched.views)


def _watch(lesson: Lesson, drawn_for: list[tuple[object, ...]]) -> None:
    """The charts and how far their runs have come, drawn anew at every tick."""
    watched = runs.look(lesson)
    if _state(lesson, watched) != drawn_for:
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
    value = lesson.knob.default if watched.value is None else watched.value
    with part("The picture"):
        (sketching if lesson.canvas else pictures).draw(lesson, value, views)
    # the formula is an answer: it stands there from the first run on
    with st.container(key="lessons-formula"), part("The formula"):
        if views:
            formula.show(views[-1:], views[-1].config.rule)
    if lesson.canvas:  # it has all that is asked for
        return
    updates = feed.updates(views, called, charts)
    operator = any(RULES[one.config.rule].preconditioned for one in lesson.replays(value))
    with part("The charts"):
        live_charts(
            updates,
            View(log_y=lesson.log_y, operator=operator),
            key=charts,
            charts="lesson",
            on_resync=lambda: feed.forget_sent(charts),
        )


main()
