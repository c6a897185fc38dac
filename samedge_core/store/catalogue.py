"""Catalogue: one row for each run, to list, search and sort thousands without opening any."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from samedge_core.store.record import Branch, Origin
from samedge_core.store.tables import runs, servers, tags
from samedge_core.store.texts import MOST_TAGS, checked_labels, is_id, search_words

ALIVE_SECONDS = 15.0  # without a heartbeat for so long, a server is taken for dead
BUSY_SECONDS = 10  # how long SQLite waits for another server
MIGRATIONS = Path(__file__).parent / "migrations"

Status = Literal["recording", "interrupted", "ended", "removed"]

MEASURED = ("loss", "accuracy", "grad_norm", "sharpness", "edge", "ratio")  # at a step
SORTABLE = (
    *("created", "updated", "problem", "rule", "eta", "rho", "beta", "batch_size", "seed"),
    *("steps", "last_step", "parameters", *MEASURED, "deviation"),
    *("title", "stop_reason", "row_bytes", "snapshot_bytes"),
)


class CatalogueError(RuntimeError):
    """The catalogue can't be used; the message says which one and why."""


@dataclass(frozen=True)
class Entry:
    """A run as the catalogue knows it; NaN (None for whole numbers) where nothing is known.

    Attributes:
        config: as JSON, for `RunConfig.from_json`.
        eta, rho, beta, rule: in force at the newest row.
        group_key: equal for runs whose configurations and interventions differ in the seed alone.
        interventions: how many changes were made on the way.
        root: the run that the whole family goes back to; a run's own id without a parent.
        parent, parent_step, branch: see `Origin`.
        status: recording by a live server; interrupted: its server is gone, and it has no stop;
            ended; or removed: the quota took the rows, and only this entry is left.
        loss, ..., ratio: of the newest measured row.
        deviation: median of |ratio - 1| over the edge phase, once the run has ended.
        spark: sharpness / edge in a few dozen values (n,), as `History.sparkline` has them.
        row_bytes, snapshot_bytes: on disk.
    """

    id: str
    created: float
    updated: float
    problem: str
    rule: str
    eta: float
    rho: float
    beta: float
    batch_size: int
    seed: int
    config: str
    group_key: str
    interventions: int
    root: str
    parent: str | None
    parent_step: int | None
    branch: Branch | None
    server: str | None
    stop_reason: str | None
    stop_what: str | None
    steps: int
    last_step: int
    parameters: int | None
    loss: float
    accuracy: float
    grad_norm: float
    sharpness: float
    edge: float
    ratio: float
    deviation: float
    spark: NDArray[np.float32] = field(compare=False)
    row_bytes: int
    snapshot_bytes: int
    snapshots: int
    title: str
    note: str
    starred: bool
    pinned: bool
    removed: float | None
    status: Status
    tags: tuple[str, ...]

    @property
    def origin(self) -> Origin | None:
        """Which run this one left, and at which step; None for one that began by itself."""
        if self.parent is None or self.parent_step is None:
            return None
        return Origin(self.parent, self.parent_step, self.branch or "fork")


@dataclass(frozen=True)
class Query:
    """The conditions, all of which a listed run meets, and the order.

    Attributes:
        text: each of its words must occur in the title, note, problem, rule or a tag, or begin the
            id.
        tags: all of them.
        root: a whole family of forks.
        group_key: runs that differ in the seed alone.
        removed: list what the quota took, too.
        sort: one of SORTABLE; runs that lack it come last.
    """

    text: str = ""
    problem: str | None = None
    rule: str | None = None
    status: Status | None = None
    tags: Sequence[str] = ()
    starred: bool | None = None
    pinned: bool | None = None
    root: str | None = None
    group_key: str | None = None
    ids: Sequence[str] | None = None
    removed: bool = False
    sort: str = "created"
    descending: bool = True
    offset: int = 0
    limit: int | None = 100


@dataclass(frozen=True)
class Listing:
    """The entries of a Query, and the number without offset and limit."""

    entries: tuple[Entry, ...]
    total: int


