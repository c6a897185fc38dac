"""The catalogue, on SQLite and on PostgreSQL: what it lists, in which order, and for whom."""

import math
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from samedge_core.store.catalogue import (
    ALIVE_SECONDS,
    SORTABLE,
    Catalogue,
    CatalogueError,
    Query,
    write_ahead,
)
from samedge_core.store.texts import LONGEST_NOTE, LONGEST_TAG, LONGEST_TITLE, MOST_TAGS

UNKNOWN = (
    "parameters",
    "loss",
    "accuracy",
    "grad_norm",
    "sharpness",
    "edge",
    "ratio",
    "deviation",
    "stop_reason",
)


def values(**changes) -> dict:
    """What a writer knows of a run."""
    return {
        "created": 1000.0,
        "updated": 2000.0,
        "problem": "digits-mlp",
        "rule": "sam",
        "eta": 1.0,
        "rho": 0.05,
        "beta": 0.9,
        "batch_size": 0,
        "seed": 0,
        "config": "{}",
        "group_key": "g",
        "interventions": 0,
        "root": "a",
        "steps": 1300,
        "last_step": 1299,
        "parameters": 245,
        "loss": 0.1,
        "accuracy": 0.9,
        "grad_norm": 0.2,
        "sharpness": 2.0,
        "edge": 2.0,
        "ratio": 1.0,
        "deviation": 0.01,
        "stop_reason": "step cap",
        "stop_what": "",
        "server": None,
        "row_bytes": 10,
        "snapshot_bytes": 20,
        "snapshots": 1,
        **changes,
    }


def fill(catalogue: Catalogue, **runs: dict) -> None:
    for run, changes in runs.items():
        catalogue.put(run, values(**changes))


def found(catalogue: Catalogue, **query) -> list[str]:
    """Ids, in alphabetical order."""
    return sorted(entry.id for entry in catalogue.find(Query(**query)).entries)


@pytest.fixture
def clock(monkeypatch) -> Callable[[float], None]:
    """Moves the time on by so many seconds."""
    now = [time.time()]
    monkeypatch.setattr("samedge_core.store.catalogue.time.time", lambda: now[0])

    def advance(seconds: float) -> None:
        now[0] += seconds

    return advance


# --- there and back -------------------------------------------------------------------------


def test_an_entry_comes_back_as_it_was_put(catalogue):
    spark = np.array([0.5, np.nan, 1.25], dtype="f4")
    put = values(eta=0.1 + 0.2, loss=1e-300, parent="b", parent_step=7, branch="fork", spark=spark)
    catalogue.put("a", put)
    entry = catalogue.entry("a")
    np.testing.assert_array_equal(entry.spark, spark)
    del put["spark"]
    assert {name: getattr(entry, name) for name in put} == put
    assert (entry.status, entry.tags, entry.title, entry.note) == ("ended", (), "", "")
    assert (entry.starred, entry.pinned, entry.removed) == (False, False, None)
    assert catalogue.entry("b") is None


def test_a_later_put_changes_what_it_names_and_nothing_else(catalogue):
    fill(catalogue, a={})
    catalogue.label("a", title="mine", starred=True, tags=["x"])
    before = catalogue.entry("a")
    catalogue.put("a", {"loss": 0.5, "last_step": 4})
    after = catalogue.entry("a")
    assert (after.loss, after.last_step) == (0.5, 4)
    same = [name for name in vars(before) if name not in ("loss", "last_step", "spark")]
    assert [getattr(after, name) for name in same] == [getattr(before, name) for name in same]


def test_a_run_of_which_too_little_is_known_is_not_passed_over(catalogue):
    with pytest.raises(IntegrityError):
        catalogue.put("a", {"loss": 0.5})
    with pytest.raises(IntegrityError):
        catalogue.put("a", values(server="nobody"))
    assert catalogue.ids() == set()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_becomes_unknown(catalogue, value):
    fill(catalogue, a={"loss": value, "ratio": np.float64(value)})
    entry = catalogue.entry("a")
    assert math.isnan(entry.loss)
    assert math.isnan(entry.ratio)


def test_the_bytes_of_all_runs_are_added_up(catalogue):
    assert catalogue.bytes_used() == (0, 0)
    big = 3_000_000_000  # more than 32 bits
    fill(catalogue, a={"row_bytes": big}, b={"snapshot_bytes": big})
    assert catalogue.bytes_used() == (big + 10, big + 20)


# --- what is listed -------------------------------------------------------------------------


@pytest.fixture
def three(catalogue) -> Catalogue:
    fill(
        catalogue,
        a={"created": 1.0},
        b={"problem": "two-weight", "created": 3.0, "root": "a", "parent": "a", "rule": "gd"},
        c={"group_key": "h", "created": 2.0, "root": "c", "rule": "usam"},
    )
    catalogue.label("a", title="100 % of it", tags=["good", "paper"], starred=True)
    catalogue.label("b", title="step_size", note="Étude, c:\\runs", tags=["good"], pinned=True)
    return catalogue


