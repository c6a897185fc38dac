"""The lesson that this browser session is at, and its runs; draws nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from pages.parts.frame import navigation
from pages.parts.lab import session
from pages.parts.markdown import brief, plain
from pages.parts.server import begin, registry, seen, steers
from samedge_core.experiments.lessons import LESSONS, Lesson, Outcome, lesson_of
from samedge_core.fields import ConfigError
from samedge_core.training.plan import Replay
from samedge_core.training.stop import BY_ITSELF
from samedge_core.worker.view import Phase, RunView

KEY = "lessons:at"  # of the choice of a lesson
SUMMARY = "summary"  # chosen instead of one: what was learnt
KNOB = "lessons:knob"  # of the choice of a value
_BEGUN = "lessons:runs"  # in the session: by lesson, what was begun last
_DONE = "lessons:done"  # in the session: names of the lessons that have had their answer


@dataclass(frozen=True)
class _Begun:
    """The ids of a lesson's runs, none while a curve is drawn, and the knob's value for them."""

    ids: tuple[str, ...]
    value: float


@dataclass(frozen=True)
class Watched:
    """The runs of a lesson as they stand, without their rows.

    Attributes:
        value: of the knob, that they were made at; None where it has not been turned either.
    """

    views: tuple[RunView, ...]
    value: float | None

    @property
    def foretold(self) -> bool:
        """Whether no run has taken a step: there is what is predicted of it, at most."""
        return all(view.last_step < 0 for view in self.views)

    @property
    def active(self) -> bool:
        """Whether one is on its way."""
        return any(view.phase.active for view in self.views)

    @property
    def finished(self) -> bool:
        """Whether all have come to an end by themselves."""
        stops = [view.stop for view in self.views if view.phase is Phase.ENDED]
        ended = [stop for stop in stops if stop and stop.reason in BY_ITSELF]
        return bool(self.views) and len(ended) == len(self.views)


def attach() -> Lesson | None:
    """On a first visit, and after Back or Forward, take up what the link names: the lesson, the
    guess, the runs with the knob's value that they were made at, and the lessons that are done.
    Returns the lesson, or None for what was learnt in all of them."""
    if KEY not in st.session_state or navigation.by_history():
        _take_up_done(st.query_params.get("done", ""))
        named = st.query_params.get("lesson", "")
        lesson = lesson_of(named)
        if named and named != SUMMARY and lesson is None:
            st.session_state["notice"] = (
                f"There is no lesson '{brief(named)}'; this is the first. A link may say a number "
                f"from 1 to {len(LESSONS)}, {SUMMARY}, or one of: {', '.join(LESSONS)}."
            )
        lesson = lesson or next(iter(LESSONS.values()))
        st.session_state[KEY] = SUMMARY if named == SUMMARY else lesson.name
        if named != SUMMARY:
            _take_up_runs(lesson)
    return LESSONS.get(st.session_state[KEY])


def _take_up_done(text: str) -> None:
    """Mark the lessons whose numbers the link has, separated by commas."""
    numbers = {str(number): name for number, name in enumerate(LESSONS, start=1)}
    named = text.split(",") if text else []
    _done().update(numbers[one] for one in named if one in numbers)
    if wrong := [one for one in named if one not in numbers]:
        st.session_state["notice"] = (
            f"The link says done={brief(','.join(wrong))}; lessons have numbers from 1 to "
            f"{len(LESSONS)}, separated by commas."
        )


def _take_up_runs(lesson: Lesson) -> None:
    """The guess or curve, and the runs, that the link has of this lesson."""
    value = st.query_params.get("value", "")
    values = [one for one in lesson.knob.values if f"{one:g}" == value] or [lesson.knob.default]
    if lesson.canvas:
        _all()[lesson.name] = _Begun((), values[0])
        keep_sketch(lesson, values[0], st.query_params.get("sketch", ""))
    guesses = [] if lesson.canvas else [str(number) for number in range(len(lesson.answers))]
    if (guess := st.query_params.get("guess", "")) in guesses:
        st.session_state[guess_key(lesson)] = int(guess)
    if linked := tuple(session.linked_runs()):
        _all()[lesson.name] = _Begun(linked, values[0])


def guess_key(lesson: Lesson) -> str:
    """Of the choice of an answer."""
    return f"lessons:guess:{lesson.name}"


def keep_sketch(lesson: Lesson, value: float, text: str) -> None:
    """Keep the curve drawn for this value of the knob, or say why it can't be used."""
    assert lesson.canvas, f"{lesson.name} has no chart to draw on"
    try:
        lesson.canvas.read(text)
    except ConfigError as error:
        st.session_state["notice"] = f"This curve can't be shown: {plain(str(error))}"
    else:
        st.session_state[_sketch_key(lesson, value)] = text


