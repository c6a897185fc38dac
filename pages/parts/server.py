"""The registry of all runs of this server."""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import streamlit as st

from pages.parts.markdown import brief, plain
from samedge_core.sharing.files import SavedError
from samedge_core.store import open_store
from samedge_core.store.settings import StoreSettings
from samedge_core.training.config import Changes, RunConfig
from samedge_core.worker.registry import RunRegistry
from samedge_core.worker.settings import Settings
from samedge_core.worker.view import RunView

T = TypeVar("T")
OWN = "own"  # in the session: ids of the runs that it has begun

_log = logging.getLogger(__name__)


@st.cache_resource(show_spinner=False)
def registry() -> RunRegistry:
    """All runs of this server. One for everybody: a session's own would die with its websocket."""
    settings = Settings() if (wrong := wrong_setting()) else Settings.from_env()
    if wrong:
        _log.error("the defaults hold instead: %s", wrong)
    found = RunRegistry(settings)
    found.record_in(open_store)
    return found


@st.cache_resource(show_spinner=False)
def wrong_setting() -> str:
    """What is wrong in the environment of this server, in words; empty where nothing is."""
    try:
        StoreSettings.from_env()
        Settings.from_env()
    except ValueError as error:
        return str(error)
    return ""


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
    return not st.context.is_embedded or run_id in st.session_state.get(OWN, ())


def known(run_id: str) -> bool:
    """Whether the run can be shown; one that only the store has is taken up from there."""
    return _shown(run_id, registry().open) is True


def seen(run_id: str, *, start: int = -1, most: int = 0) -> RunView | None:
    """The run as of now, with at most so many rows after `start`; None for one that is gone."""
    return _shown(run_id, lambda run: registry().view(run, start=start, most=most))


def failed() -> dict[str, str]:
    """The runs that could not be shown in this session for no reason that was foreseen, and why:
    they are not asked for again, so that they take no other run with them."""
    return st.session_state.setdefault("failed:runs", {})


def _shown(run_id: str, ask: Callable[[str], T]) -> T | None:
    """The answer; None for a run that is gone, and for a damaged one, of which the page tells."""
    if run_id in failed():
        return None
    try:
        return ask(run_id)
    except KeyError:
        return None
    except SavedError as error:
        st.session_state["notice"] = f"The run {brief(run_id)} can't be shown: {plain(str(error))}"
        return None
    except Exception as error:  # noqa: BLE001 - logged, and told on every page
        _log.exception("the run %s can't be shown", run_id)
        failed()[run_id] = f"{type(error).__name__}: {error}"
        return None
