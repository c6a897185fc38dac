"""RunFolder: one run on disk, written so that a kill at any moment loses no earlier row.

    run.json              the RunRecord, written anew whenever it changes
    labels.json           what people say about it (Labels); absent while they say nothing
    predictions.json      what flows have predicted (store/predictions.py); absent without any
    rows/A-B.parquet      rows of the steps A to B; parts are merged as they grow in number
    snapshots/S.safetensors   the packed TrainState after S steps; S.pt, a zip, in early versions

Every file appears whole or not at all. Rows are written before the states that they lead to, and
after the interventions that led to them. Importable without torch; nothing is unpickled here.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from samedge_core.fields import abridged
from samedge_core.prediction.prediction import Prediction
from samedge_core.sharing import files
from samedge_core.store import predictions
from samedge_core.store import rows as stored
from samedge_core.store.labels import Labels
from samedge_core.store.record import RunRecord
from samedge_core.training import packing
from samedge_core.training.config import RunConfig
from samedge_core.training.history import History, row_dtype

RECORD, LABELS, PREDICTIONS = "run.json", "labels.json", "predictions.json"
LARGEST_RECORD, LARGEST_LABELS = 5_000_000, 200_000  # bytes; what is read grows to some 30 times
LARGEST_PREDICTIONS = 5_000_000
PART, STATE = r"\d+-\d+\.parquet", r"\d+\.(safetensors|pt)"
DIGITS = 10  # of a step in a file's name
ZIP = b"PK"  # how states of early versions begin; torch, which reads them, ignores the checksums
SPARE = 3_000_000  # bytes of snapshots that are not worth thinning for the steps that they save
UNSTEADY = 20  # listings of a folder that a writer changes meanwhile


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
        """Make the folder, or delete unfinished files that a kill has left.

        Raises:
            OSError: it can't be made.
        """
        self._rows.mkdir(parents=True, exist_ok=True)
        self._states.mkdir(exist_ok=True)
        merged = {part.file for part in self.parts()}
        stale = [file for file in _files(self._rows, PART) if file not in merged]
        for file in [*stale, *self.path.rglob(".*.new")]:
            file.unlink()

    def write_record(self, record: RunRecord) -> None:
        """Replace the record."""
        files.replace(self.path / RECORD, record.to_json().encode())

    def append(self, rows: NDArray[np.void]) -> None:
        """Add the rows (n,) that are not there yet; what a failed try has written counts."""
        parts = self.parts()
        rows = rows[rows["step"] > self.last_step]
        # merged while the part before is not much longer: each row is rewritten log(n) times only
        merged: list[Part] = []
        length = len(rows)
        while parts and len(parts[-1]) < 2 * length:
            merged.append(parts.pop())
            length += len(merged[-1])
        if length:
            older = [_read(part, rows.dtype) for part in reversed(merged)]
            self._write(np.concatenate([*older, rows]))
        for part in merged:
            part.file.unlink()

    def write_labels(self, labels: Labels) -> None:
        """Replace what people say about the run."""
        files.replace(self.path / LABELS, labels.to_json().encode())

    def write_predictions(self, made: Sequence[Prediction]) -> None:
        """Replace the predictions of the run."""
        files.replace(self.path / PREDICTIONS, predictions.to_json(made).encode())

    def write_snapshot(self, step: int, packed: bytes) -> None:
        """Keep the state after `step` steps."""
        files.replace(self._states / f"{step:0{DIGITS}}.safetensors", packed)

    def thin(self, budget: int, apart: int = 0) -> None:
        """Delete snapshots until they take at most `budget` bytes; the newest one always stays.

        Beyond `SPARE` bytes, the one before the newest goes first, where its neighbours are at most
        `apart` steps apart: it was to go on from, and saves too few steps now. Then goes the one
        whose neighbours are closest, so that the rest stay evenly spread, at twice the distance
        each time that the run has grown twice as long.
        """
        steps, sizes = self.snapshots(), self._state_sizes()
        near = len(steps) > 1 and steps[-1] - [0, *steps][-3] <= apart
        if near and sum(sizes.values()) > SPARE:
            self._state(steps.pop(-2)).unlink()
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
        """The record of the run.

        Raises:
            SavedError: the file is missing, damaged or of a newer version.
        """
        with files.reading(self.path / RECORD) as file:
            return RunRecord.from_json(files.text(file, LARGEST_RECORD))

    def labels(self) -> Labels:
        """What people say about the run.

        Raises:
            SavedError: the file is damaged.
        """
        file = self.path / LABELS
        if not file.exists():
            return Labels()
        with files.reading(file):
            return Labels.from_json(files.text(file, LARGEST_LABELS))

    def predictions(self, config: RunConfig) -> tuple[Prediction, ...]:
        """The predictions of the run, which has these settings: one from each step at which some
        came into force.

        Raises:
            SavedError: the file is damaged.
        """
        file = self.path / PREDICTIONS
        if not file.exists():
            return ()
        with files.reading(file):
            return predictions.from_json(files.text(file, LARGEST_PREDICTIONS), config)

    def history(self, record: RunRecord) -> History:
        """The rows bit for bit, with the interventions and the stop of `record`.

        An intervention after the newest row is left out: it has not taken effect.

        Raises:
            SavedError: a file is damaged.
        """
        history = record.empty_history()
        for rows in self._all_rows(history.dtype):
            history.extend(rows)
        with files.reading(self.path / RECORD):
            for item in record.interventions:
                if item.step <= history.last_step + 1:
                    history.intervene(item)
        history.stop = record.stop
        return history

    def recorded(self) -> tuple[RunRecord, History]:
        """The record and the history of the run at one moment, even while it is written.

        Raises:
            SavedError: a file is missing, damaged or of a newer version.
        """
        record = self.record()
        while True:
            history = self.history(record)
            newer = self.record()
            if newer == record:
                return replace(record, interventions=tuple(history.interventions)), history
            record = newer

    @property
    def begun(self) -> bool:
        """Whether any file is there: the record comes first, and a kill may come before it."""
        return any(f.is_file() and not f.name.startswith(".") for f in self.path.rglob("*"))

    @property
    def last_step(self) -> int:
        """Step of the newest row; -1 before the first."""
        parts = self.parts()
        return parts[-1].last if parts else -1

    def parts(self) -> list[Part]:
        """The parts in the order of their steps, without those that a kill during a merge has left
        beside the merged one."""
        found = map(Part.of, _files(self._rows, PART))
        kept: list[Part] = []
        for part in sorted(found, key=lambda part: (part.first, -part.last)):
            if not kept or part.last > kept[-1].last:
                kept.append(part)
        return kept

    def snapshots(self) -> list[int]:
        """Steps after which a state was kept, in order."""
        return sorted(int(file.stem) for file in _files(self._states, STATE))

    def snapshot(self, step: int) -> bytes:
        """The packed state after `step` steps, for `TrainState.unpack`.

        Raises:
            SavedError: it is missing or damaged.
        """
        with files.reading(self._state(step)) as file:
            packed = file.read_bytes()
            if packed.startswith(ZIP):
                damaged = zipfile.ZipFile(io.BytesIO(packed)).testzip()
                if damaged:
                    raise ValueError(f"{damaged} in it is damaged")
            else:
                packing.unpack(packed)
            return packed

    def check_snapshot(self, step: int, parameters: int | None) -> None:
        """Check the packed state after `step` steps of so many parameters, if that is known, as
        `snapshot` does, piece by piece.

        Raises:
            SavedError: it is missing, damaged, or of the first version, which needs torch.
        """
        with files.reading(self._state(step)) as file:
            state = packing.check(file)
            if not isinstance(state, dict) or state.get("step", step) != step:
                raise ValueError(f"it is not the state after {step:,} steps")
            if parameters is not None and state.get("w") != (parameters,):
                allowed = f"its w must have the shape ({parameters},)"
                raise ValueError(f"{allowed}, got {abridged(state.get('w'))}")

    def nearest(self, step: int) -> int | None:
        """The last snapshot after at most `step` steps; None when there is none."""
        before = [taken for taken in self.snapshots() if taken <= step]
        return before[-1] if before else None

    def sizes(self) -> tuple[int, int]:
        """Bytes of the rows and predictions, and of the snapshots."""
        found = [*_files(self._rows, PART), *_files(self.path, re.escape(PREDICTIONS))]
        rows = (file.stat().st_size for file in found)
        return sum(rows), sum(self._state_sizes().values())

    def _all_rows(self, dtype: np.dtype) -> list[NDArray[np.void]]:
        """Part by part."""
        for _ in range(UNSTEADY):
            parts = self.parts()
            try:
                read = _read_all(parts, dtype)
            except files.SavedError:
                if self.parts() == parts:
                    raise
            else:
                # a merge may have moved rows from what was not listed yet to what no longer was
                if self.parts() == parts:
                    return read
        return _read_all(self.parts(), dtype)

    def _state_sizes(self) -> dict[int, int]:
        return {int(f.stem): f.stat().st_size for f in _files(self._states, STATE)}

    def _state(self, step: int) -> Path:
        early = self._states / f"{step:0{DIGITS}}.pt"
        return early if early.exists() else early.with_suffix(".safetensors")

    def _write(self, rows: NDArray[np.void]) -> None:
        first, last = int(rows["step"][0]), int(rows["step"][-1])
        name = f"{first:0{DIGITS}}-{last:0{DIGITS}}.parquet"
        files.replace(self._rows / name, stored.to_parquet(rows))


def warm_up() -> None:
    """Load what the first write would load: pyarrow looks at pandas, which takes half a second."""
    stored.to_parquet(np.zeros(1, row_dtype(1)))


def _files(folder: Path, name: str) -> list[Path]:
    # a file that is being written begins with a dot, and people may leave theirs
    return [file for file in folder.glob("*") if re.fullmatch(name, file.name)]


def _read_all(parts: Iterable[Part], dtype: np.dtype) -> list[NDArray[np.void]]:
    read, due = [], 0
    for part in parts:
        rows = _read(part, dtype)
        with files.reading(part.file):
            if part.first != due:
                raise ValueError(f"the rows of the steps {due} to {part.first - 1} are missing")
        read.append(rows)
        due = part.last + 1
    return read


def _read(part: Part, dtype: np.dtype) -> NDArray[np.void]:
    with files.reading(part.file) as file:
        return stored.read(file, dtype, part.first, part.last)