CONDITIONS: list[tuple[dict, str]] = [
    ({}, "abc"),
    ({"problem": "two-weight"}, "b"),
    ({"rule": "usam"}, "c"),
    ({"tags": ["good"]}, "ab"),
    ({"tags": ["good", "paper"]}, "a"),
    ({"tags": ["goo"]}, ""),
    ({"starred": True}, "a"),
    ({"starred": False}, "bc"),
    ({"pinned": True}, "b"),
    ({"pinned": False}, "ac"),
    ({"root": "a"}, "ab"),
    ({"group_key": "h"}, "c"),
    ({"ids": ["c", "a", "nothing"]}, "ac"),
    ({"ids": []}, ""),
    ({"root": "a", "starred": False}, "b"),
]
WORDS = [
    ("", "abc"),
    ("of", "a"),  # title
    ("ÉTUDE", "b"),  # note, whatever the case
    ("étude", "b"),
    ("PAP", "a"),  # part of a tag
    ("two-w", "b"),  # problem
    ("usam", "c"),  # rule
    ("C", "bc"),  # begins the id, or occurs in the note
    ("good 100", "a"),  # every word, wherever it occurs
    ("good 100 two-weight", ""),
    ("%", "a"),  # no wildcards
    ("_", "b"),
    ("c:\\", "b"),
    ("\\", "b"),
    ("'", ""),
    ("good\0paper", "a"),
]


def test_every_condition_counts(three):
    for query, expected in CONDITIONS:
        assert found(three, **query) == list(expected), query


def test_words_are_looked_for_as_they_stand(three):
    for text, expected in WORDS:
        assert found(three, text=text) == list(expected), text


def test_removed_runs_are_listed_when_asked_for(three):
    three.put("b", {"removed": 5.0})
    assert found(three) == ["a", "c"]
    assert found(three, removed=True) == ["a", "b", "c"]
    assert found(three, status="removed") == ["b"]
    assert three.entry("b").status == "removed"
    assert three.ids() == {"a", "b", "c"}


def test_pages_follow_each_other_and_know_the_total(three):
    pages = [three.find(Query(offset=offset, limit=2)) for offset in (0, 2, 4)]
    assert [[entry.id for entry in page.entries] for page in pages] == [["b", "c"], ["a"], []]
    assert {page.total for page in pages} == {3}
    everything = three.find(Query(limit=None, offset=1))
    assert [entry.id for entry in everything.entries] == ["c", "a"]


# --- order ----------------------------------------------------------------------------------

THREE_VALUES = {
    "problem": ("digits-mlp", "quadratic", "two-weight"),
    "rule": ("gd", "sam", "usam"),
    "title": ("Älter", "Über", "über uns"),
    "stop_reason": ("diverged", "step cap", "stopped"),
}


def put_sorted(catalogue: Catalogue, run: str, name: str, value) -> None:
    """A run that differs from the others in what they are sorted by alone."""
    catalogue.put(run, values(**{} if name == "title" else {name: value}))
    if name == "title":
        catalogue.label(run, title=value or "")


def test_everything_sortable_sorts_both_ways_and_what_lacks_it_comes_last(catalogue):
    for name in SORTABLE:
        low, middle, high = THREE_VALUES.get(name, (1, 2, 10))
        present = dict(zip("abc", (middle, high, low), strict=True))
        lacking = {"d": None} if name in (*UNKNOWN, "title") else {}
        for run, value in {**present, **lacking}.items():
            put_sorted(catalogue, run, name, value)
        for descending, expected in ((False, "cab"), (True, "bac")):
            listing = catalogue.find(Query(sort=name, descending=descending))
            assert [entry.id for entry in listing.entries] == [*expected, *lacking], name
        catalogue.delete("abcd")


def test_ties_have_an_order_so_that_pages_do_not_overlap(catalogue):
    fill(catalogue, **{run: {} for run in "hcfaebgd"})
    pages = [catalogue.find(Query(sort="eta", offset=o, limit=3)).entries for o in (0, 3, 6)]
    assert [entry.id for page in pages for entry in page] == list("abcdefgh")


@pytest.mark.parametrize(
    ("query", "total"),
    [
        (Query(text="gd " * 1200), 1),
        (Query(text="x" * 60_000), 0),
        (Query(text="\0 \udce9"), 0),
        (Query(tags=[str(number) for number in range(2000)]), 0),
        (Query(ids=["a", "x" * 5000, "a\0", "\udce9", *map(str, range(1000))]), 1),
    ],
)
def test_a_query_of_any_size_is_answered(catalogue, query, total):
    fill(catalogue, a={"rule": "gd"})
    assert catalogue.find(query).total == total


