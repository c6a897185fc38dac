"""What a lesson says: its question before the run, the answer and the reason after it."""

import re

import streamlit as st

from pages.parts.frame import keys
from pages.parts.lessons import pictures, runs, sketching
from pages.parts.lessons.runs import SUMMARY, Watched
from samedge_core.experiments.lessons import LEARNT, LESSONS, Lesson

NAMES = [*LESSONS, SUMMARY]
LAST = "What was learnt"
OPEN = "lessons:open"  # in the session: runs that the live lab is to show


def draw_choice() -> None:
    """All lessons, and which of them have had their answer."""
    answered = [str(number) for number, name in enumerate(LESSONS, start=1) if runs.done(name)]
    which = f": {', '.join(answered)}" if answered else ""
    st.selectbox(
        f"{len(answered)} of {len(LESSONS)} lessons answered{which}",
        NAMES,
        key=runs.KEY,
        # not marked there: an option must read the same at every run of the page
        format_func=_title,
        help="The address of this page keeps which lessons have had their answer.",
    )


def _title(name: str) -> str:
    return f"{NAMES.index(name) + 1}. {LESSONS[name].title}" if name in LESSONS else LAST


def draw_summary() -> None:
    """What the lessons add up to, each sentence with the lessons that show it."""
    st.markdown(f"##### {LAST}")
    for number, (sentence, shown_by) in enumerate(LEARNT, start=1):
        left, right = st.columns([2, 1], vertical_alignment="center")
        left.markdown(f"{number}. {_unbroken(sentence)}")
        for name in shown_by:
            right.button(
                _title(name),
                key=f"lessons:learnt:{number}:{name}",
                type="tertiary",
                icon=":material/school:",
                on_click=runs.go,
                args=(name,),
                help="The lesson that shows this.",
            )
    st.page_link("app.py", label="On to the live lab", icon=":material/arrow_forward:")


def draw(lesson: Lesson, watched: Watched) -> None:
    """The text, the question and the buttons; once the runs have ended, what they have shown."""
    st.markdown(f"##### {_title(lesson.name)}\n\n{_unbroken(lesson.lead)}")
    st.markdown(f"**{_unbroken(lesson.question)}**")
    if not lesson.canvas:
        st.radio(
            "Your guess, before you look",
            range(len(lesson.answers)),
            index=None,
            key=runs.guess_key(lesson),
            format_func=lesson.answers.__getitem__,
            persist_state="session",
            disabled=runs.done(lesson.name),
            label_visibility="collapsed",
        )
    _buttons(lesson, watched)
    with st.container(key="lessons-answer"):  # as high as it may get: what follows stays in place
        _answer(lesson, watched)
    answered = runs.done(lesson.name) or watched.finished
    if answered or watched.value not in (None, lesson.knob.default):
        _knob(lesson, watched)
    if answered:
        with st.container(key="lessons-why"):
            st.markdown(f"**Why.** {_unbroken(lesson.why)}")
            _to_picture(lesson, watched)


def _to_picture(lesson: Lesson, watched: Watched) -> None:
    value = lesson.knob.default if watched.value is None else watched.value
    if found := pictures.link(lesson, value, watched.views):
        page, address = found
        st.page_link(
            page,
            label="Change everything in this picture",
            icon=":material/architecture:",
            query_params=address,
            help="A page of its own with these settings: each slider answers at once.",
        )


def _unbroken(text: str) -> str:
    """No line ends within 2/η, or between a setting and its value."""
    return re.sub(r"(?<=[ηρλ]) = (?=[\d−])", "\u00a0=\u00a0", text).replace("2/η", "2/\u2060η")