def sketch(lesson: Lesson, value: float) -> str:
    """The curve that was drawn for this value of the knob, as a link has it; empty without one."""
    return st.session_state.get(_sketch_key(lesson, value), "")


def _sketch_key(lesson: Lesson, value: float) -> str:
    return f"lessons:sketch:{lesson.name}:{value:g}"


def look(lesson: Lesson) -> Watched:
    """The runs of a lesson as of now; looking keeps them going. One that has been deleted, or that
    was changed in the live lab, belongs to it no more: that is said once."""
    begun = _all().get(lesson.name)
    if begun is None or not begun.ids:
        return Watched((), begun.value if begun else None)
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
        _done().add(lesson.name)
    return watched


def link(lesson: Lesson | None) -> None:
    """Have the link name what is shown, and the lessons that are done: a reload keeps them."""
    named = {"lesson": lesson.name if lesson else SUMMARY}
    if lesson and (guess := st.session_state.get(guess_key(lesson))) is not None:
        named["guess"] = str(guess)
    if lesson:
        begun = _all().get(lesson.name, _Begun((), lesson.knob.default))
        value = "" if begun.value == lesson.knob.default else f"{begun.value:g}"
        drawn = sketch(lesson, begun.value)
        texts = {"run": ",".join(begun.ids), "value": value, "sketch": drawn}
        named |= {name: text for name, text in texts.items() if text}
    if numbers := [str(k) for k, name in enumerate(LESSONS, start=1) if done(name)]:
        named["done"] = ",".join(numbers)
    navigation.put_address(named)


def ids(lesson: Lesson) -> Sequence[str]:
    """Of its runs."""
    begun = _all().get(lesson.name)
    return begun.ids if begun else ()


def outcome(lesson: Lesson) -> Outcome:
    """What its finished runs have shown."""
    return lesson.observe([registry().history(run) for run in ids(lesson)])


def done(name: str) -> bool:
    """Whether the question of this lesson has had its answer, here or where the link is from."""
    return name in _done()


def _done() -> set[str]:
    return st.session_state.setdefault(_DONE, set())


def start(lesson: Lesson, value: float) -> None:
    """Replace the runs of a lesson by new ones; the old ones end, their records stay."""
    clear(lesson, value)
    # with a curve, the prediction comes first
    how = {"paused": True, "pace": lesson.canvas.pace} if lesson.canvas else {}
    begun = tuple(begin(r.config, planned=r.interventions, **how) for r in lesson.replays(value))
    _all()[lesson.name] = _Begun(begun, value)
    if not lesson.canvas:
        # a warm worker has its first rows within moments: the first picture then shows them
        registry().wait_for_rows(begun[0], timeout=0.3)


def clear(lesson: Lesson, value: float) -> None:
    """End the runs of a lesson, their records stay, and have none at this value of the knob yet."""
    for run in filter(steers, ids(lesson)):
        registry().stop(run)
    _all()[lesson.name] = _Begun((), value)


def pause_or_go_on(lesson: Lesson) -> None:
    """What the first button does while there are runs that have not finished."""
    watched = look(lesson)
    for view in watched.views:
        if not steers(view.id):
            continue
        if view.phase.active:
            registry().pause(view.id)
        elif not watched.active and not (view.stop and view.stop.reason in BY_ITSELF):
            session.resume(view.id)


def go(name: str) -> None:
    """Turn to another lesson, or to what was learnt."""
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
