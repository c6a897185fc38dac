"""What all commands share: exit codes, the store, what is said and how settings are given."""

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
    """A command with its help; `examples` are the arguments of the program, a line each."""
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
    """The recorded runs."""
    try:
        runs = open_runs()
    except ValueError as error:  # of the environment
        raise UsageError(str(error)) from None
    with runs:
        yield runs


def assigned(assignments: Iterable[str]) -> dict[str, str]:
    """What `--set NAME=VALUE` says, by name."""
    values = {}
    for text in assignments:
        name, separator, value = text.partition("=")
        if not separator:
            raise UsageError(f"--set needs NAME=VALUE, got {text!r}")
        values[name.strip()] = value.strip()
    return values


def unknown(kind: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error for an unknown name, with the names that there are."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    guess = f" (did you mean {close[0]}?)" if close else ""
    return ConfigError(name, f"no {kind} is called {name!r}{guess}; there are: {', '.join(known)}")


def say(text: str) -> None:
    """On standard output."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # the reader (head, say) has seen enough; what Python flushes at its end goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def note(text: str) -> None:
    """On standard error."""
    print(text, file=sys.stderr, flush=True)


def quoted(path: Path) -> str:
    """As a shell takes it."""
    return shlex.quote(str(path))
