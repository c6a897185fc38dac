"""The command line: the live lab, training, and lists of presets, problems and recorded runs.

Loads torch only for commands that train.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from sqlalchemy.exc import SQLAlchemyError

from samedge_core import __version__
from samedge_core.cli import doctor, keep, look, serve, sweep, train
from samedge_core.cli.common import EXIT_CODES, PROGRAM, Exit, Parser, UsageError, note
from samedge_core.curvature.kernels import KernelsError
from samedge_core.fields import ConfigError
from samedge_core.problems.data import DataError
from samedge_core.runs import DeleteError, RunKeyError
from samedge_core.sharing.export import ResumeError
from samedge_core.sharing.files import SavedError
from samedge_core.sharing.replay_file import ExchangeError
from samedge_core.store.archive import ArchiveError
from samedge_core.store.branching import StepError
from samedge_core.store.catalogue import CatalogueError
from samedge_core.sweeps.store import SweepError

__all__ = ["Exit", "main"]

_USAGE = (ConfigError, UsageError, ResumeError, RunKeyError, StepError, ExchangeError)
_CANNOT = (
    DataError,
    KernelsError,
    SavedError,
    DeleteError,
    ArchiveError,
    CatalogueError,
    SweepError,
    SQLAlchemyError,
    OSError,
    ImportError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (sys.argv by default) and return its exit code.

    Raises:
        SystemExit: as argparse does, for --help and for arguments that it can't parse.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if serve.is_asked_for(arguments):
            return serve.open_lab(arguments)
        options = _parser().parse_args(arguments)
        return options.command(options)
    except _USAGE as error:
        return _complain(error, Exit.USAGE)
    except _CANNOT as error:
        # of a database's error, its own words: SQLAlchemy adds the statement and a link
        return _complain(getattr(error, "orig", None) or error, Exit.CANNOT)
    except KeyboardInterrupt:
        return _complain("interrupted; only what was saved before is kept", Exit.INTERRUPTED)


def _complain(message: object, code: Exit) -> Exit:
    note(f"{PROGRAM}: {message}")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog=PROGRAM,
        description=serve.ABOUT,
        epilog=f"Each command has its own --help, with examples.\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"samedge {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (train, sweep, look, keep, doctor):
        group.add_commands(commands)
    return parser
