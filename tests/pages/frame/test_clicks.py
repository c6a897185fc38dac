"""Streamlit's session between the end of one run and the next; the rest is in tests/browser."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from streamlit.runtime.app_session import AppSession, AppSessionState
from streamlit.runtime.scriptrunner import RerunData

from pages.parts.frame import clicks


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
    clicks._show_all()
    return given


@pytest.mark.parametrize("closed", [False, True])
def test_a_run_starts_when_all_of_the_last_one_has_been_taken_notice_of(started, closed):
    # in a thread of its own: the tests with a browser leave their loop running in this one
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _ask(started, closed)).result()


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
