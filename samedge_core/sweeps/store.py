"""Sweeps on disk: each in a folder of its own, to which one driver at a time appends rows.

    sweeps/ID/sweep.json    what is computed, its title and when it was created
    sweeps/ID/rows.jsonl    a line a row, on disk as soon as a cell is finished; a torn last line is
                            no row
    sweeps/ID/predicted.jsonl   the same of what a flow says of each run; there where it is wanted
    sweeps/ID/running.json  the cells that are being computed now
    sweeps/ID/error.txt     why the last driver has failed
    sweeps/ID/driver.log    what a driver that a page has started says
    sweeps/ID.lock          held by its driver; `turn.lock` by the one that computes, and
                            `title.lock` by who writes a sweep.json
    sweeps/deleted/ID       what was deleted less than a day ago

Importable without torch.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from samedge_core.fields import ConfigError, abridged
from samedge_core.prediction.prediction import check
from samedge_core.sharing import files
from samedge_core.store.settings import StoreSettings
from samedge_core.store.texts import checked_title, is_id
from samedge_core.sweeps.results import SweepResult
from samedge_core.sweeps.rows import Row
from samedge_core.sweeps.sweep import Sweep
from samedge_core.training import codec

State = Literal["waiting", "computing", "finished", "stopped", "failed"]

SWEEP, ROWS, RUNNING = "sweep.json", "rows.jsonl", "running.json"
PREDICTED = "predicted.jsonl"  # as ROWS has the runs
ERROR, LOG, STOP, ASKED = "error.txt", "driver.log", "stop", "asked"
LARGEST_SWEEP, LARGEST_ROWS, LARGEST_ERROR = 2_000_000, 20_000_000, 20_000  # bytes
LATEST = 1e11  # seconds since 1970: the year 5138; beyond, no calendar tells a date
KEPT_ASIDE = 86_400.0  # seconds that a deleted sweep can be restored
STARTING = 30.0  # seconds in which a driver that was asked for takes its lock
_LOCKING = 0.5  # seconds; a page that looks whether a lock is held holds it for an instant


class SweepError(ValueError):
    """A sweep that can't be found, computed or deleted; the message says why and what to do."""


