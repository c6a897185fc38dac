"""Parts of a page that fail alone: a message stands in the place of one, and all others are drawn.

An error that nobody foresaw would else end the page, with the buttons that stop a run. Streamlit's
own control flow (a rerun, a stop) is no error and goes through.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from pages.parts.markdown import plain

HOW_TO_GO_ON = "The rest of this page works. Reload the page, or change what you did last."
LONGEST = 300  # characters of an error's words
_FAILED = "failed"  # in the session: messages of callbacks, which come before there is a page

_log = logging.getLogger(__name__)


@contextmanager
def part(name: str) -> Iterator[None]:
    """Draw one part of a page in this block, which the page can do without; `name` is what the
    message calls it."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - logged, and shown on the page
        _log.exception("a part of the page failed: %s", name)
        st.error(_message(f"{name} can't be shown", error), icon=":material/error:")


@contextmanager
def action(name: str) -> Iterator[None]:
    """Do what a click asks for in this block; the page tells of a failure when it is drawn next."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - logged, and shown on the page
        _log.exception("an action failed: %s", name)
        messages = st.session_state.setdefault(_FAILED, [])
        messages.append(_message(f"{name} was not done to its end", error))


def show_failed_actions() -> None:
    """Say once which actions have failed since the page was drawn."""
    for message in st.session_state.pop(_FAILED, ()):
        st.error(message, icon=":material/error:")


def _message(what: str, error: Exception) -> str:
    words = ": ".join(filter(None, [type(error).__name__, str(error)[:LONGEST]]))
    return f"{plain(what)} ({plain(words)}). {HOW_TO_GO_ON}"
