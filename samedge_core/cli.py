"""The command line: runs without a page, and lists of what can be run.

Loads torch only once there is something to train.
"""

from __future__ import annotations

import argparse
import difflib
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from samedge_core import saved
from samedge_core.fields import ConfigError
from samedge_core.hints import hints
from samedge_core.listing import aligned, presets_text, problems_text
from samedge_core.paper import ALL_PRESETS
from samedge_core.presets import Preset
from samedge_core.problems.data import DataError
from samedge_core.problems.registry import PROBLEMS
from samedge_core.progress import progress
from samedge_core.summary import in_words, summarise
from samedge_core.training.config import FIELDS, LIVE_FIELDS, RunConfig
from samedge_core.training.history import History
from samedge_core.training.stop import Stop, StopReason

if TYPE_CHECKING:
    from samedge_core.headless import HeadlessRun

__all__ = ["Exit", "main"]

PROGRAM = "python -m samedge_core"
RUNS = Path("runs")


class Exit(IntEnum):
    """What the program's exit code says."""

    FINISHED = 0
    CANNOT = 1
    USAGE = 2
    DIVERGED = 3
    INTERRUPTED = 130


class UsageError(ValueError):
    """Arguments that don't go together; the message says what would."""


_EXIT_OF = {
    StopReason.STOPPED: Exit.INTERRUPTED,
    StopReason.DIVERGED: Exit.DIVERGED,
    StopReason.FAILED: Exit.CANNOT,
}

_EPILOG = """\
exit codes:
  0    the run finished: step cap reached, or converged
  1    it could not be made: data missing, files damaged or not writable, or the run failed
  2    wrong arguments or settings
  3    the run diverged
  130  interrupted by Ctrl-C or SIGTERM; everything recorded is saved
"""

_EXAMPLES = f"""\
examples:
  {PROGRAM} run --preset sam-digits-relu
  {PROGRAM} run --set problem=digits-mlp --set width=50 --set rule=gd --set eta=2 --out runs/wide
  {PROGRAM} run --resume --out runs/wide --set steps=3000

"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (sys.argv by default) and return its exit code.

    Raises:
        SystemExit: as argparse does, for --help and for arguments that it can't parse.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except (ConfigError, UsageError, saved.ResumeError) as error:
        return _complain(error, Exit.USAGE)
    except (DataError, saved.SavedError, OSError) as error:
        return _complain(error, Exit.CANNOT)
    except KeyboardInterrupt:
        return _complain("interrupted; only what was saved before is kept", Exit.INTERRUPTED)


def _presets() -> Mapping[str, Preset]:
    """All presets by name."""
    return ALL_PRESETS


def _say(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # the reader (head, say) has seen enough; what Python flushes at its end goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: object, code: Exit) -> Exit:
    print(f"samedge_core: {message}", file=sys.stderr)
    return code


# --- arguments ------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Runs at the edge of stability without a page.",
        epilog=_EPILOG,
        formatter_class=raw,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="train, measure and save one run",
        description="Train, measure and save one run: config.json, history.parquet, history.csv, "
        "summary.json, report.html and state.pt. Saved every 30 s and at the end.",
        epilog=_EXAMPLES + _EPILOG,
        formatter_class=raw,
    )
    _add_run_arguments(run)
    run.set_defaults(command=_run)
    listing = commands.add_parser("list", help="list presets and problems")
    listing.add_argument("what", nargs="?", choices=("presets", "problems"), help="default: both")
    listing.set_defaults(command=_list)
    return parser


def _add_run_arguments(run: argparse.ArgumentParser) -> None:
    run.add_argument("--preset", metavar="NAME", help="start from a preset (see list presets)")
    run.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], dest="assignments",
        help="a setting of the run or an option of its problem, repeatable; settings: "
        + ", ".join(FIELDS) + "; options: see list problems",
    )  # fmt: skip
    run.add_argument(
        "--out", metavar="FOLDER", type=Path,
        help="where the files go; by default a folder of runs/ named after the preset, or after "
        "problem and rule",
    )  # fmt: skip
    run.add_argument(
        "--resume", action="store_true",
        help="go on with the run in --out, to the very same numbers as without a stop; --set may "
        f"raise steps, and change {', '.join(LIVE_FIELDS)} from there on",
    )  # fmt: skip
    run.add_argument("--quiet", action="store_true", help="no progress, only the summary")
    run.add_argument(
        "--threads", metavar="N", type=_threads,
        help="threads of torch; a run repeats bit for bit only with as many",
    )  # fmt: skip


def _threads(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number >= 1, got {text!r}")
    return int(text)


def _assigned(assignments: Iterable[str]) -> dict[str, str]:
    values = {}
    for text in assignments:
        name, separator, value = text.partition("=")
        if not separator:
            raise UsageError(f"--set needs NAME=VALUE, got {text!r}")
        values[name.strip()] = value.strip()
    return values


def _config(preset: str | None, assigned: Mapping[str, str]) -> RunConfig:
    """The preset's settings, or the defaults, with what was assigned."""
    start = _preset(preset).config if preset is not None else RunConfig()
    problem = FIELDS["problem"].check(assigned.get("problem", start.problem))
    known = [field.name for field in PROBLEMS[problem].options]
    for name in assigned:
        if name not in FIELDS and name not in known:
            raise _unknown(f"setting of a run or option of {problem}", name, [*FIELDS, *known])
    options: dict[str, Any] = dict(start.options) if problem == start.problem else {}
    options |= {name: value for name, value in assigned.items() if name in known}
    settings: dict[str, Any] = {n: value for n, value in assigned.items() if n in FIELDS}
    return start.replace(**settings, options=options)