@dataclass
class RecordedSweep:
    """One stored sweep. Its driver writes; everybody else reads, renames or asks it to stop."""

    folder: Path
    title: str
    created: float
    sweep: Sweep

    @property
    def id(self) -> str:
        """The name of its folder: `Sweep.key`."""
        return self.folder.name

    # --- reading

    def rows(self, of: str = ROWS) -> list[Row]:
        """All rows of the runs, or of the predictions (`of` is PREDICTED), in the order in which
        they were finished.

        Raises:
            SavedError: the file is damaged.
        """
        return self.rows_after(0, of)[0]

    def rows_after(self, position: int, of: str = ROWS) -> tuple[list[Row], int]:
        """The rows since `position`, 0 at first, and the position to ask from the next time.

        Raises:
            SavedError: the file is damaged.
        """
        file = self.folder / of
        if not file.exists() or file.stat().st_size <= position:
            return [], position
        with files.reading(file), file.open("rb") as stream:
            stream.seek(position)
            whole = stream.read(LARGEST_ROWS).rpartition(b"\n")[0]
            rows = [Row.from_values(codec.parse(line)) for line in whole.splitlines()]
            for row in rows:
                if not 0 <= row.cell < self.sweep.count:
                    raise ValueError(f"there are {self.sweep.count} cells, got {row.cell}")
        return rows, position + len(whole) + bool(whole)

    def result(self) -> SweepResult:
        """All rows that there are, of runs and predictions.

        Raises:
            SavedError: a file is damaged.
        """
        return SweepResult(self.sweep, self.rows(), self.rows(PREDICTED))

    def running(self) -> set[int]:
        """The indices of the cells that are being computed now."""
        return set(self._running().get("cells", ())) if self.state == "computing" else set()

    @property
    def workers(self) -> int:
        """How many workers compute it now."""
        return self._running().get("workers", 0) if self.state == "computing" else 0

    def _running(self) -> dict[str, Any]:
        try:
            text = (self.folder / RUNNING).read_text(encoding="utf-8")
        except FileNotFoundError:  # its driver has just ended
            return {}
        return json.loads(text)

    @property
    def state(self) -> State:
        """What it is doing now; a sweep whose driver was killed is stopped."""
        if _is_held(_lock_of(self.folder)):
            return "computing" if (self.folder / RUNNING).exists() else "waiting"
        if self._is_recent(ASKED):
            return "waiting"
        if not self.missing and not self.unpredicted:
            return "finished"
        return "failed" if self.error else "stopped"

    def _is_recent(self, name: str) -> bool:
        """Whether a file was made while a driver may still be starting."""
        return time.time() - _made(self.folder / name) < STARTING

    @property
    def missing(self) -> int:
        """How many cells have no row yet."""
        return self._missing(ROWS)

    @property
    def predicts(self) -> bool:
        """Whether what a flow says of each run is wanted, too."""
        return (self.folder / PREDICTED).exists()

    @property
    def unpredicted(self) -> int:
        """How many predictions are missing; 0 where they are not wanted."""
        return self._missing(PREDICTED) if self.predicts else 0

    def _missing(self, of: str) -> int:
        file = self.folder / of
        lines = file.read_bytes().count(b"\n") if file.is_file() else 0
        return max(0, self.sweep.count - lines)

    @property
    def error(self) -> str:
        """Why its last driver has failed, or has not even begun; empty where neither is so."""
        file = self.folder / ERROR
        if not file.is_file():
            return self.log if (self.folder / ASKED).exists() else ""
        return file.read_text(encoding="utf-8", errors="replace")

    @property
    def log(self) -> str:
        """What its last driver has said, where it was started by a page or a script."""
        file = self.folder / LOG
        return file.read_text(encoding="utf-8", errors="replace").strip() if file.is_file() else ""

    @property
    def bytes(self) -> int:
        """What it takes on disk."""
        return _size(self.folder)

    # --- for everybody

    def rename(self, title: str) -> None:
        """Give it another title.

        Raises:
            ValueError: it is too long, or can't be stored, or the sweep has been deleted.
        """
        self._check_is_there()
        self.title = checked_title(title)
        self._write()

    def want_predictions(self) -> None:
        """Have its driver also compute what a flow says of each run, after the runs.

        Raises:
            ConfigError: no flow describes its rule.
            SweepError: it has been deleted.
        """
        check(self.sweep.base.hyperparameters)
        self._check_is_there()
        (self.folder / PREDICTED).touch()

    def ask_to_stop(self) -> None:
        """Ask its driver to end; what is computed is kept, and the sweep can be gone on with.

        Raises:
            SweepError: it has been deleted.
        """
        self._check_is_there()
        (self.folder / STOP).touch()
        (self.folder / ASKED).unlink(missing_ok=True)

    def _check_is_there(self) -> None:
        if not self.folder.exists():
            raise SweepError(f"the sweep {self.id} has been deleted meanwhile, on another page?")

    # --- for the driver

    @contextmanager
    def driving(self) -> Iterator[None]:
        """Hold the sweep for the one driver that it may have.

        Raises:
            SweepError: another driver has it.
        """
        lock = _lock_of(self.folder)
        try:
            lock.acquire(timeout=_LOCKING)
        except Timeout:
            raise SweepError(f"the sweep {self.id} is being computed already") from None
        try:
            for name in (RUNNING, ERROR, ASKED):
                (self.folder / name).unlink(missing_ok=True)
            if not self._is_recent(STOP):  # of a driver that was killed, not of this one
                (self.folder / STOP).unlink(missing_ok=True)
            for name in (ROWS, PREDICTED):
                self._drop_torn_line(name)
            yield
        except Exception as error:
            what = str(error) or type(error).__name__
            files.replace(self.folder / ERROR, what.encode(errors="replace")[:LARGEST_ERROR])
            raise
        finally:
            for name in (RUNNING, STOP):
                (self.folder / name).unlink(missing_ok=True)
            lock.release()

    def is_asked_to_stop(self) -> bool:
        """Whether somebody has called `ask_to_stop` since the driver began."""
        return (self.folder / STOP).exists()

    def take_turn(self) -> FileLock | None:
        """The lock of the one driver that computes in this home, or None while another has it."""
        turn = FileLock(self.folder.parent / "turn.lock", thread_local=False)
        try:
            turn.acquire(timeout=0.2)
        except Timeout:
            return None
        return turn

    def append(self, rows: Iterable[Row], of: str = ROWS) -> None:
        """Add rows, which are on the disk when this returns."""
        lines = [json.dumps(row.to_values(), separators=(",", ":")) + "\n" for row in rows]
        with (self.folder / of).open("ab") as stream:
            stream.write("".join(lines).encode())
            stream.flush()
            os.fsync(stream.fileno())

    def set_running(self, cells: Iterable[int], workers: int) -> None:
        """Say which cells are being computed, and by how many workers."""
        content = json.dumps({"cells": sorted(cells), "workers": workers})
        new = self.folder / f".{RUNNING}.new"  # no fsync: it is of no use after a power cut
        new.write_text(content, encoding="utf-8")
        new.replace(self.folder / RUNNING)

    def _drop_torn_line(self, of: str) -> None:
        file = self.folder / of
        if file.exists():
            content = file.read_bytes()
            with file.open("r+b") as stream:
                stream.truncate(content.rfind(b"\n") + 1)

    def _write(self) -> None:
        values = {"title": self.title, "created": self.created, "sweep": self.sweep.to_values()}
        with FileLock(self.folder.parent / "title.lock"):  # two pages may rename it at once
            files.replace(self.folder / SWEEP, json.dumps(values).encode())


