"""The lesson that this browser session is at, and its runs; draws nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from pages.parts.frame import navigation
from pages.parts.lab import session
from pages.parts.markdown import brief
from pages.parts.server import begin, registry, seen, steers
from samedge_core.experiments.lessons import LESSONS, Lesson, Outcome
from samedge_core.training.plan import Replay
from samedge_core.training.stop import StopReason
from samedge_core.worker.view import Phase, RunView

KEY = "lessons:at"  # of the choice of a lesson
KNOB = "lessons:knob"  # of the choice of a value
_BEGUN = "lessons:runs"  # in the session: by lesson, what was begun last
_DONE = "lessons:done"  # in the session: the lessons that have had their answer
_FINAL = (StopReason.STEP_CAP, StopReason.CONVERGED, StopReason.DIVERGED)


@dataclass(frozen=True)
class _Begun:
    """The ids of a lesson's runs, and the knob's value that they were made at."""

    ids: tuple[str, ...]
    value: float


@dataclass(frozen=True)
class Watched:
    """The runs of a lesson as they stand, without their rows.

    Attributes:
        value: of the knob, that they were made at; None without any.
    """

    views: tuple[RunView, ...]
    value: float | None

    @property
    def active(self) -> bool:
        """Whether one is on its way."""
        return any(view.phase.active for view in self.views)

    @property
    def finished(self) -> bool:
        """Whether all have come to an end by themselves."""
        stops = [view.stop for view in self.views if view.phase is Phase.ENDED]
        ended = [stop for stop in stops if stop and stop.reason in _FINAL]
        return bool(self.views) and len(ended) == len(self.views)


def attach() -> Lesson:
    """On a first visit, and after Back or Forward, take up what the link names: the lesson, the
    guess, and the runs with the knob's value that they were made at. Returns the lesson."""
    if KEY not in st.session_state or navigation.by_history():
        named = st.query_params.get("lesson", "")
        lesson = LESSONS.get(named, next(iter(LESSONS.values())))
        if named and named not in LESSONS:
            st.session_state["notice"] = (
                f"There is no lesson '{brief(named)}'; this is the first. Others: "
                f"{', '.join(LESSONS)}."
            )
        st.session_state[KEY] = lesson.name
        guesses = [str(number) for number in range(len(lesson.answers))]
        if (guess := st.query_params.get("guess", "")) in guesses:
            st.session_state[guess_key(lesson)] = int(guess)
        if linked := tuple(session.linked_runs()):
            value = st.query_params.get("value", "")
            values = [one for one in lesson.knob.values if f"{one:g}" == value]
            _all()[lesson.name] = _Begun(linked, values[0] if values else lesson.knob.default)
    return LESSONS[st.session_state[KEY]]


def guess_key(lesson: Lesson) -> str:
    """Of the choice of an answer."""
    return f"lessons:guess:{lesson.name}"


def look(lesson: Lesson) -> Watched:
    """The runs of a lesson as of now; looking keeps them going. One that has been deleted, or that
    was changed in the live lab, belongs to it no more: that is said once."""
    begun = _all().get(lesson.name)
    if begun is None:
        return Watched((), None)
    views = tuple(view for run in begun.ids if (view := seen(run)))
    here = len(views) == len(begun.ids)
    if not (here and _fits(lesson, begun)):
        del _all()[lesson.name]
        st.session_state["notice"] = (
            "The runs shown here were changed in the live lab, or are another lesson's. Press "
            "Start for new ones."
            if here
            else f"{', '.join(map(brief, begun.ids))}: not on this server, but deleted or recorded "
            "elsewhere. Press Start for new runs."
        )
        return Watched((), None)
    watched = Watched(views, begun.value)
    if watched.finished and begun.value == lesson.knob.default:
        st.session_state.setdefault(_DONE, set()).add(lesson.name)
    return watched


def link(lesson: Lesson) -> None:
    """Have the link name what is shown."""
    named = {"lesson": lesson.name}
    if (guess := st.session_state.get(guess_key(lesson))) is not None:
        named["guess"] = str(guess)
    if begun := _all().get(lesson.name):
        named["run"] = ",".join(begun.ids)
        if begun.value != lesson.knob.default:
            named["value"] = f"{begun.value:g}"
    navigation.put_address(named)


def ids(lesson: Lesson) -> Sequence[str]:
    """Of its runs."""
    begun = _all().get(lesson.name)
    return begun.ids if begun else ()


def outcome(lesson: Lesson) -> Outcome:
    """What its finished runs have shown."""
    return lesson.observe([registry().history(run) for run in ids(lesson)])


def done(name: str) -> bool:
    """Whether the question of this lesson has had its answer in this session."""
    return name in st.session_state.get(_DONE, ())


def start(lesson: Lesson, value: float) -> None:
    """Replace the runs of a lesson by new ones; the old ones end, their records stay."""
    for run in filter(steers, ids(lesson)):
        registry().stop(run)
    begun = tuple(begin(r.config, planned=r.interventions) for r in lesson.replays(value))
    _all()[lesson.name] = _Begun(begun, value)
    # a warm worker has its first rows within moments: the first picture then shows them
    registry().wait_for_rows(begun[0], timeout=0.3)


def pause_or_go_on(lesson: Lesson) -> None:
    """What the first button does while there are runs that have not finished."""
    watched = look(lesson)
    for view in watched.views:
        if not steers(view.id):
            continue
        if view.phase.active:
            registry().pause(view.id)
        elif not watched.active and not (view.stop and view.stop.reason in _FINAL):
            session.resume(view.id)


def go(name: str) -> None:
    """Turn to another lesson."""
    st.session_state[KEY] = name


def _fits(lesson: Lesson, begun: _Begun) -> bool:
    """Whether its runs are the lesson's own."""
    if not begun.ids:
        return False
    histories = map(registry().history, begun.ids)
    made = [Replay(history.config, tuple(history.interventions)) for history in histories]
    return lesson.made_at(begun.value, made)


def _all() -> dict[str, _Begun]:
    return st.session_state.setdefault(_BEGUN, {})
