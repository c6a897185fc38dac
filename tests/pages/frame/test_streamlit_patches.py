"""Streamlit's session between the end of one run and the next; the rest is in tests/browser."""

import asyncio
import importlib
import inspect
from concurrent.futures import ThreadPoolExecutor

import pytest
import streamlit
from streamlit.runtime.app_session import AppSession, AppSessionState
from streamlit.runtime.scriptrunner import RerunData, ScriptRunner
from streamlit.runtime.state.session_state import SessionState
from streamlit.testing.v1 import AppTest

from pages.parts.frame import streamlit_patches


class Ended:
    """A run's thread that takes no more requests."""

    def request_rerun(self, _: RerunData) -> bool:
        return False


@pytest.fixture
def started(monkeypatch):
    """What threads were started with. Streamlit is as before when the test has ended."""
    given: list[RerunData] = []
    monkeypatch.setattr(
        AppSession,
        "_create_scriptrunner",
        lambda _, initial_rerun_data: given.append(initial_rerun_data),
    )
    return given


@pytest.mark.parametrize("closed", [False, True])
def test_a_run_starts_when_all_of_the_last_one_has_been_taken_notice_of(started, closed):
    streamlit_patches._show_all()
    # in a thread of its own: the tests with a browser leave their loop running in this one
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _ask(started, closed)).result()


def test_without_the_patch_a_run_starts_before_that(started, monkeypatch):
    request_rerun = inspect.unwrap(AppSession.request_rerun)
    monkeypatch.setattr(AppSession, "request_rerun", request_rerun)
    session = AppSession.__new__(AppSession)
    session._state = AppSessionState.APP_IS_RUNNING
    session._scriptrunner = Ended()  # pyright: ignore[reportAttributeAccessIssue]
    session.request_rerun(None)
    assert len(started) == 1
    session._state = AppSessionState.SHUTDOWN_REQUESTED  # it has nothing to clear up


def interrupted() -> None:
    """A page on which a second click arrives in the callback of the first."""
    import streamlit as st
    from streamlit.runtime.scriptrunner import RerunData
    from streamlit.runtime.scriptrunner_utils.script_run_context import get_script_run_ctx

    def pressed() -> None:
        context = get_script_run_ctx()
        assert context is not None
        assert context.script_requests is not None
        context.script_requests.request_rerun(RerunData())
        st.session_state["ended"] = True

    st.button("One", on_click=pressed)


@pytest.mark.parametrize("patched", [True, False], ids=["with", "without"])
def test_a_callback_is_heard_to_its_end_with_the_patch_and_not_without_it(patched, monkeypatch):
    name = "_maybe_handle_execution_control_request"
    monkeypatch.setattr(ScriptRunner, name, inspect.unwrap(getattr(ScriptRunner, name)))
    if patched:
        streamlit_patches._hear_whole()
    app = AppTest.from_function(interrupted).run()
    app.button[0].click().run()
    assert not app.exception
    assert ("ended" in app.session_state) == patched


def test_another_version_of_streamlit_is_refused_at_import(monkeypatch):
    monkeypatch.setattr(streamlit, "__version__", "1.68.0")
    with pytest.raises(ImportError, match=r"Streamlit 1\.67, and this is 1\.68\.0: install"):
        importlib.reload(streamlit_patches)


async def _ask(started: list[RerunData], closed: bool) -> None:
    session = AppSession.__new__(AppSession)
    session._event_loop = asyncio.get_running_loop()
    session._state = AppSessionState.APP_IS_RUNNING
    session._scriptrunner = Ended()  # pyright: ignore[reportAttributeAccessIssue]
    session.request_rerun(None)
    await asyncio.sleep(0.02)
    assert not started
    if closed:
        session._state = AppSessionState.SHUTDOWN_REQUESTED
    session._scriptrunner = None  # what the notice does
    await asyncio.sleep(0.02)
    assert len(started) == (not closed)
    session._state = AppSessionState.SHUTDOWN_REQUESTED  # it has nothing to clear up


def failing() -> None:
    """A page with a callback that fails."""
    import streamlit as st

    from pages.parts.frame.parts import show_failed_actions

    def pressed() -> None:
        raise RuntimeError("*broken*")

    show_failed_actions()
    st.button("One", on_click=pressed)
    st.button("Stop")


@pytest.mark.parametrize("patched", [True, False], ids=["with", "without"])
def test_a_page_is_drawn_after_a_callback_that_fails_with_the_patch_and_not_without_it(
    patched, monkeypatch, failures
):
    name = "_run_callback_and_record_rerun"
    monkeypatch.setattr(SessionState, name, inspect.unwrap(getattr(SessionState, name)))
    if patched:
        streamlit_patches._go_on()
    app = AppTest.from_function(failing).run()
    app.button[0].click().run()
    assert [item.label for item in app.button] == (["One", "Stop"] if patched else [])
    assert bool(app.exception) is not patched
    if patched:
        assert r"(RuntimeError\: \*broken\*)" in app.error[0].value.replace("\u2060", "")
    failures.clear()
