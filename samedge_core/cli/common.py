"""Shared by all commands: exit codes, the store, output, and how settings are given."""

from __future__ import annotations

import argparse
import difflib
import os
import re
import shlex
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import NoReturn, TypeVar

from samedge_core.fields import ConfigError, Field, abridged, printable
from samedge_core.runs import Runs, open_runs

T = TypeVar("T")

PROGRAM = "samedge" if Path(sys.argv[0]).stem == "samedge" else "python -m samedge_core"
RUN_ID = "of the run, or as much of it as tells it apart"
WIDTH = 78  # characters a line of help
LONGEST_WORD = 100  # of an argument that a message quotes

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


class Parser(argparse.ArgumentParser):
    """A parser whose messages show what was given abridged, and escaped."""

    def error(self, message: str) -> NoReturn:
        """Print the message and exit with 2."""
        half = LONGEST_WORD // 2
        short = re.sub(
            rf"\S{{{LONGEST_WORD},}}", lambda m: f"{m[0][:half]}...{m[0][-half:]}", message
        )
        super().error(printable(short))


def argument(check: Callable[[str], T]) -> Callable[[str], T]:
    """`check`, which raises a ValueError in words, as the type of an argument."""

    def checked(text: str) -> T:
        try:
            return check(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


def whole(name: str, low: int, high: float | None = None) -> Callable[[str], int]:
    """The check of an argument that is a whole number from `low` to `high`; a ConfigError else."""
    return Field(name, "int", low, name, "", low=low, high=high).check


def one_of(kind: str, known: Iterable[str]) -> Callable[[str], str]:
    """The type of an argument that is one of the known names."""
    known = tuple(known)

    def check(name: str) -> str:
        if name not in known:
            raise unknown(kind, name, known)
        return name

    return argument(check)


@argument
def utf8(text: str) -> str:
    """The type of an argument that is any text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"must be UTF-8, got {abridged(text)}") from None
    return text


@argument
def path(text: str) -> Path:
    """The type of an argument that names a file or a folder."""
    if not text or "\0" in text:
        raise ValueError(f"must be the path of a file or a folder, got {abridged(text)}")
    return Path(text)


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
            raise UsageError(f"--set needs NAME=VALUE, got {abridged(text)}")
        values[name.strip()] = value.strip()
    return values


def unknown(kind: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error for an unknown name, with the closest known one."""
    known = list(known)
    close = difflib.get_close_matches(name[:60], known, n=1)
    guess = f" (did you mean {close[0]}?)" if close else ""
    message = f"no {kind} is called {abridged(name)}{guess}; there are: {', '.join(known)}"
    return ConfigError(name, message)


def say(text: str) -> None:
    """Print a text on standard output, line by line `printable`."""
    try:
        print(_safe(text), flush=True)
    except BrokenPipeError:
        # the reader, such as head, has closed; Python flushes into nothing at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def note(text: str) -> None:
    """Print a text on standard error, line by line `printable`."""
    print(_safe(text), file=sys.stderr, flush=True)


def _safe(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


def quoted(path: Path) -> str:
    """The path as an argument of a shell."""
    return shlex.quote(str(path))
