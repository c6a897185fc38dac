"""Drivers as programs of their own: they outlive the page, or the script, that has started them.

Importable without torch, and without Dask.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from samedge_core.fields import Field
from samedge_core.problems.memory import memory
from samedge_core.store.settings import HOME, number
from samedge_core.sweeps.results import SweepResult
from samedge_core.sweeps.rows import Row
from samedge_core.sweeps.store import (
    ASKED,
    ERROR,
    LOG,
    STOP,
    RecordedSweep,
    SweepError,
    Sweeps,
    open_sweeps,
)
from samedge_core.sweeps.sweep import MOST_CELLS, Sweep

POLL_SECONDS = 0.2
MOST_WORKERS = 1000  # of this machine
WORKERS = "SAMEDGE_SWEEP_WORKERS"
_WORKER_BYTES = 1e9  # of memory: a worker takes 300 MB, and its cells what they need

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_started: list[subprocess.Popen[bytes]] = []  # so that those that have ended are waited for


def local_workers() -> int:
    """How many workers a sweep takes on this machine: SAMEDGE_SWEEP_WORKERS, by default one a core,
    or fewer where memory is scarce.

    Raises:
        SweepError: the variable is no number > 0.
    """
    of = getattr(os, "sched_getaffinity", None)  # not on all systems
    cores = len(of(0)) if of else os.cpu_count() or 1
    try:
        default = max(1, int(min(cores, memory() / _WORKER_BYTES)))
        within = {"what": "a whole number", "below": MOST_WORKERS + 1}
        return int(number(os.environ, WORKERS, default, **within))
    except ValueError as error:
        raise SweepError(str(error)) from None


def launch(home: Path, id: str) -> None:
    """Start the driver of a stored sweep, which goes on when this process ends.

    Its workers are those of SAMEDGE_SCHEDULER, or the cores of this machine.

    Raises:
        SweepError: there is no such sweep.
    """
    _started[:] = [process for process in _started if process.poll() is None]
    _started.append(_program(Sweeps(home)[id]))


def run_sweep(
    sweep: Sweep,
    *,
    scheduler: str | None = None,
    on_row: Callable[[Row], object] = lambda row: None,
    workers: int | None = None,
    budget: int | None = None,
    predict: bool = False,
    insecure: bool = False,
    title: str = "",
) -> SweepResult:
    """Compute a sweep and return its rows; those that are stored already are not computed again.

    A program of its own computes, so a script needs no guard around this call. Ctrl-C ends it, and
    keeps what is computed.

    Args:
        scheduler: the address of a Dask scheduler, tcp://HOST:PORT on this machine or
            tls://HOST:PORT; by default SAMEDGE_SCHEDULER, or else the cores of this machine.
        on_row: called with each new row of a run once it is stored.
        workers: how many cores; by default all.
        budget: how many cells at most have a row in the end, chosen where fates change.
        predict: whether what a flow says of each run is computed, too (`se.predict`); it takes
            about as long as the runs one by one.
        insecure: whether the scheduler may be on another machine without TLS.

    Raises:
        ConfigError: so many workers or cells are not allowed, or no flow describes the rule.
        SweepError: it can't be computed; the message says why.
    """
    for name, value, most in (("workers", workers, MOST_WORKERS), ("budget", budget, MOST_CELLS)):
        if value is not None:
            Field(name, "int", 1, "", "", low=1, high=most).check(value)
    recorded = open_sweeps().create(sweep, title, predict=predict)
    position = recorded.rows_after(0)[1]
    options = {"--scheduler": scheduler, "--workers": workers, "--budget": budget}
    arguments = [f"{name}={value}" for name, value in options.items() if value is not None]
    process = _program(recorded, *arguments, *["--insecure-scheduler"] * insecure)
    try:
        ended = False
        while not ended:
            ended = process.poll() is not None
            rows, position = recorded.rows_after(position)
            for row in rows:
                on_row(row)
            time.sleep(0 if ended else POLL_SECONDS)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()
    if process.returncode:
        raise SweepError(recorded.error or recorded.log)
    return recorded.result()


def _program(recorded: RecordedSweep, *arguments: str) -> subprocess.Popen[bytes]:
    """`samedge sweep --continue ID` in a session of its own: no signal of a terminal reaches it."""
    folder = recorded.folder
    path = os.pathsep.join(filter(None, (str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "samedge_core", "sweep", "--quiet"]
    for name in (STOP, ERROR):  # what an earlier driver was asked, and why it has failed
        (folder / name).unlink(missing_ok=True)
    (folder / ASKED).touch()
    with (folder / LOG).open("wb") as log:
        return subprocess.Popen(
            [*command, f"--continue={recorded.id}", *arguments],
            env={**os.environ, HOME: str(folder.parents[1]), "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
