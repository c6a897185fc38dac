"""RunWriter: brings a run's folder and its catalogue row up to date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from samedge_core.store.entries import about, on_disk
from samedge_core.store.record import RunRecord
from samedge_core.training.history import History

if TYPE_CHECKING:
    from samedge_core.store.store import Store


SPARK_POINTS = 64
SPARK_GROWTH = 1.1  # a picture of a few dozen points changes slowly


class FolderGoneError(OSError):
    """The folder of a run that is being written was deleted."""


@dataclass(frozen=True)
class News:
    """What is not on disk yet, copied, so that the run can take steps while it is written.

    Attributes:
        rows: (n,), of the History's dtype.
        state: steps taken and the packed TrainState, or None for none that is newer.
        apart: as in `RunFolder.thin`.
        values: for the catalogue.
    """

    record: RunRecord
    rows: NDArray[np.void]
    state: tuple[int, bytes] | None
    apart: int
    values: Mapping[str, Any]


class RunWriter:
    """The only writer of one run's folder."""

    def __init__(self, store: Store, record: RunRecord, *, written: int = -1) -> None:
        """`written` is the last step whose row is on disk already."""
        self._store = store
        self._folder = store.folder(record.id)
        self._record = record
        self._saved: RunRecord | None = None
        self._written = min(written, self._folder.last_step)  # the quota may have taken the rows
        self._state = -1
        self._entered = False  # whether the catalogue knows all that is on disk
        self._drawn = 0  # rows that the sparkline was made of
        self._root: str | None = None

    @property
    def id(self) -> str:
        """Of the run."""
        return self._record.id

    @property
    def begun(self) -> bool:
        """Whether something of the run has been written."""
        return self._saved is not None or self._written >= 0

    @property
    def gone(self) -> bool:
        """Whether it has been deleted since."""
        return self.begun and not self._folder.path.is_dir()

    def take(
        self, history: History, state: tuple[int, bytes] | None = None, apart: int = 0
    ) -> News | None:
        """The changes since the last call, or None. Quick, since the run waits."""
        record = replace(
            self._record,
            config=history.config,
            parameters=history.parameters,
            interventions=tuple(history.interventions),
            stop=history.stop,
        )
        # one larger than all that a run may keep is left out: its steps are taken again
        if state and (state[0] <= self._state or len(state[1]) > self._store.settings.snapshots):
            state = None
        rows = history.rows_after(self._written)
        if self._entered and not (len(rows) or state or record != self._saved):
            return None
        if not len(history):
            return None
        values = about(record, history, ended=record.stop is not None)
        if len(history) > SPARK_GROWTH * self._drawn or record.stop:
            values["spark"] = history.sparkline(SPARK_POINTS)
        return News(record, rows, state, apart, values)

    def save(self, news: News) -> None:
        """Write `news`: interventions before the rows that they led to, which a replay would
        otherwise repeat without them; the stop and the state after the rows.

        Raises:
            FolderGoneError: it was deleted meanwhile.
            OSError: the folder can't be written to.
        """
        if self.gone:
            raise FolderGoneError("the run was deleted while it was being recorded")
        self._entered = False
        if self._saved is None:
            self._folder.create()
        if len(news.rows):
            self._save_record(replace(news.record, stop=None))
            self._folder.append(news.rows)
            self._written = int(news.rows["step"][-1])
        self._save_record(news.record)
        if news.state:
            self._folder.write_snapshot(*news.state)
            self._folder.thin(self._store.settings.snapshots, news.apart)
            self._state = news.state[0]
        store = self._store
        self._root = self._root or store.root(news.record)
        standing = {"root": self._root, "server": None if news.record.stop else store.server}
        values = {**news.values, **on_disk(self._folder), **standing, "removed": None}
        store.catalogue.put(self.id, values)
        self._entered = True
        if "spark" in values:
            self._drawn = values["last_step"] + 1

    def _save_record(self, record: RunRecord) -> None:
        if record != self._saved:
            self._folder.write_record(record)
            self._saved = self._record = record
