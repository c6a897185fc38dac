"""Deleted: the folders of runs that were deleted less than a day ago, from where they come back."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from samedge_core.store.texts import is_id

KEPT_SECONDS = 86_400.0


class Deleted:
    """A folder beside `runs`, with a folder for each of these runs.

    A file `ID.path` names the file of this machine that a run was trained on: the run's own folder
    is not believed to, since it may have come from elsewhere.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, run: Path, trained_on: str = "") -> None:
        """Put the folder of a run in; raises an OSError where it can't be moved."""
        self._folder.mkdir(exist_ok=True)
        self.remove(run.name)
        if trained_on:
            self._path(run.name).write_text(trained_on, encoding="utf-8")
        os.utime(run)  # when it was deleted
        run.rename(self._folder / run.name)

    def take(self, run: str, place: Path) -> str:
        """Move a run's folder to `place`; returns the file that it was trained on, or "".

        Raises:
            KeyError: it was not deleted within a day.
        """
        if run not in self.ids():
            raise KeyError(run)
        (self._folder / run).rename(place)
        file = self._path(run)
        trained_on = file.read_text(encoding="utf-8") if file.exists() else ""
        file.unlink(missing_ok=True)
        return trained_on

    def ids(self) -> list[str]:
        """Runs that can be taken back, the one that was deleted last first."""
        found = {run.name: _when(run) for run in self._runs()}
        since = time.time() - KEPT_SECONDS
        return sorted((run for run in found if found[run] >= since), key=lambda run: -found[run])

    def sizes(self) -> dict[str, int]:
        """Bytes of each run that is here, the one that was deleted first first."""
        runs = sorted(self._runs(), key=_when)
        return {run.name: sum(map(_bytes, run.rglob("*"))) for run in runs}

    def remove(self, run: str) -> None:
        """Delete a run for good."""
        shutil.rmtree(self._folder / run, ignore_errors=True)
        self._path(run).unlink(missing_ok=True)

    def remove_old(self) -> None:
        """Delete for good what was deleted more than a day ago."""
        since = time.time() - KEPT_SECONDS
        for run in [run.name for run in self._runs() if _when(run) < since]:
            self.remove(run)

    def _path(self, run: str) -> Path:
        return self._folder / f"{run}.path"

    def _runs(self) -> Iterator[Path]:
        if self._folder.is_dir():
            yield from (one for one in self._folder.iterdir() if one.is_dir() and is_id(one.name))


def _when(run: Path) -> float:
    try:
        return run.stat().st_mtime
    except OSError:  # another server has just taken it back
        return 0.0


def _bytes(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