def test_an_unknown_sort_key_is_refused(catalogue):
    with pytest.raises(ValueError, match=r"sort must be one of created, .*, got 'config; DROP'"):
        catalogue.find(Query(sort="config; DROP"))


# --- labels ---------------------------------------------------------------------------------


def test_labels_change_one_by_one(catalogue):
    fill(catalogue, a={})
    assert catalogue.label("a", title="t" * LONGEST_TITLE, note="n" * LONGEST_NOTE, starred=True)
    catalogue.label("a", pinned=True, tags=[" x ", "b", "x", "", "  "])
    entry = catalogue.entry("a")
    assert (entry.title, entry.note) == ("t" * LONGEST_TITLE, "n" * LONGEST_NOTE)
    assert (entry.starred, entry.pinned, entry.tags) == (True, True, ("b", "x"))
    catalogue.label("a", tags=[])
    assert catalogue.entry("a").tags == ()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"title": "t" * (LONGEST_TITLE + 1)}, "title must have at most 200 characters, got 201"),
        ({"note": "n" * (LONGEST_NOTE + 1)}, "note must have at most 10,000 .*, got 10,001"),
        ({"tags": ["t" * (LONGEST_TAG + 1)]}, "a tag must have at most 64 characters, got 65"),
        ({"tags": [*map(str, range(MOST_TAGS + 1))]}, "a run has at most 30 tags, got 31"),
        ({"server": "mine"}, r"labels are title, .* and tags, got \['server'\]"),
        ({"title": "a\0b"}, "title must not contain the character NUL"),
        ({"tags": ["a\0b"]}, "a tag must not contain the character NUL"),
    ],
)
def test_labels_have_limits_and_nothing_changes_beyond_them(catalogue, labels, message):
    fill(catalogue, a={})
    catalogue.label("a", title="before", tags=["kept"])
    with pytest.raises(ValueError, match=message):
        catalogue.label("a", **{"starred": True, **labels})
    entry = catalogue.entry("a")
    assert (entry.title, entry.tags, entry.starred) == ("before", ("kept",), False)


def test_a_run_that_is_not_known_has_no_labels(catalogue):
    for labels in ({"title": "x"}, {"tags": ["x"]}, {"tags": []}):
        assert not catalogue.label("nothing", **labels)
    assert catalogue.known_tags() == []


def test_tags_in_use_are_known_and_go_with_their_runs(three):
    assert three.known_tags() == ["good", "paper"]
    three.delete(["a"])
    assert three.known_tags() == ["good"]
    three.delete(["b", "nothing"])
    assert three.known_tags() == []
    assert three.ids() == {"c"}


# --- servers --------------------------------------------------------------------------------


def recording(catalogue: Catalogue, run: str, server: str) -> None:
    catalogue.beat(server, "host", 1)
    catalogue.put(run, values(server=server, stop_reason=None))


def statuses(catalogue: Catalogue) -> dict[str, str]:
    """Of each run; the conditions of a query agree with what the entries say."""
    said = {entry.id: entry.status for entry in catalogue.find(Query(removed=True)).entries}
    for status in ("recording", "interrupted", "ended", "removed"):
        assert found(catalogue, status=status) == sorted(r for r, s in said.items() if s == status)
    return said


def test_a_run_is_recording_as_long_as_its_server_beats(catalogue, clock):
    fill(catalogue, a={})
    recording(catalogue, "b", "s1")
    recording(catalogue, "c", "s2")
    assert statuses(catalogue) == {"a": "ended", "b": "recording", "c": "recording"}
    clock(ALIVE_SECONDS - 1)
    catalogue.beat("s1", "host", 1)
    clock(2)
    assert statuses(catalogue) == {"a": "ended", "b": "recording", "c": "interrupted"}
    catalogue.put("b", {"server": None, "stop_reason": "stopped"})
    catalogue.put("c", {"removed": 1.0})
    assert statuses(catalogue) == {"a": "ended", "b": "ended", "c": "removed"}


def test_without_a_stop_and_without_a_server_it_was_interrupted(catalogue):
    fill(catalogue, a={"stop_reason": None})
    assert statuses(catalogue) == {"a": "interrupted"}


def test_a_server_that_leaves_is_gone_at_once(catalogue):
    recording(catalogue, "a", "s1")
    catalogue.beat("s2", "elsewhere", 1)
    assert catalogue.servers("host") == ["s1"]
    catalogue.leave("s1")
    assert statuses(catalogue) == {"a": "interrupted"}
    assert catalogue.servers("host") == []