class Catalogue:
    """Behind `url` (SQLAlchemy's form: sqlite or postgresql). Thread-safe."""

    def __init__(self, url: str) -> None:
        """Connects, and brings the tables up to date.

        Raises:
            CatalogueError: it can't be reached, or a newer version of this program made it.
        """
        self._where = "given"
        try:
            self._where = sa.make_url(url).render_as_string(hide_password=True)
            self._engine = _engine(url)
            self._begin()
        except (SQLAlchemyError, ImportError, sqlite3.Error) as error:
            raise CatalogueError(f"the catalogue {self._where} can't be used: {error}") from error

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    # --- writing

    def put(self, run: str, values: Mapping[str, Any]) -> None:
        """Add or update the entry of a run; numbers that are not finite become unknown."""
        known = {name: _storable(value) for name, value in values.items()}
        words = known.pop("tags", None)
        update = runs.update().where(runs.c.id == run).values(**known)
        unsaid = {"title": "", "note": "", "starred": False, "pinned": False}
        with self._engine.begin() as connection:
            if connection.execute(update).rowcount:
                _tag(connection, run, words)
                return
        try:
            with self._engine.begin() as connection:
                connection.execute(runs.insert().values(id=run, **{**unsaid, **known}))
                _tag(connection, run, words)
        except IntegrityError:  # another server has just added it
            with self._engine.begin() as connection:
                if not connection.execute(update).rowcount:
                    raise

    def label(self, run: str, **labels: Any) -> bool:
        """Change the labels of a run: title, note, starred, pinned, tags. False when there is no
        such run (any more).

        Raises:
            ValueError: a text too long, or no such label; nothing has changed then.
        """
        labels = checked_labels(labels)
        words = labels.pop("tags", None)
        with self._engine.begin() as connection:
            # its own id, if nothing else: that the run is there, and stays until the tags are
            update = runs.update().where(runs.c.id == run).values(id=run, **labels)
            if not connection.execute(update).rowcount:
                return False
            _tag(connection, run, words)
        return True

    def delete(self, ids: Iterable[str]) -> None:
        """Delete the entries of these runs."""
        with self._engine.begin() as connection:
            connection.execute(runs.delete().where(runs.c.id.in_(list(ids))))

    # --- servers

    def beat(self, server: str, host: str, pid: int) -> None:
        """Update the heartbeat of a server."""
        alive = {"host": host, "pid": pid, "seen": time.time()}
        with self._engine.begin() as connection:
            update = servers.update().where(servers.c.id == server).values(**alive)
            if not connection.execute(update).rowcount:
                connection.execute(servers.insert().values(id=server, **alive))

    def leave(self, server: str) -> None:
        """Remove a server; runs that it still records are interrupted at once."""
        with self._engine.begin() as connection:
            connection.execute(servers.delete().where(servers.c.id == server))

    def servers(self, host: str) -> list[str]:
        """The ids of a host's servers that have not left."""
        return self._all(sa.select(servers.c.id).where(servers.c.host == host, servers.c.seen > 0))

    def claim(self, run: str, server: str) -> bool:
        """Make `server` the one that records the run; False while another live one does."""
        dead = sa.select(servers.c.id).where(servers.c.seen < time.time() - ALIVE_SECONDS)
        free = sa.or_(runs.c.server.is_(None), runs.c.server == server, runs.c.server.in_(dead))
        with self._engine.begin() as connection:
            update = runs.update().where(runs.c.id == run, free).values(server=server)
            return connection.execute(update).rowcount == 1

    # --- reading

    def entry(self, run: str) -> Entry | None:
        """The entry of a run, or None."""
        listing = self.find(Query(ids=[run], removed=True))
        return listing.entries[0] if listing.entries else None

    def find(self, query: Query) -> Listing:
        """The runs that a query asks for.

        Raises:
            ValueError: an unknown sort key.
        """
        if query.sort not in SORTABLE:
            raise ValueError(f"sort must be one of {', '.join(SORTABLE)}, got {query.sort!r}")
        conditions = list(_conditions(query))
        column = _sorted_by(query.sort)
        order = column.desc() if query.descending else column.asc()
        joined = runs.outerjoin(servers, runs.c.server == servers.c.id)
        chosen = (
            sa.select(runs, _status().label("status"))
            .select_from(joined)
            .where(*conditions)
            .order_by(order.nulls_last(), runs.c.created.desc(), runs.c.id)
            .offset(query.offset)
            .limit(query.limit)
        )
        count = sa.select(sa.func.count()).select_from(joined).where(*conditions)
        with self._engine.connect() as connection:
            rows = connection.execute(chosen).mappings().all()
            total = connection.execute(count).scalar_one()
            words = self._tags(connection, [row["id"] for row in rows])
        return Listing(tuple(_entry(row, words.get(row["id"], ())) for row in rows), total)

    def labelled(self) -> list[str]:
        """The ids of the runs of which people have said something."""
        said = [runs.c.title != "", runs.c.note != "", runs.c.starred, runs.c.pinned]
        tagged = runs.c.id.in_(sa.select(tags.c.run))
        return self._all(sa.select(runs.c.id).where(sa.or_(*said, tagged)))

    def known_tags(self) -> list[str]:
        """Every tag in use, in order."""
        return self._all(sa.select(tags.c.tag).distinct().order_by(tags.c.tag))

    def ids(self) -> set[str]:
        """The ids of all runs, the removed ones included."""
        return set(self._all(sa.select(runs.c.id)))

    def bytes_used(self) -> tuple[int, int]:
        """Bytes of the rows and of the snapshots of all runs."""
        sums = sa.select(sa.func.sum(runs.c.row_bytes), sa.func.sum(runs.c.snapshot_bytes))
        with self._engine.connect() as connection:
            rows, snapshots = connection.execute(sums).one()
        return int(rows or 0), int(snapshots or 0)

    def _all(self, one_column: sa.Select[Any]) -> list[str]:
        with self._engine.connect() as connection:
            return list(connection.execute(one_column).scalars())

    @staticmethod
    def _tags(connection: sa.Connection, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        wanted = sa.select(tags).where(tags.c.run.in_(ids)).order_by(tags.c.tag)
        for run, word in connection.execute(wanted):
            found.setdefault(run, []).append(word)
        return {run: tuple(words) for run, words in found.items()}

    def _begin(self) -> None:
        try:
            self._upgrade()
        except BaseException:
            self.close()
            raise

    def _upgrade(self) -> None:
        from alembic import command
        from alembic.config import Config
        from alembic.runtime.migration import MigrationContext
        from alembic.script import ScriptDirectory
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        newest = ScriptDirectory.from_config(config).get_current_head()
        with self._alone() as connection:
            if MigrationContext.configure(connection).get_current_revision() == newest:
                return
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise CatalogueError(
                    f"the catalogue {self._where} was made by a newer version: {error}"
                ) from error

    @contextmanager
    def _alone(self) -> Iterator[sa.Connection]:
        """A transaction that excludes those of other servers."""
        with self._engine.begin() as connection:
            if self._engine.dialect.name == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(2309124880)"))
            else:
                connection.execute(sa.text("BEGIN IMMEDIATE"))
            yield connection


def _engine(url: str) -> sa.Engine:
    engine = sa.create_engine(url, pool_pre_ping=True)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def prepare(connection: Any, record: object) -> None:
            connection.execute(f"PRAGMA busy_timeout = {1000 * BUSY_SECONDS}")
            write_ahead(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
            # SQLite's own knows no letters beyond ASCII
            connection.create_function(
                "lower", 1, lambda text: text and text.lower(), deterministic=True
            )

    return engine


def write_ahead(connection: sqlite3.Connection) -> None:
    """Keep a log of what is written, so that readers don't wait for a writer."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # while another server does the same to a new file, SQLite may refuse without waiting
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(0.01)


def _tag(connection: sa.Connection, run: str, words: Sequence[str] | None) -> None:
    """Replace the tags of a run, unless there is no word of them."""
    if words is not None:
        connection.execute(tags.delete().where(tags.c.run == run))
    if words:
        connection.execute(tags.insert(), [{"run": run, "tag": word} for word in words])


def _sorted_by(name: str) -> sa.ColumnElement[Any]:
    # the same order in every database, whatever its collation; no title is none
    return sa.func.nullif(sa.func.lower(runs.c.title), "") if name == "title" else runs.c[name]


def _conditions(query: Query) -> Iterator[sa.ColumnElement[bool]]:
    for word in search_words(query.text):
        like = f"%{_escaped(word)}%"
        places = [runs.c[n].ilike(like, escape="\\") for n in ("title", "note", "problem", "rule")]
        tagged = sa.select(tags.c.run).where(tags.c.tag.ilike(like, escape="\\"))
        begins = runs.c.id.ilike(f"{_escaped(word)}%", escape="\\")
        yield sa.or_(*places, begins, runs.c.id.in_(tagged))
    if len(query.tags) > MOST_TAGS:  # no run has as many, nor would a database take them all
        yield sa.false()
        return
    for word in query.tags:
        yield runs.c.id.in_(sa.select(tags.c.run).where(tags.c.tag == word))
    for name in ("problem", "rule", "starred", "pinned", "root", "group_key"):
        value = getattr(query, name)
        if value is not None:
            yield runs.c[name] == value
    if query.ids is not None:
        yield runs.c.id.in_([run for run in query.ids if is_id(run)])
    if query.status:
        yield _status() == query.status
    elif not query.removed:
        yield runs.c.removed.is_(None)


def _status() -> sa.ColumnElement[str]:
    """A run's Status, computed by the database from the runs joined with their servers."""
    alive = servers.c.seen >= time.time() - ALIVE_SECONDS
    return sa.case(
        (runs.c.removed.is_not(None), "removed"),
        (sa.and_(runs.c.server.is_(None), runs.c.stop_reason.is_not(None)), "ended"),
        (alive, "recording"),
        else_="interrupted",
    )


def _entry(row: sa.RowMapping, words: tuple[str, ...]) -> Entry:
    values = {item.name: row[item.name] for item in fields(Entry) if item.name in row}
    for name in (*MEASURED, "deviation"):
        values[name] = math.nan if values[name] is None else values[name]
    values["spark"] = np.frombuffer(values["spark"] or b"", dtype="<f4")
    return Entry(**values, tags=words)


def _storable(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        with np.errstate(over="ignore"):  # beyond float32 it is infinite
            return value.astype("<f4").tobytes()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):  # what a database refuses: halves of characters, and NUL
        return value.encode(errors="replace").decode().replace("\0", "�")
    return value


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
