"""The command that computes sweeps: `samedge sweep`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from samedge_core.cli.common import (
    PROGRAM,
    Exit,
    UsageError,
    add_command,
    argument,
    assigned,
    note,
    path,
    quoted,
    say,
    whole,
)
from samedge_core.cli.progress import LINE_SECONDS
from samedge_core.cli.tables import aligned
from samedge_core.cli.train import configured
from samedge_core.store.texts import checked_title
from samedge_core.sweeps.launching import MOST_WORKERS
from samedge_core.sweeps.results import SweepResult
from samedge_core.sweeps.rows import FATES, Row
from samedge_core.sweeps.store import RecordedSweep, Sweeps, open_sweeps
from samedge_core.sweeps.sweep import MOST_CELLS, SAMPLES, Axis, Sweep
from samedge_core.training.interruptions import interruptions
from samedge_core.training.progress import every

LETTERS = dict(zip(FATES, "ebadxcf", strict=True))
MOST_LETTERS = 78  # a line

_ABOUT = (
    "Compute a grid of runs over one or two settings, and tell what becomes of each. A finished "
    "cell is stored at once: Ctrl-C keeps it, and the same command goes on."
)


def add_commands(commands: argparse._SubParsersAction) -> None:
    """sweep."""
    parser = add_command(
        commands,
        "sweep",
        "compute a grid of runs: for which eta and rho?",
        about=_ABOUT,
        examples="sweep --preset sam-chebyshev --axis eta=0.05:0.8:16:log --axis "
        "rho=0.002:0.2:16:log\n"
        "sweep --set problem=two-weight --set rule=gd --axis eta=0.1,0.2,0.4 --seeds 3\n"
        "sweep --list",
    )
    add = parser.add_argument
    add("--preset", metavar="NAME", help="start from a preset (see list presets)")
    add(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        dest="assignments",
        help="a setting of all runs or an option of their problem, repeatable, as of run",
    )
    add(
        "--axis",
        metavar="AXIS",
        action="append",
        default=[],
        dest="axes",
        help="what varies, once or twice: NAME=LOW:HIGH:COUNT, the same and :log for equal ratios, "
        "or NAME=V1,V2,...; the first is drawn to the right, the second upward",
    )
    add("--seeds", metavar="N|LIST", help="how many, or which: 3, or 0,7,9 (default 1)")
    add(
        "--samples",
        metavar="N",
        help=f"steps of a run at which its sharpness is measured (default {SAMPLES.default})",
    )
    add(
        "--predict",
        action="store_true",
        help="also compute what a flow says of each run: takes as long as the runs one by one",
    )
    add("--continue", metavar="ID", dest="id", help="go on with a stored sweep (see --list)")
    add("--list", action="store_true", help="list the stored sweeps, and do nothing else")
    add(
        "--budget",
        metavar="N",
        type=argument(whole("budget", 1, MOST_CELLS)),
        help="end when so many cells are computed, coarse to fine where fates change",
    )
    add(
        "--workers",
        metavar="N",
        type=argument(whole("workers", 1, MOST_WORKERS)),
        help="how many cores compute (default: all)",
    )
    add(
        "--scheduler",
        metavar="ADDRESS",
        help="of a Dask scheduler whose workers compute: tcp://HOST:PORT on this machine, or "
        "tls://HOST:PORT (default: SAMEDGE_SCHEDULER, or else the cores of this machine)",
    )
    add("--insecure-scheduler", action="store_true", help="let it be elsewhere, and not encrypted")
    add("--out", metavar="FOLDER", type=path, help="also write the results there, at the end")
    add("--title", metavar="TEXT", type=argument(checked_title), default="", help="of the sweep")
    add("--quiet", action="store_true", help="no progress, only what has come of it")
    parser.set_defaults(command=_sweep)


def _sweep(options: argparse.Namespace) -> Exit:
    try:
        sweeps = open_sweeps()
    except ValueError as error:  # of the environment
        raise UsageError(str(error)) from None
    if options.list:
        return _list(sweeps)
    if options.out is not None and options.out.exists() and not options.out.is_dir():
        raise UsageError(f"--out must be a folder, got the file {options.out}")
    given = _new(options) if options.id is None else _continued(options, sweeps)
    if options.out is not None:  # to say so now, not after hours of computing
        options.out.mkdir(parents=True, exist_ok=True)
        if not os.access(options.out, os.W_OK):
            raise UsageError(f"--out must be a folder to write to, got {options.out}")
    from samedge_core.sweeps.driver import drive  # loads Dask
    from samedge_core.sweeps.schedulers import checked_address

    if options.id is None:  # of a stored one, the driver writes what is wrong into its folder
        checked_address(options.scheduler, insecure=options.insecure_scheduler)
    if isinstance(given, Sweep):
        recorded = sweeps.create(given, options.title, predict=options.predict)
    else:
        recorded = given
        if options.predict:
            recorded.want_predictions()
    if not options.quiet:
        note(f"sweep {recorded.id} in {recorded.folder}")
    with interruptions() as interrupted, _progress(recorded, quiet=options.quiet) as on_row:
        drive(
            recorded,
            scheduler=options.scheduler,
            insecure=options.insecure_scheduler,
            workers=options.workers,
            budget=options.budget,
            on_row=on_row,
            stop=interrupted.is_set,
            say=lambda text: None if options.quiet else note(text),
        )
    return _end(options, recorded, interrupted=interrupted.is_set())


def _continued(options: argparse.Namespace, sweeps: Sweeps) -> RecordedSweep:
    own = ("axes", "assignments", "preset", "seeds", "samples")
    if any(getattr(options, name) not in (None, []) for name in own):
        names = "--axis, --set, --preset, --seeds or --samples"
        raise UsageError(f"--continue takes no {names}: the sweep has its own")
    recorded = sweeps[options.id]
    if options.title:
        recorded.rename(options.title)
    return recorded


def _new(options: argparse.Namespace) -> Sweep:
    if not options.axes:
        raise UsageError("a sweep needs --axis once or twice, such as --axis eta=0.1:1:8:log")
    base = configured(options.preset, assigned(options.assignments))
    axes = tuple(Axis.parse(base, text) for text in options.axes)
    given = "1" if options.seeds is None else options.seeds
    seeds: Any
    first, *more = (part.strip() for part in given.split(","))
    if more:
        seeds = tuple(part for part in (first, *more) if part)
    else:
        seeds = range(base.seed, base.seed + whole("seeds", 1, MOST_CELLS)(first))
    samples = SAMPLES.default if options.samples is None else options.samples
    return Sweep(base, axes, tuple(seeds), samples)


def _list(sweeps: Sweeps) -> Exit:
    rows = [("id", "created", "state", "cells", "problem", "axes", "title")]
    for one in sweeps.find():
        total, sweep = one.sweep.count, one.sweep
        axes = " x ".join(f"{axis.name} ({len(axis.values)})" for axis in sweep.axes)
        created = f"{datetime.fromtimestamp(one.created):%Y-%m-%d %H:%M}"
        cells = f"{total - one.missing:,}/{total:,}"
        cells += f", predicted {total - one.unpredicted:,}" if one.predicts else ""
        rows.append((one.id, created, one.state, cells, sweep.base.problem, axes, one.title))
    say(aligned(rows) if len(rows) > 1 else "no sweeps yet")
    for name, what in sweeps.damaged.items():
        note(f"{name} can't be read: {what}")
    return Exit.FINISHED


@contextmanager
def _progress(recorded: RecordedSweep, *, quiet: bool) -> Iterator[Callable[[Row], None]]:
    total = recorded.sweep.count * (2 if recorded.predicts else 1)
    done = total - recorded.missing - recorded.unpredicted
    if quiet:
        yield lambda row: None
    elif sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(initial=done, total=total, unit="cell", dynamic_ncols=True) as bar:

            def on_row(row: Row) -> None:
                bar.update()

            yield on_row
    else:
        yield _in_lines(done, total, "runs and predictions" if recorded.predicts else "cells")


def _in_lines(done: int, total: int, what: str = "cells") -> Callable[[Row], None]:
    due, first = every(LINE_SECONDS), (0.0, 0)

    def on_row(row: Row) -> None:
        nonlocal done, first
        done += 1
        if first == (0.0, 0):  # until then, workers were starting
            first = time.monotonic(), done
            due()
        elif due():
            left = (time.monotonic() - first[0]) / (done - first[1]) * (total - done)
            note(f"{done:,} of {total:,} {what}, about {left / 60:.1f} minutes left")

    return on_row


def _end(options: argparse.Namespace, recorded: RecordedSweep, *, interrupted: bool) -> Exit:
    result = recorded.result()
    parts = [_picture(result), _counts(result)]
    if recorded.predicts:
        parts.append(result.agreement().words)
    if recorded.missing or recorded.unpredicted:
        out = "" if options.out is None else f" --out {quoted(options.out)}"
        parts.append(f"Go on with: {PROGRAM} sweep --continue {recorded.id}{out}")
    if options.out is not None:
        from samedge_core.sweeps.export import write_results

        written = write_results(options.out, result)
        parts.append(f"Files in {options.out}: {', '.join(written)}")
    say("\n\n".join(filter(None, parts)))
    return Exit.INTERRUPTED if interrupted else Exit.FINISHED


def _picture(result: SweepResult) -> str:
    """A letter a cell, the second axis upward; empty where a line can't hold it."""
    x, *y = result.sweep.axes
    if len(x.values) > MOST_LETTERS:
        return ""
    lines = ["".join(LETTERS.get(fate, ".") for fate in row) for row in result.fates()][::-1]
    upward = f"{y[0].name} {y[0].values[0]:g} to {y[0].values[-1]:g} upward, " if y else ""
    return "\n".join([*lines, f"{upward}{x.name} {x.values[0]:g} to {x.values[-1]:g} to the right"])


def _counts(result: SweepResult) -> str:
    counts = Counter(row.fate for row in result.rows)
    rows = [(LETTERS[fate], fate, f"{counts[fate]:,}") for fate in FATES if counts[fate]]
    missing = result.sweep.count - len(result.rows)
    rows += [(".", "not computed", f"{missing:,}")] if missing else []
    return aligned(rows, indent="  ")