def test_a_run_is_claimed_unless_another_live_server_records_it(catalogue, clock):
    catalogue.beat("mine", "host", 1)
    fill(catalogue, free={})
    recording(catalogue, "own", "mine")
    recording(catalogue, "taken", "other")
    assert catalogue.claim("free", "mine")
    assert catalogue.claim("own", "mine")
    assert not catalogue.claim("taken", "mine")
    assert not catalogue.claim("nothing", "mine")
    assert [catalogue.entry(run).server for run in ("free", "own", "taken")] == [
        "mine",
        "mine",
        "other",
    ]
    clock(ALIVE_SECONDS + 1)
    assert catalogue.claim("taken", "mine")
    assert catalogue.entry("taken").server == "mine"


def test_only_one_of_two_servers_gets_a_free_run(url):
    with_each = [Catalogue(url), Catalogue(url)]
    for name, catalogue in zip("pq", with_each, strict=True):
        catalogue.beat(name, "host", 1)
    fill(with_each[0], a={})
    assert [c.claim("a", name) for name, c in zip("pq", with_each, strict=True)] == [True, False]
    for catalogue in with_each:
        catalogue.close()


# --- what can't be used ---------------------------------------------------------------------


def test_a_catalogue_of_a_newer_version_is_refused_by_name(url, catalogue):
    fill(catalogue, a={})
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(CatalogueError, match="made by a newer version") as error:
        Catalogue(url)
    assert str(sa.make_url(url).database) in str(error.value)
    assert catalogue.ids() == {"a"}


@pytest.mark.parametrize("content", [b"no database, " * 500, b"SQLite format 3\0" + b"x" * 5000])
def test_a_file_that_is_no_database_is_refused_by_name(tmp_path, content):
    (tmp_path / "c.sqlite").write_bytes(content)
    with pytest.raises(CatalogueError, match=r"c\.sqlite can't be used"):
        Catalogue(f"sqlite:///{tmp_path}/c.sqlite")
    assert (tmp_path / "c.sqlite").read_bytes() == content


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me:secret@127.0.0.1:1/runs",  # nobody listens there
        "postgresql+nothing://me:secret@127.0.0.1/runs",
        "sqlite:////nowhere/at/all/catalogue.sqlite",
        "nonsense",
    ],
)
def test_what_can_not_be_reached_is_named_without_its_password(url):
    with pytest.raises(CatalogueError, match="can't be used") as error:
        Catalogue(url)
    assert "secret" not in str(error.value)
    assert "me:***@127.0.0.1" in str(error.value) or "secret" not in url


OPENER = """
import sys
from samedge_core.store.catalogue import Catalogue
name, *urls = sys.argv[1:]
print("ready", flush=True)
for url in urls:
    sys.stdin.readline()
    catalogue = Catalogue(url)
    catalogue.beat(name, "host", 1)
    catalogue.close()
    print("done", flush=True)
"""


def test_four_servers_may_open_an_empty_catalogue_at_the_same_moment(tmp_path, server):
    urls = [f"sqlite:///{tmp_path / name}" for name in "abcdefgh"]
    urls += [server.new_database(), server.new_database()]
    with ExitStack() as stack:
        openers = [stack.enter_context(opener(name, *urls)) for name in "pqrs"]
        assert {said_by(process) for process in openers} == {"ready"}
        for url in urls:
            for process in openers:
                tell(process)
            assert [said_by(process) for process in openers] == ["done"] * 4
            catalogue = Catalogue(url)
            assert sorted(catalogue.servers("host")) == list("pqrs")
            catalogue.close()


class Refusing(sqlite3.Connection):
    """It fails so many times."""

    def __init__(self, times: int, code: int) -> None:
        super().__init__(":memory:")
        self.left, self._code = times, code

    def execute(self, *statement: Any) -> sqlite3.Cursor:
        if self.left:
            self.left -= 1
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = self._code
            raise error
        return super().execute(*statement)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY])
def test_where_sqlite_refuses_without_waiting_the_catalogue_waits(code):
    connection = Refusing(3, code)
    write_ahead(connection)
    assert connection.left == 0


def test_a_refusal_ends_with_the_patience_and_other_errors_are_told_at_once(monkeypatch):
    readonly = Refusing(3, sqlite3.SQLITE_READONLY)
    with pytest.raises(sqlite3.OperationalError):
        write_ahead(readonly)
    assert readonly.left == 2
    monkeypatch.setattr("samedge_core.store.catalogue.BUSY_SECONDS", 0)
    with pytest.raises(sqlite3.OperationalError):
        write_ahead(Refusing(100, sqlite3.SQLITE_BUSY))


def opener(name: str, *urls: str) -> subprocess.Popen[str]:
    """A process that opens a catalogue each time that it is told to."""
    return subprocess.Popen(
        [sys.executable, "-c", OPENER, name, *urls],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def said_by(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()
