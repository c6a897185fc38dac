"""The picture that follows the steps of the shown runs: the loss around the iterate, and where the
step goes from there."""

from collections.abc import Sequence

import streamlit as st

from pages.parts import server
from pages.parts.components.figures import figures
from pages.parts.frame.parts import part
from pages.parts.markdown import plain
from pages.parts.views import slices
from samedge_core.training.inspection import Inspection
from samedge_core.worker.view import Phase, RunView

KEY = "follow"  # of the toggle
ASKED = "follow:asked"  # in the session: the recorded step that was asked for last, of each run
SLOW = 2  # steps a second: a faster run has moved on before its picture is seen
WAIT_SECONDS = 0.4  # for a picture, which then comes with the answer to the click
TALL, SHORT = 300, 230  # pixels, of one run and of several
HELP = (
    "A picture of the step that comes next: the loss along v₁ (the direction in which it curves "
    "most) and along the gradient g, with the iterate w, the perturbed point at which SAM takes "
    "its gradient, and the next iterate w′. It follows a run that is paused, stepped or slower "
    f"than {SLOW} steps/s, and the settings as you change them; with a cursor in the charts, it "
    "shows the step there."
)


def toggle() -> bool:
    """Draw the switch; whether it is on."""
    return st.toggle("Follow the step", key=KEY, persist_state="session", help=HELP)


def on() -> bool:
    """Whether the picture is shown."""
    return st.session_state.get(KEY, False)


def draw(views: Sequence[RunView], called: Sequence[str], cursor: int | None) -> None:
    """A row of figures for each run, and what they show in words."""
    for view in views:
        _ask(view, cursor)
    views = [_awaited(view, cursor) for view in views]
    height = TALL if len(views) < 2 else SHORT
    shown = []
    for view, name in zip(views, called, strict=True):
        made, whose = _made(view, cursor), f" ({name})" if name else ""
        shown += slices.figures_of(made, whose, height=height)
    for view, name in zip(views, called, strict=True):
        with part(f"The step of {name or 'this run'}"):
            _head(view, name, cursor)
    if not views:
        st.caption("Press **Step**: the picture shows each step before it is taken.")
        shown = slices.figures_of(None, "", height=height)
    figures(shown, scene="follow", key="follow-figures", on_click=lambda: None)
    for view, name in zip(views, called, strict=True):
        if made := _made(view, cursor):
            words = [f"**{name}**"] if name else []
            words += slices.in_words(made)
            st.caption(" ".join(words), help=slices.about(view.config, made))


def _ask(view: RunView, cursor: int | None) -> None:
    """Have the picture made where it is out of date."""
    registry = server.registry()
    if (step := _recorded(view, cursor)) is None:
        if _follows(view):
            registry.look_ahead(view.id)
        return
    asked, made = st.session_state.setdefault(ASKED, {}), view.inspection.made
    if asked.get(view.id) != step and not view.inspection.pending:
        asked[view.id] = step  # once: it may fail, or be cleared
        if not made or made.step != step:
            registry.inspect(view.id, step, with_spectrum=False)


def _awaited(view: RunView, cursor: int | None) -> RunView:
    """The view with the picture of the step that comes next, where that is ready within moments."""
    if _recorded(view, cursor) is not None or not _follows(view):
        return view
    server.registry().look_ahead(view.id, timeout=WAIT_SECONDS)
    return server.seen(view.id) or view


def _recorded(view: RunView, cursor: int | None) -> int | None:
    """The recorded step to show; None for the one that comes next."""
    if cursor is not None:
        return min(cursor, view.last_step) if view.last_step >= 0 else None
    return view.last_step if view.phase is Phase.ENDED and view.last_step >= 0 else None


def _follows(view: RunView) -> bool:
    """Whether the run is slow enough for a picture of each step."""
    pace = st.session_state.get("pace") if server.steers(view.id) else None
    return view.phase is Phase.PAUSED or (pace is not None and pace <= SLOW)


def _made(view: RunView, cursor: int | None) -> Inspection | None:
    found = view.inspection
    return found.ahead if _recorded(view, cursor) is None else found.made


def _head(view: RunView, name: str, cursor: int | None) -> None:
    """Which step is shown, and why it is not a newer one."""
    made, step = _made(view, cursor), _recorded(view, cursor)
    parts = [f"**{name}**"] if name else []
    if made:
        next_ = " (comes next)" if step is None and made.step == view.last_step + 1 else ""
        parts.append(f"**Step {made.step:,}**{next_}")
        parts += slices.numbers(made)
    failure = view.inspection.failure if step is not None else view.inspection.ahead_failure
    if failure:
        parts.append(f":orange[nothing to show: {plain(failure)}]")
    elif step is not None and view.inspection.pending:
        parts.append(f":gray[step {step:,} is being measured]")
    elif step is None and not _follows(view):
        parts.append(f":gray[pause, or set the speed limit to {SLOW} steps/s, to follow]")
    st.markdown(" · ".join(parts) or ":gray[The picture comes with the first step.]")
