"""What people say of a run, and ask for: the one gate of titles, notes, tags, ids and searches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from samedge_core.fields import abridged

LABELS = ("title", "note", "starred", "pinned")
LONGEST_TITLE, LONGEST_NOTE, LONGEST_TAG, MOST_TAGS = 200, 10_000, 64, 30
LONGEST_ID = 64
MOST_WORDS, LONGEST_SEARCH = 20, 200  # of a search; a database refuses thousands of conditions


def is_id(text: object) -> bool:
    """Whether a run can have this id, which becomes the name of its folder."""
    return isinstance(text, str) and text.isascii() and text.isalnum() and len(text) <= LONGEST_ID


def checked_title(text: str) -> str:
    """The title of a run.

    Raises:
        ValueError: it is too long, or can't be stored; shown with what is allowed.
    """
    return _checked("title", text, LONGEST_TITLE)


def checked_note(text: str) -> str:
    """The note on a run; raises as `checked_title` does."""
    return _checked("note", text, LONGEST_NOTE)


def checked_tags(words: Iterable[str]) -> list[str]:
    """The tags of a run as they are kept: in order, without blanks around them and each once.

    Raises:
        ValueError: too many, or one that is too long or can't be stored.
    """
    if isinstance(words, str) or not isinstance(words, Iterable):
        raise ValueError(f"tags must be a list of words, got {abridged(words)}")
    checked = {_checked("a tag", word, LONGEST_TAG, spare=True) for word in words} - {""}
    if len(checked) > MOST_TAGS:
        raise ValueError(f"a run has at most {MOST_TAGS} tags, got {len(checked):,}")
    return sorted(checked)


def checked_labels(labels: Mapping[str, Any]) -> dict[str, Any]:
    """Labels of a run as they are kept: title, note, starred, pinned and tags, or some of them;
    None leaves one as it is.

    Raises:
        ValueError: no such label, or one that can't be kept.
    """
    if unknown := set(labels) - {*LABELS, "tags"}:
        raise ValueError(f"labels are {', '.join(LABELS)} and tags, got {sorted(unknown)}")
    given = {name: value for name, value in labels.items() if value is not None}
    return {name: _CHECKS.get(name, bool)(value) for name, value in given.items()}


_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "title": checked_title,
    "note": checked_note,
    "tags": checked_tags,
}


def search_words(text: str) -> list[str]:
    """The words that are searched for: the first MOST_WORDS in the first LONGEST_SEARCH characters,
    as a database can hold them."""
    storable = text[:LONGEST_SEARCH].replace("\0", " ").encode(errors="replace").decode()
    return storable.split()[:MOST_WORDS]


def _checked(name: str, text: str, most: int, *, spare: bool = False) -> str:
    """`text`, without blanks around it where they are to `spare`."""
    if not isinstance(text, str):
        raise ValueError(f"{name} must be a text, got {abridged(text)}")
    text = text.strip() if spare else text
    if len(text) > most:
        raise ValueError(
            f"{name} must have at most {most:,} characters, got {len(text):,}: {abridged(text)}"
        )
    if "\0" in text:  # PostgreSQL has no such character
        raise ValueError(f"{name} must not contain the character NUL, got {abridged(text)}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} must be UTF-8, got {abridged(text)}") from None
    return text