class Sweeps:
    """The sweeps in the folder `home`, which together take at most `quota` bytes: when another is
    created, the oldest go that nobody computes, those that are kept aside first.

    Attributes:
        damaged: folder name -> what is wrong with it, for those that `find` could not read.
    """

    def __init__(self, home: Path, quota: int = StoreSettings.quota) -> None:
        self._quota = quota
        self.folder = home / "sweeps"
        self._deleted = self.folder / "deleted"
        self.damaged: dict[str, str] = {}

    def create(self, sweep: Sweep, title: str = "", *, predict: bool = False) -> RecordedSweep:
        """The stored sweep; the one that is there already where it is the same.

        Args:
            predict: as `RecordedSweep.want_predictions`.

        Raises:
            ConfigError: predictions are wanted, and no flow describes the rule.
            ValueError: the title is too long, or can't be stored.
        """
        if predict:
            check(sweep.base.hyperparameters)
        recorded = self._found_or_made(sweep, title)
        if predict:
            recorded.want_predictions()
        return recorded

    def _found_or_made(self, sweep: Sweep, title: str) -> RecordedSweep:
        if sweep.key in self:
            recorded = self[sweep.key]
            if title and title != recorded.title:
                recorded.rename(title)
            return recorded
        recorded = RecordedSweep(
            self.folder / sweep.key, checked_title(title), round(time.time(), 3), sweep
        )
        recorded.folder.mkdir(parents=True, exist_ok=True)
        recorded._write()
        self._keep_quota(recorded.id)
        return recorded

    def find(self) -> list[RecordedSweep]:
        """All sweeps that can be read, newest first."""
        self._purge()
        self.damaged = {}
        found = []
        for file in self.folder.glob(f"*/{SWEEP}"):
            try:
                found.append(_read(file.parent))
            except files.SavedError as error:
                self.damaged[file.parent.name] = str(error)
        return sorted(found, key=lambda recorded: -recorded.created)

    def __contains__(self, id: str) -> bool:
        return is_id(id) and (self.folder / id / SWEEP).exists()

    def __getitem__(self, id: str) -> RecordedSweep:
        """The sweep of this id, or of the one id that begins so.

        Raises:
            SweepError: there is none, or there are several.
            SavedError: it is damaged.
        """
        if id in self:
            return _read(self.folder / id)
        known = [file.parent for file in self.folder.glob(f"*/{SWEEP}")]
        matching = [folder for folder in known if is_id(id) and folder.name.startswith(id)]
        if len(matching) != 1:
            several = "several sweeps begin" if matching else "no sweep begins"
            raise SweepError(f"{several} with {abridged(id)}; there are {len(known):,} sweeps")
        return _read(matching[0])

    def delete(self, id: str) -> None:
        """Put a sweep aside, from where `restore` brings it back within a day.

        Raises:
            SweepError: there is no such sweep, or it is being computed.
        """
        recorded = self[id]
        folder = recorded.folder
        lock = _lock_of(folder)
        try:
            lock.acquire(timeout=_LOCKING)
        except Timeout:
            raise SweepError(f"the sweep {id} is being computed: stop it first") from None
        try:
            recorded._check_is_there()
            self._deleted.mkdir(exist_ok=True)
            shutil.rmtree(self._deleted / folder.name, ignore_errors=True)
            os.utime(folder)  # when it was deleted
            folder.rename(self._deleted / folder.name)
        finally:
            lock.release()

    def restore(self, id: str) -> RecordedSweep:
        """Bring a deleted sweep back.

        Raises:
            SweepError: it was deleted more than a day ago, or its like has been made since.
        """
        aside = self._deleted / id
        if not is_id(id) or not aside.exists():
            hours = KEPT_ASIDE / 3600
            raise SweepError(f"no sweep {abridged(id)} was deleted in the last {hours:.0f} hours")
        if id in self:
            raise SweepError(f"the sweep {id} has been started again since: delete that one first")
        aside.rename(self.folder / id)
        return self[id]

    def _keep_quota(self, new: str) -> None:
        aside = filter(Path.is_dir, self._deleted.glob("*"))
        sizes = {folder: _size(folder) for folder in aside}
        sizes |= {one.folder: one.bytes for one in reversed(self.find())}
        over = sum(sizes.values()) - self._quota
        for folder, size in sizes.items():  # oldest first
            if over <= 0:
                return
            lock = _lock_of(self.folder / folder.name)
            if folder.name != new and not _is_held(lock):
                shutil.rmtree(folder)
                over -= size

    def _purge(self) -> None:
        for folder in self._deleted.glob("*"):
            # 0: another page has just done that, or has brought it back
            if 0 < _made(folder) < time.time() - KEPT_ASIDE and folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)
                _lock_file(self.folder / folder.name).unlink(missing_ok=True)