def _buttons(lesson: Lesson, watched: Watched) -> None:
    value = lesson.knob.default if watched.value is None else watched.value
    drawing = lesson.canvas is not None
    act, given = (runs.start, (lesson, value)), "play_arrow"
    if not watched.views:
        label = "See what the theory says" if drawing else "Start"
        given = "line_style" if drawing else given
    elif watched.finished:
        label, given = ("Draw anew", "draw") if drawing else ("Run again", given)
        act = (runs.clear, (lesson, value)) if drawing else act
    else:
        go_on = "Run" if drawing and watched.foretold else "Resume"
        label, given = ("Pause", "pause") if watched.active else (go_on, given)
        act = runs.pause_or_go_on, (lesson,)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            label,
            key="lessons:primary",
            type="primary",
            icon=f":material/{given}:",
            on_click=act[0],
            args=act[1],
        )
        if lesson.canvas and watched.views and not watched.finished:
            st.button(
                "Draw anew",
                key="lessons:anew",
                type="tertiary",
                icon=":material/draw:",
                on_click=runs.clear,
                args=(lesson, value),
                help="Ends this run, and gives your curve back to be changed.",
            )
        if watched.views:
            st.button(
                "Open in the live lab",
                key="lessons:open-button",
                type="tertiary",
                icon=":material/monitoring:",
                on_click=_to_open,
                args=(lesson,),
                help="To change anything on the way, to scrub through it, or to fork it.",
            )
        _next(lesson)
    keys.bind(p="lessons-primary", n="lessons-next")


def _next(lesson: Lesson) -> None:
    following = NAMES[NAMES.index(lesson.name) + 1]
    st.button(
        "Next",
        key="lessons:next",
        icon=":material/arrow_forward:",
        icon_position="right",
        on_click=runs.go,
        args=(following,),
        help=f"On to “{_title(following)}”.",
    )


def _to_open(lesson: Lesson) -> None:
    st.session_state[OPEN] = list(runs.ids(lesson))


def _answer(lesson: Lesson, watched: Watched) -> None:
    """What the runs have shown; before that, what to do."""
    if watched.finished:
        _shown(lesson, watched)
    elif lesson.canvas and watched.foretold and not watched.active:
        sketching.say(lesson, watched)
    elif watched.active:
        st.info("The answer is read off the run as soon as it has ended.")
    elif watched.views:
        st.info("The answer is read off the run when it has ended. Resume it to see that.")
    elif not runs.done(lesson.name) and st.session_state[runs.guess_key(lesson)] is None:
        st.caption("Guess first, then press Start: what the run shows stays with you longer.")


def _shown(lesson: Lesson, watched: Watched) -> None:
    """What the runs show, beside what was guessed of the runs that the question is about."""
    found = runs.outcome(lesson)
    guess = None if lesson.canvas else st.session_state[runs.guess_key(lesson)]
    asked = watched.value == lesson.knob.default
    of = lesson.knob.said(lesson.knob.default if watched.value is None else watched.value)
    shown = "" if found.answer is None else f"**{lesson.answers[found.answer]}** "
    box, heading = st.info, f"{of[:1].upper()}{of[1:]}: "
    if asked and guess is not None and found.answer is not None:
        if guess == found.answer:
            box, heading = st.success, f"As you guessed, {of}: "
        else:
            heading = f"You guessed “{lesson.answers[guess].rstrip('.')}”. The run shows, {of}: "
    drawn = f"{sketching.verdict(lesson, watched)}\n\n" if lesson.canvas else ""
    box(_unbroken(f"{drawn}{heading}{shown}{found.words}"))


def _knob(lesson: Lesson, watched: Watched) -> None:
    knob = lesson.knob
    st.session_state[runs.KNOB] = knob.default if watched.value is None else watched.value
    st.segmented_control(
        f"**Now you.** {knob.asks}\n\n{knob.label}",
        knob.values,
        key=runs.KNOB,
        required=True,
        format_func=lambda value: f"{value:g}",
        on_change=_turned,
        args=(lesson,),
        help="An empty chart for another curve, from the same weights."
        if lesson.canvas
        else "Starts at once, from the same weights; the run before stays as a faint line.",
    )


def _turned(lesson: Lesson) -> None:
    turn = runs.clear if lesson.canvas else runs.start
    turn(lesson, st.session_state[runs.KNOB])
