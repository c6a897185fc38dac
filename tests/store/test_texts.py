"""Titles, notes, tags, ids and searches: what can be stored, and what is said of the rest."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samedge_core.store.texts import (
    LONGEST_ID,
    LONGEST_NOTE,
    LONGEST_SEARCH,
    LONGEST_TAG,
    LONGEST_TITLE,
    MOST_TAGS,
    MOST_WORDS,
    checked_note,
    checked_tags,
    checked_title,
    is_id,
    search_words,
)
from tests.fuzz import FUZZ, taken

ANY = st.text(st.characters(), max_size=LONGEST_TITLE + 20)  # half characters too


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (checked_title, "x" * 201, "title must have at most 200 characters, got 201: 'xxx"),
        (checked_title, "a\0", r"title must not contain the character NUL, got 'a\\x00'"),
        (checked_title, "caf\udce9", r"title must be UTF-8, got 'caf\\udce9'"),
        (checked_title, None, "title must be a text, got None"),
        (checked_note, "x" * 10_001, "note must have at most 10,000 characters, got 10,001"),
        (checked_tags, ["x" * 65], "a tag must have at most 64 characters, got 65"),
        (checked_tags, ["caf\udce9"], "a tag must be UTF-8"),
        (checked_tags, [3], "a tag must be a text, got 3"),
        (checked_tags, "word", "tags must be a list of words, got 'word'"),
        (checked_tags, 5, "tags must be a list of words, got 5"),
        (checked_tags, map(str, range(31)), "a run has at most 30 tags, got 31"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_words(check, value, message):
    with pytest.raises(ValueError, match=message) as caught:
        check(value)
    assert len(str(caught.value)) < 150


@settings(max_examples=FUZZ)
@given(ANY, st.lists(ANY, max_size=MOST_TAGS + 2))
def test_any_text_is_kept_as_it_is_or_refused(text, words):
    checks: list[tuple[Any, Any]] = [
        (checked_title, text),
        (checked_note, text),
        (checked_tags, words),
    ]
    for check, value in checks:
        kept = taken(lambda check=check, value=value: check(value), ValueError)
        if kept is not None:
            assert kept == check(kept)
            assert "\0" not in "".join(kept).encode().decode()
            assert len(kept) <= (MOST_TAGS if check is checked_tags else LONGEST_NOTE)
            assert max(map(len, kept), default=0) <= LONGEST_TAG


@settings(max_examples=FUZZ)
@given(st.text(st.characters(), max_size=2 * LONGEST_SEARCH))
def test_a_search_has_few_words_that_a_database_can_hold(text):
    words = search_words(text)
    assert len(words) <= MOST_WORDS
    assert "\0" not in "".join(words).encode().decode()
    assert sum(map(len, words)) <= LONGEST_SEARCH


def test_a_search_is_cut():
    assert search_words("word " * 1200) == ["word"] * MOST_WORDS
    assert search_words("x" * 60_000) == ["x" * LONGEST_SEARCH]


@pytest.mark.parametrize(
    "text", ["", "../x", "a b", "\u00e4", "x" * (LONGEST_ID + 1), "a\0", None, 3]
)
def test_what_is_no_id(text):
    assert not is_id(text)


def test_an_id():
    assert is_id("0a" * 11)