def open_sweeps() -> Sweeps:
    """The sweeps where SAMEDGE_HOME says, which those of the pages and the command line are too.

    Raises:
        ValueError: a wrong setting in the environment.
    """
    settings = StoreSettings.from_env()
    return Sweeps(settings.home, settings.quota)


def _read(folder: Path) -> RecordedSweep:
    with files.reading(folder / SWEEP) as file:
        values = codec.parse(files.text(file, LARGEST_SWEEP))
        plain = codec.convert(values, _Record, "a stored sweep")
        if not 0 <= plain.created <= LATEST:
            raise ConfigError("created", f"created must be 0 to {LATEST:g}, got {plain.created:g}")
        sweep = _sweep_of(json.dumps(plain.sweep))
        if sweep.key != folder.name:
            raise ConfigError("sweep", f"it is the sweep {sweep.key}, got {abridged(folder.name)}")
        return RecordedSweep(folder, plain.title, plain.created, sweep)


@lru_cache(maxsize=64)
def _sweep_of(text: str) -> Sweep:
    """The same object each time: a page asks once a second, and 10,000 cells take half of one."""
    return Sweep.from_values(codec.parse(text), known=True)


@dataclass(frozen=True)
class _Record:
    title: str
    created: float
    sweep: dict[str, Any]


def _size(folder: Path) -> int:
    sizes = 0
    for file in folder.iterdir():
        with suppress(FileNotFoundError):  # its driver has just put it in the place of another
            sizes += file.stat().st_size
    return sizes


def _made(file: Path) -> float:
    """When a file was last changed; 0 where another process has just taken it away."""
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _lock_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _lock_of(folder: Path) -> FileLock:
    return FileLock(_lock_file(folder), thread_local=False)


def _is_held(lock: FileLock) -> bool:
    if not Path(lock.lock_file).exists():
        return False
    try:
        with lock.acquire(blocking=False):
            return False
    except Timeout:
        return True
