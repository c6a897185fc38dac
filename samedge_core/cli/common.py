"""Shared by all commands: exit codes, the store, output, and how settings are given."""

from __future__ import annotations

import argparse
import difflib
import os
import shlex
import sys
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path

from samedge_core.fields import ConfigError
from samedge_core.runs import Runs, open_runs

PROGRAM = "samedge" if Path(sys.argv[0]).stem == "samedge" else "python -m samedge_core"
RUN_ID = "of the run, or as much of it as tells it apart"
WIDTH = 78  # characters a line of help

EXIT_CODES = """\
exit codes:
  0    done; of a run: step cap reached, or converged
  1    it could not be done: data missing, files damaged or not writable, or the run failed
  2    wrong arguments or settings
  3    the run diverged
  130  interrupted by Ctrl-C or SIGTERM; everything recorded is saved
"""


class Exit(IntEnum):
    """What the program's exit code says."""

    FINISHED = 0
    CANNOT = 1
    USAGE = 2
    DIVERGED = 3
    INTERRUPTED = 130


class UsageError(ValueError):
    """Arguments that don't go together; the message says what would."""


def add_command(
    commands: argparse._SubParsersAction, name: str, help: str, *, about: str = "", examples: str
) -> argparse.ArgumentParser:
    """The parser of a command; `examples` are arguments of the program, a line each."""
    lines = "".join(f"  {PROGRAM} {line}\n" for line in examples.splitlines())
    about = textwrap.fill(about or f"{help[:1].upper()}{help[1:]}.", WIDTH)
    return commands.add_parser(
        name,
        help=help,
        description=about,
        epilog=f"examples:\n{lines}\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


@contextmanager
def opened() -> Iterator[Runs]:
    """The recorded runs; a UsageError for a wrong setting in the environment."""
    try:
        runs = open_runs()
    except ValueError as error:  # of the environment
        raise UsageError(str(error)) from None
    with runs:
        yield runs


def assigned(assignments: Iterable[str]) -> dict[str, str]:
    """The values of `--set NAME=VALUE`, by name; a UsageError where "=" is missing."""
    values = {}
    for text in assignments:
        name, separator, value = text.partition("=")
        if not separator:
            raise UsageError(f"--set needs NAME=VALUE, got {text!r}")
        values[name.strip()] = value.strip()
    return values


def unknown(kind: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error for an unknown name, with the closest known one."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    guess = f" (did you mean {close[0]}?)" if close else ""
    return ConfigError(name, f"no {kind} is called {name!r}{guess}; there are: {', '.join(known)}")


def say(text: str) -> None:
    """Print a text on standard output."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # the reader, such as head, has closed; Python flushes into nothing at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def note(text: str) -> None:
    """Print a text on standard error."""
    print(text, file=sys.stderr, flush=True)


def quoted(path: Path) -> str:
    """The path as an argument of a shell."""
    return shlex.quote(str(path))
