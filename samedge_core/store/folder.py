"""RunFolder: one run on disk, written while it goes on so that a kill at any moment does no harm.

    run.json              the RunRecord, written anew whenever it changes
    rows/A-B.parquet      rows of the steps A to B; parts are merged as they grow in number
    snapshots/S.pt        the packed TrainState after S steps

Every file appears whole or not at all. Rows are written before the record and the states, so that
neither is ever ahead of them. Importable without torch; nothing is unpickled here.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from samedge_core import saved
from samedge_core.store.record import RunRecord
from samedge_core.training.history import History

__all__ = ["Part", "RunFolder"]

RECORD = "run.json"
DIGITS = 10  # of a step in a file's name


@dataclass(frozen=True)
class Part:
    """A file with the rows of the steps `first` to `last`."""

    file: Path
    first: int
    last: int

    @classmethod
    def of(cls, file: Path) -> Part:
        first, last = map(int, file.stem.split("-"))
        return cls(file, first, last)

    def __len__(self) -> int:
        return self.last - self.first + 1


class RunFolder:
    """The folder at `path`, which need not exist yet. One writer at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows, self._states = path / "rows", path / "snapshots"

    # --- writing

    def create(self) -> None:
        """Make the folder, or clear away what a kill has left of a write.

        Raises:
            OSError: it can't be made.
        """
        self._rows.mkdir(parents=True, exist_ok=True)
        self._states.mkdir(exist_ok=True)
        merged = {part.file for part in self.parts()}
        stale = [file for file in _files(self._rows, "parquet") if file not in merged]
        for file in [*stale, *self.path.rglob(".*.new")]:
            file.unlink()

    def write_record(self, record: RunRecord) -> None:
        """Replace what is known of the run."""
        saved.replace(self.path / RECORD, record.to_json().encode())

    def append(self, rows: NDArray[np.void]) -> None:
        """Add rows (n,), all after those that are there."""
        part = self._write(rows)
        parts = self.parts()[:-1]
        # merged while the part before is not much longer: each row is rewritten log(n) times only
        merged: list[Part] = []
        length = len(part)
        while parts and len(parts[-1]) < 2 * length:
            merged.append(parts.pop())
            length += len(merged[-1])
        if merged:
            files = [old.file for old in reversed(merged)]
            whole = np.concatenate([*(_read(file, rows.dtype) for file in files), rows])
            kept = self._write(whole).file
            for file in {*files, part.file} - {kept}:
                file.unlink()

    def write_snapshot(self, step: int, packed: bytes) -> None:
        """Keep the state after `step` steps."""
        saved.replace(self._state(step), packed)

    def thin(self, budget: int) -> None:
        """Delete snapshots until they take at most `budget` bytes; the newest one always stays.

        What goes is the one whose neighbours are closest, so that the rest stay evenly spread, at
        twice the distance each time that the run has grown twice as long.
        """
        steps, sizes = self.snapshots(), self._state_sizes()
        while len(steps) > 1 and sum(sizes[step] for step in steps) > budget:
            around = [0, *steps]  # step 0 needs no snapshot: its state follows from the seed
            gaps = [around[i + 2] - around[i] for i in range(len(steps) - 1)]
            self._state(steps.pop(int(np.argmin(gaps)))).unlink()

    def drop_from(self, step: int) -> None:
        """Delete the snapshots after `step` steps or more."""
        for taken in self.snapshots():
            if taken >= step:
                self._state(taken).unlink()

    # --- reading

    def record(self) -> RunRecord:
        """What is known of the run.

        Raises:
            SavedError: the file is missing, damaged or of a newer version.
        """
        with saved.reading(self.path / RECORD) as file:
            return RunRecord.from_json(file.read_text(encoding="utf-8"))

    def history(self, record: RunRecord) -> History:
        """The rows that were written, bit for bit, and what else `record` knows.

        Raises:
            SavedError: a file is damaged.
        """
        history = record.empty_history()
        for part in self.parts():
            with saved.reading(part.file):
                history.extend(_read(part.file, history.dtype))
        for item in record.interventions:
            history.intervene(item)
        history.stop = record.stop
        return history

    def parts(self) -> list[Part]:
        """In the order of their steps; what a kill between two steps of a merge has left twice
        comes once."""
        found = sorted((Part.of(f) for f in _files(self._rows, "parquet")), key=_longest_first)
        kept: list[Part] = []
        for part in found:
            if not kept or part.last > kept[-1].last:
                kept.append(part)
        return kept

    def snapshots(self) -> list[int]:
        """Steps after which a state was kept, in order."""
        return sorted(int(file.stem) for file in _files(self._states, "pt"))

    def snapshot(self, step: int) -> bytes:
        """The packed state after `step` steps, for `TrainState.unpack`.

        Raises:
            SavedError: it is missing or damaged.
        """
        with saved.reading(self._state(step)) as file:
            return saved.checked_archive(file.read_bytes())

    def nearest(self, step: int) -> int | None:
        """The last snapshot after at most `step` steps; None when there is none."""
        before = [taken for taken in self.snapshots() if taken <= step]
        return before[-1] if before else None

    def sizes(self) -> tuple[int, int]:
        """Bytes of the rows and of the snapshots."""
        rows = (file.stat().st_size for file in _files(self._rows, "parquet"))
        return sum(rows), sum(self._state_sizes().values())

    def _state_sizes(self) -> dict[int, int]:
        return {int(f.stem): f.stat().st_size for f in _files(self._states, "pt")}

    def _state(self, step: int) -> Path:
        return self._states / f"{step:0{DIGITS}}.pt"

    def _write(self, rows: NDArray[np.void]) -> Part:
        first, last = int(rows["step"][0]), int(rows["step"][-1])
        file = self._rows / f"{first:0{DIGITS}}-{last:0{DIGITS}}.parquet"
        table = pa.table({name: pa.array(rows[name]) for name in rows.dtype.names or ()})
        buffer = io.BytesIO()
        pq.write_table(table, buffer, write_page_checksum=True)
        saved.replace(file, buffer.getvalue())
        return Part(file, first, last)


def _files(folder: Path, suffix: str) -> Iterable[Path]:
    # a file that is being written begins with a dot
    return folder.glob(f"[0-9]*.{suffix}")


def _longest_first(part: Part) -> tuple[int, int]:
    return part.first, -part.last


def _read(file: Path, dtype: np.dtype) -> NDArray[np.void]:
    names = list(dtype.names or ())
    return saved.rows_of(pq.read_table(file, columns=names, page_checksum_verification=True), dtype)
