"""What is changed in Streamlit's own private parts, all of it here, and how to get rid of it.

Five faults of Streamlit 1.67, each of which a test sees without the change:

- Heard twice (`_hear_once`). The browser sends a click after what else is due there (a timer of
  0 ms, Streamlit's pull request 10018). When that is the tick of a fragment, the tick's message
  carries the click as well, and its callback runs twice: a Pause is followed by a Resume.
- Cut off (`_hear_whole`). A callback that reads or writes the session's state is given up there
  when another click has arrived meanwhile, so that of two in quick succession one is lost.
- Not shown (`_show_all`). A click or a tick that arrives in the moment between the end of a run and
  the server's notice of it starts a new thread, and all that the run before has not yet sent is
  dropped: a button may keep its old label.
- Given up (`_go_on`). An error in a callback ends the page's run before anything is drawn: the page
  is left empty, without the buttons that stop a run.
- In the wrong place (`leave_fragment`). A click that arrives as a fragment ends is answered by the
  fragment's own thread, in which the fragment's container is still open: the page would be
  drawn anew inside of it, and the next message for the fragment would end the page in the browser.

Under another version: set MEASURED to it and run tests/pages/frame/test_streamlit_patches.py,
tests/app/test_fragments.py and tests/browser/test_clicks.py. A test named "without ..." that fails
says that its fault is gone: delete that function and its tests. When none is left, delete this file
and the two calls in navigation.py.

A further part is in `.streamlit/config.toml`: with Streamlit's `runner.fastReruns`, a click would
be heard in a second thread while the first still draws, and both would change the session's state.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import streamlit as st
from streamlit.delta_generator_singletons import context_dg_stack, get_default_dg_stack_value
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.runtime.app_session import AppSession, AppSessionState
from streamlit.runtime.scriptrunner import RerunData, ScriptRunner
from streamlit.runtime.scriptrunner_utils.script_run_context import get_script_run_ctx
from streamlit.runtime.state.session_state import SessionState

from pages.parts.frame.parts import action

MEASURED = "1.67"
if st.__version__.rpartition(".")[0] != MEASURED:
    raise ImportError(
        f"this page changes private parts of Streamlit {MEASURED}, and this is {st.__version__}: "
        f"install streamlit=={MEASURED}.*, or measure again which of its faults are left, as "
        "pages/parts/frame/streamlit_patches.py says"
    )

# what Streamlit sends for one run alone: clicks, and the events of components
_EVENTS = ("trigger_value", "json_trigger_value", "string_trigger_value", "chat_input_value")

_SOON = 0.005  # seconds


def hear() -> None:
    """From now on, each click on a page of this server is heard once, its callback runs to its end,
    and what it changes is shown, or why it failed."""
    if not hasattr(AppSession.request_rerun, "__wrapped__"):  # by an earlier visit to a page
        _hear_once()
        _hear_whole()
        _show_all()
        _go_on()


def leave_fragment() -> None:
    """Go on at the top of the page: call it first in a page's run."""
    context_dg_stack.set(get_default_dg_stack_value())


def _hear_once() -> None:
    """Ticks carry no clicks; the clicks' own messages follow them."""
    original = AppSession.request_rerun

    @wraps(original)
    def request_rerun(self: AppSession, client_state: ClientState | None) -> None:
        if client_state is not None and client_state.is_auto_rerun:
            _drop_events(client_state)
        original(self, client_state)

    AppSession.request_rerun = request_rerun


def _drop_events(client_state: ClientState) -> None:
    """Take clicks, and whatever else holds for one run alone, out of the state of the widgets."""
    widgets = client_state.widget_states.widgets
    lasting = [widget for widget in widgets if widget.WhichOneof("value") not in _EVENTS]
    del widgets[:]
    widgets.extend(lasting)


def _hear_whole() -> None:
    """What may end a run waits until the callbacks have ended, which come before the script."""
    original = ScriptRunner._maybe_handle_execution_control_request

    @wraps(original)
    def handle_request(self: ScriptRunner) -> None:
        context = get_script_run_ctx(suppress_warning=True)
        if context is None or context.has_script_started:
            original(self)

    ScriptRunner._maybe_handle_execution_control_request = handle_request


def _show_all() -> None:
    """A new thread waits until what the last one sent has been taken notice of."""
    original = AppSession._create_scriptrunner

    @wraps(original)
    def create_scriptrunner(self: AppSession, initial_rerun_data: RerunData) -> None:
        last = self._scriptrunner
        if self._state == AppSessionState.SHUTDOWN_REQUESTED:
            return
        if last is None:
            original(self, initial_rerun_data)
        elif not last.request_rerun(initial_rerun_data):  # it has ended: its notice is on its way
            self._event_loop.call_later(_SOON, create_scriptrunner, self, initial_rerun_data)

    AppSession._create_scriptrunner = create_scriptrunner


def _go_on() -> None:
    """The page is drawn after a callback that has failed, and tells of it."""
    original = SessionState._run_callback_and_record_rerun

    @wraps(original)
    def run_callback(self: SessionState, votes: Any, run: Callable[[], None]) -> None:
        def guarded() -> None:
            with action("What you clicked or entered last"):
                run()

        original(self, votes, guarded)

    SessionState._run_callback_and_record_rerun = run_callback
