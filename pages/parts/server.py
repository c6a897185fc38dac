"""The registry of all runs of this server."""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import streamlit as st

from pages.parts.frame import navigation
from pages.parts.markdown import plain
from samedge_core.sharing.files import SavedError
from samedge_core.store import open_store
from samedge_core.store.catalogue import CatalogueError
from samedge_core.training.config import Changes, RunConfig
from samedge_core.worker.registry import RunRegistry
from samedge_core.worker.view import RunView

T = TypeVar("T")
OWN = "own"  # in the session: ids of the runs that it has begun

_log = logging.getLogger(__name__)


@st.cache_resource(show_spinner=False)
def registry() -> RunRegistry:
    """All runs of this server. One for everybody: a session's own would die with its websocket."""
    try:
        return RunRegistry(store=open_store())
    except (CatalogueError, OSError, ValueError) as error:
        _log.warning("runs are not recorded: %s", error)
        return RunRegistry()


def begin(config: RunConfig, **how: Any) -> str:
    """Start a run of this session, as `RunRegistry.start`; returns its id."""
    return _own(registry().start(config, **how))


def fork(run_id: str, step: int, changes: Changes, **how: Any) -> str:
    """Fork a run of this session off any, as `RunRegistry.fork`; returns its id."""
    return _own(registry().fork(run_id, step, changes, **how))


def _own(run_id: str) -> str:
    st.session_state.setdefault(OWN, set()).add(run_id)
    return run_id


def steers(run_id: str) -> bool:
    """Whether this session may pause, change or end the run: in a frame of another site, where a
    click may not mean what it seems to, only one that it has begun."""
    return not navigation.embedded() or run_id in st.session_state.get(OWN, ())


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
