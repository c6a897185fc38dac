"""The registry of all runs of this server."""

import logging

import streamlit as st

from pages.parts.markdown import plain
from samedge_core.sharing.files import SavedError
from samedge_core.store import open_store
from samedge_core.store.catalogue import CatalogueError
from samedge_core.worker.registry import RunRegistry

_log = logging.getLogger(__name__)


@st.cache_resource(show_spinner=False)
def registry() -> RunRegistry:
    """All runs of this server. One for everybody: a session's own would die with its websocket."""
    try:
        return RunRegistry(store=open_store())
    except (CatalogueError, OSError, ValueError) as error:
        _log.warning("runs are not recorded: %s", error)
        return RunRegistry()


def known(run_id: str) -> bool:
    """Whether the run can be shown; one that only the store has is taken up from there."""
    try:
        return registry().open(run_id)
    except SavedError as error:
        run = plain(run_id)
        st.session_state["notice"] = f"The run {run} can't be shown: {plain(str(error))}"
        return False
