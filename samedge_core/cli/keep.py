"""Commands for recorded runs: export, import, log, delete, restore."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from samedge_core.cli.common import (
    RUN_ID,
    Exit,
    UsageError,
    add_command,
    note,
    opened,
    path,
    say,
    utf8,
)
from samedge_core.cli.tables import runs_text
from samedge_core.fields import abridged
from samedge_core.runs import FORMATS, short_length
from samedge_core.sharing import several, tensorboard
from samedge_core.sharing.several import MEANS_CSV
from samedge_core.store.texts import is_id


def add_commands(commands: argparse._SubParsersAction) -> None:
    """export, import, log, delete and restore."""
    _add_exchange(commands)
    _add_deleting(commands)


def _add_exchange(commands: argparse._SubParsersAction) -> None:
    export = add_command(
        commands,
        "export",
        "write recorded runs to files, by their suffixes",
        about="Write a recorded run to files, over what is there: .csv or .parquet (every row), "
        ".json (what replay takes), .html (the report), .py (a script that repeats the run), "
        ".ipynb (a notebook that draws and repeats it) or .zip (all that is recorded, for import). "
        "Several runs go into one .csv, .parquet or .ipynb, or into .means.csv: mean and sample "
        "deviation at each step over runs that differ in the seed alone.",
        examples="export 3f2a91c0 rows.csv report.html\nexport 3f2a91c0 81d0e7aa both.parquet\n"
        "export 3f2a91c0 81d0e7aa seeds.means.csv runs.ipynb",
    )
    export.add_argument("id", metavar="ID", type=utf8, help=f"{RUN_ID}; several may be given")
    export.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        type=path,
        help=f"ends with one of {', '.join((*FORMATS, MEANS_CSV))}",
    )
    export.set_defaults(command=_export)
    bring = add_command(
        commands,
        "import",
        "take in the .zip of a run of another store",
        about="Take in the .zip of a run of another store; prints the id that it has here.",
        examples="import run.zip",
    )
    bring.add_argument("files", metavar="FILE", nargs="+", type=path, help="as export wrote it")
    bring.set_defaults(command=_import)
    log = add_command(
        commands,
        "log",
        "write a recorded run as a TensorBoard log",
        examples="log 3f2a91c0 --tensorboard logs/relu-sam",
    )
    log.add_argument("id", metavar="ID", help=RUN_ID)
    log.add_argument(
        "--tensorboard",
        metavar="FOLDER",
        type=path,
        required=True,
        help="one run of TensorBoard; it must not hold a log yet",
    )
    log.set_defaults(command=_log)


def _add_deleting(commands: argparse._SubParsersAction) -> None:
    delete = add_command(
        commands,
        "delete",
        "delete recorded runs, pinned ones apart; restore brings them back within a day",
        examples="delete 3f2a91c0\ndelete 3f2a91c0 81d0e7aa --yes",
    )
    delete.add_argument("ids", metavar="ID", nargs="+", help=RUN_ID)
    delete.add_argument("--yes", action="store_true", help="don't ask")
    delete.set_defaults(command=_delete)
    restore = add_command(
        commands,
        "restore",
        "bring back runs that were deleted within a day",
        examples="restore 3f2a91c0",
    )
    restore.add_argument("ids", metavar="ID", nargs="+", help=RUN_ID)
    restore.set_defaults(command=_restore)


def _export(options: argparse.Namespace) -> Exit:
    # ids and files stand in one list: no id has a dot
    ids = [options.id, *(str(word) for word in options.files if is_id(str(word)))]
    files = [file for file in options.files if not is_id(str(file))]
    allowed = (*FORMATS, MEANS_CSV) if len(ids) == 1 else tuple(several.FORMATS)
    for got in map(str, files) if files else ["none"]:
        if Path(got).suffix.lower() not in allowed:
            kinds = ", ".join(allowed)
            raise UsageError(f"a file must end with one of {kinds}, got {abridged(got)}")
    with opened() as runs:
        found = list({run.id: run for run in (runs[given] for given in ids)}.values())
        for file in files:
            if len(ids) > 1 or file.name.lower().endswith(MEANS_CSV):
                runs.export(found, file)
            else:
                found[0].export(file)
            say(str(file))
    return Exit.FINISHED


def _import(options: argparse.Namespace) -> Exit:
    with opened() as runs:
        for file in options.files:
            say(runs.bring_in(file).id)
    return Exit.FINISHED


def _log(options: argparse.Namespace) -> Exit:
    with opened() as runs:
        tensorboard.log(runs[options.id].history, options.tensorboard)
    say(f"{options.tensorboard}: see tensorboard --logdir {options.tensorboard}")
    return Exit.FINISHED


def _delete(options: argparse.Namespace) -> Exit:
    with opened() as runs:
        chosen = {run.id: run for run in (runs[given] for given in options.ids)}
        for run in chosen.values():
            run.check_deletable()
        if not options.yes:
            note(runs_text([run.entry for run in chosen.values()], short_length(runs.ids())))
            if not _confirmed(len(chosen)):
                say("Nothing is deleted.")
                return Exit.FINISHED
        for run in chosen.values():
            run.delete()
            say(f"deleted {run.id}")
    return Exit.FINISHED


def _restore(options: argparse.Namespace) -> Exit:
    with opened() as runs:
        for given in options.ids:
            say(f"restored {runs.restore(given).id}")
    return Exit.FINISHED


def _confirmed(count: int) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("delete asks first: add --yes where nobody can answer")
    what = "this run" if count == 1 else f"these {count} runs"
    print(f"Delete {what}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