def _preset(name: str) -> Preset:
    presets = _presets()
    if name not in presets:
        raise _unknown("preset", name, presets)
    return presets[name]


def _unknown(kind: str, name: str, known: Iterable[str]) -> ConfigError:
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    guess = f" (did you mean {close[0]}?)" if close else ""
    return ConfigError(name, f"no {kind} is called {name!r}{guess}; there are: {', '.join(known)}")


# --- run ------------------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> Exit:
    prepare = _resumed if options.resume else _new
    folder, run = prepare(options, _assigned(options.assignments))
    with progress(run.history, run.costs, quiet=options.quiet) as on_row:
        history = run.run(folder, on_row=on_row)
    assert history.stop is not None
    _say(_conclusion(history, history.stop, folder))
    return _EXIT_OF.get(history.stop.reason, Exit.FINISHED)


def _new(options: argparse.Namespace, assigned: Mapping[str, str]) -> tuple[Path, HeadlessRun]:
    config = _config(options.preset, assigned)
    folder = options.out or RUNS / (options.preset or f"{config.problem}-{config.rule}")
    if saved.holds_run(folder):
        raise UsageError(
            f"{folder} holds a run already: go on with it by --resume --out {_quoted(folder)}, or "
            "choose another folder by --out"
        )
    for hint in hints(config):
        print(f"note: {hint}", file=sys.stderr)
    return folder, _headless(options.threads).HeadlessRun.new(config)


def _resumed(options: argparse.Namespace, assigned: Mapping[str, str]) -> tuple[Path, HeadlessRun]:
    folder = options.out
    if folder is None or options.preset is not None:
        raise UsageError("--resume needs --out FOLDER, the folder of a run, and takes no --preset")
    changes = {name: value for name, value in assigned.items() if name in LIVE_FIELDS}
    for name in assigned:
        if name not in changes and name != "steps":
            allowed = ", ".join(("steps", *LIVE_FIELDS))
            raise UsageError(f"--resume can't change {name}; what it can: {allowed}")
    steps = FIELDS["steps"].check(assigned["steps"]) if "steps" in assigned else None
    resume = _headless(options.threads).HeadlessRun.resumed
    return folder, resume(folder, steps=steps, changes=changes)


def _headless(threads: int | None) -> ModuleType:
    """`samedge_core.headless`, with torch set to as many threads."""
    import torch

    from samedge_core import headless

    if threads is not None:
        torch.set_num_threads(threads)
    return headless


def _conclusion(history: History, stop: Stop, folder: Path) -> str:
    """Why the run stopped, how to go on, the summary, and where the files are."""
    what = f"{history.config.problem}: {stop.what.rstrip('.')}."
    files = f"Files in {folder}: {', '.join(saved.FILES)}"
    words = aligned(in_words(summarise(history)), indent="  ")
    return "\n".join([what, *_remedy(stop.reason, folder), "", words, "", files])


def _remedy(reason: StopReason, folder: Path) -> list[str]:
    resume = f"{PROGRAM} run --resume --out {_quoted(folder)}"
    remedies = {
        StopReason.STOPPED: f"Go on with: {resume}",
        StopReason.STEP_CAP: f"Go on with: {resume} --set steps=N",
        StopReason.DIVERGED: "Try a smaller eta or rho (--set eta=...), in another folder (--out).",
        StopReason.FAILED: "Change what the message names, and run it in another folder (--out).",
    }
    return [remedies[reason]] if reason in remedies else []


def _quoted(folder: Path) -> str:
    return shlex.quote(str(folder))


# --- list -----------------------------------------------------------------------------------


def _list(options: argparse.Namespace) -> Exit:
    texts = {
        "presets": presets_text(_presets().values()),
        "problems": problems_text(PROBLEMS.values()),
    }
    _say("\n\n".join(text for what, text in texts.items() if options.what in (None, what)))
    return Exit.FINISHED
