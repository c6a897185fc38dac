"""Title, note and tags of one run; each with its message where it can't be used."""

from collections.abc import Mapping

import streamlit as st

from pages.parts.markdown import plain
from pages.parts.runs import source
from samedge_core.store import Entry
from samedge_core.store.texts import LONGEST_NOTE, LONGEST_TAG, LONGEST_TITLE, MOST_TAGS

COMPLAINTS = "runs:complaints"


def draw(entry: Entry) -> None:
    """A form with what people say about the run."""
    complaints: Mapping[str, str] = st.session_state.get(COMPLAINTS, {}).get(entry.id, {})
    with st.form(f"runs:edit:{entry.id}", border=False):
        st.text_input(
            "Title",
            entry.title,
            key=_key(entry, "title"),
            help=f"The run's name in tables and charts, at most {LONGEST_TITLE} characters.",
        )
        _complain(complaints, "title")
        known = source.opened().catalogue.known_tags()
        st.multiselect(
            "Tags",
            known,
            list(entry.tags),
            accept_new_options=True,
            key=_key(entry, "tags"),
            placeholder="choose, or type a new one",
            help=f"Words to find the run by: at most {MOST_TAGS}, of at most {LONGEST_TAG} "
            "characters each.",
        )
        _complain(complaints, "tags")
        # below the tags, whose list of choices would cover the button
        st.text_area(
            "Note",
            entry.note,
            key=_key(entry, "note"),
            height=110,
            help=f"Anything worth keeping about the run, at most {LONGEST_NOTE:,} characters.",
        )
        _complain(complaints, "note")
        st.form_submit_button("Save", key=f"runs:save:{entry.id}", on_click=_save, args=(entry,))


def _key(entry: Entry, name: str) -> str:
    return f"runs:edit:{entry.id}:{name}"


def _complain(complaints: Mapping[str, str], name: str) -> None:
    if name in complaints:
        st.error(plain(complaints[name]))


def _save(entry: Entry) -> None:
    """Keep what can be used, and say what can't."""
    complaints = {}
    for name in ("title", "note", "tags"):
        value = st.session_state[_key(entry, name)]
        try:
            source.opened().label(entry.id, **{name: value})
        except ValueError as error:
            complaints[name] = f"Not saved: {error}."
    st.session_state[COMPLAINTS] = {entry.id: complaints}
