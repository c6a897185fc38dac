"""The registry of all runs of this server."""

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from pages.parts.markdown import plain
from samedge_core.sharing.files import SavedError
from samedge_core.store import open_store
from samedge_core.worker.registry import RunRegistry
from samedge_core.worker.view import RunView

T = TypeVar("T")


@st.cache_resource(show_spinner=False)
def registry() -> RunRegistry:
    """All runs of this server. One for everybody: a session's own would die with its websocket."""
    found = RunRegistry()
    found.record_in(open_store)
    return found


def known(run_id: str) -> bool:
    """Whether the run can be shown; one that only the store has is taken up from there."""
    return _shown(run_id, registry().open) is True


def seen(run_id: str, *, start: int = -1, most: int = 0) -> RunView | None:
    """The run as of now, with at most so many rows after `start`; None for one that is gone."""
    return _shown(run_id, lambda run: registry().view(run, start=start, most=most))


def _shown(run_id: str, ask: Callable[[str], T]) -> T | None:
    """The answer; None for a run that is gone, and for a damaged one, of which the page tells."""
    try:
        return ask(run_id)
    except KeyError:
        return None
    except SavedError as error:
        run = plain(run_id)
        st.session_state["notice"] = f"The run {run} can't be shown: {plain(str(error))}"
        return None
