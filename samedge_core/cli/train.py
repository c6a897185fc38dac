"""Commands that train: run, fork, replay."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from sqlalchemy.exc import SQLAlchemyError

from samedge_core.analysis.summary import in_words, summarise
from samedge_core.cli.common import (
    PROGRAM,
    RUN_ID,
    Exit,
    UsageError,
    add_command,
    argument,
    assigned,
    note,
    opened,
    path,
    quoted,
    say,
    unknown,
    whole,
)
from samedge_core.cli.progress import progress
from samedge_core.cli.tables import aligned
from samedge_core.experiments.hints import hints
from samedge_core.experiments.paper import ALL_PRESETS
from samedge_core.fields import abridged
from samedge_core.problems.registry import PROBLEMS
from samedge_core.runs import Runs
from samedge_core.sharing import export, files, links, replay_file
from samedge_core.store.record import MOST_THREADS
from samedge_core.store.texts import checked_tags, checked_title
from samedge_core.training.config import FIELDS, LIVE_FIELDS, Changes, RunConfig
from samedge_core.training.plan import Replay
from samedge_core.training.stop import StopReason

if TYPE_CHECKING:
    from samedge_core.runs.local import LocalRun
    from samedge_core.runs.restore import OnReplay


LONG = 100  # repeated steps that deserve a note

_EXIT_OF = {
    StopReason.STOPPED: Exit.INTERRUPTED,
    StopReason.DIVERGED: Exit.DIVERGED,
    StopReason.FAILED: Exit.CANNOT,
}


# --- arguments ------------------------------------------------------------------------------


def add_commands(commands: argparse._SubParsersAction) -> None:
    """run, fork and replay."""
    _add_run(commands)
    _add_fork(commands)
    _add_replay(commands)


def _add_run(commands: argparse._SubParsersAction) -> None:
    run = add_command(
        commands,
        "run",
        "train, measure and record one run",
        about="Train, measure and record one run, every second, where the pages record theirs.",
        examples="run --preset sam-digits-relu\n"
        "run --set problem=digits-mlp --set width=50 --set rule=gd --set eta=2 --out results\n"
        "run --resume 3f2a91c0 --set steps=3000\n"
        "run --resume --out results",
    )
    run.add_argument("--preset", metavar="NAME", help="start from a preset (see list presets)")
    _add_settings(
        run,
        "a setting of the run or an option of its problem, repeatable; settings: "
        + ", ".join(FIELDS)
        + "; options: see list problems",
    )
    run.add_argument(
        "--resume",
        metavar="ID",
        nargs="?",
        const="",
        help="go on with a recorded run (its id, or as much of it as tells it apart), to the very "
        "same numbers as without a stop; without ID, with the one that --out has the results of. "
        f"--set may raise steps, and change {', '.join(LIVE_FIELDS)} from there on",
    )
    _add_training(run)
    run.set_defaults(command=_run)


def _add_fork(commands: argparse._SubParsersAction) -> None:
    fork = add_command(
        commands,
        "fork",
        "train a new run that leaves a recorded one at some step",
        about="Train a new run that shares all steps before --step with a recorded one and goes "
        "its own way from there. Without changes, its numbers are the same to the last bit.",
        examples="fork 3f2a91c0 --step 500 --set eta=0.5\n"
        "fork 3f2a91c0 --step 500 --set rule=gd --set steps=2000 --out results",
    )
    fork.add_argument("id", metavar="ID", help=RUN_ID)
    fork.add_argument("--step", metavar="N", required=True, help="first step of its own, from 0")
    _add_settings(
        fork, f"what changes there, repeatable: {', '.join(LIVE_FIELDS)}; or steps, the step cap"
    )
    _add_training(fork)
    fork.set_defaults(command=_fork)


def _add_replay(commands: argparse._SubParsersAction) -> None:
    replay = add_command(
        commands,
        "replay",
        "train the run that a replay file or a link holds",
        about="Train the run that a replay file (JSON, from the page or from export) or a link "
        "from the page holds, with the changes made on its way.",
        examples="replay replay.json\n"
        "replay 'http://localhost:8501/?v=1&eta=2&at=120_eta_0.5' --out results",
    )
    replay.add_argument(
        "source", metavar="FILE|LINK", type=_source, help="of the run; quote a link"
    )
    _add_training(replay)
    replay.set_defaults(command=_replay)


def _add_settings(parser: argparse.ArgumentParser, help: str) -> None:
    parser.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], dest="assignments", help=help
    )


def _add_training(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        type=path,
        help=f"also write the results there, at the end: {', '.join(export.RESULTS)}",
    )
    parser.add_argument(
        "--title", metavar="TEXT", type=argument(checked_title), help="what the run is listed as"
    )
    parser.add_argument(
        "--tag",
        metavar="WORD",
        type=argument(lambda word: checked_tags([word])),
        action="extend",
        dest="tags",
        help="to find the run by, repeatable",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress, only the summary")
    parser.add_argument(
        "--threads",
        metavar="N",
        type=argument(whole("it", 1, MOST_THREADS)),
        help="threads of torch; a run repeats bit for bit only with as many. A resumed or forked "
        "run takes as many as it began with",
    )


def _source(text: str) -> str:
    path(text)
    return text


# --- run ------------------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> Exit:
    values = assigned(options.assignments)
    if options.resume is not None:
        if options.preset is not None:
            raise UsageError("--resume takes no --preset: the run has its settings already")
        path = values.pop("path", None)
        changes, steps = _changes("--resume", values)
        with opened() as runs:
            run = _to_resume(runs, options)
            _check_end(options, run)
            if path is not None:
                runs.store.choose_file(run, path)
            resumed = _local().resumed(
                runs.store,
                run,
                steps=steps,
                changes=changes,
                threads=options.threads,
                on_replay=_tell_replay(options),
            )
            return _train(runs, resumed, options)
    return _train_new(Replay(configured(options.preset, values), (), None), options)


def _fork(options: argparse.Namespace) -> Exit:
    step = whole("--step", 0)(options.step)
    changes, steps = _changes("fork", assigned(options.assignments))
    _check_end(options)
    with opened() as runs:
        forked = _local().forked(
            runs.store,
            runs[options.id].there().id,
            step,
            steps=steps,
            changes=changes,
            threads=options.threads,
            on_replay=_tell_replay(options),
        )
        return _train(runs, forked, options)


def _replay(options: argparse.Namespace) -> Exit:
    return _train_new(_read_replay(options.source), options)


def _read_replay(source: str) -> Replay:
    if source.startswith(("http://", "https://", "?")):
        query = _query(source)
        if not links.is_link(query):
            raise UsageError(f"the link names no setting, as in ?v=1&eta=2, got {abridged(source)}")
        shared = links.from_query(query, ignore=links.PAGE_PARAMETERS)
        for complaint in shared.complaints:
            note(f"note: {complaint}")
        return Replay(shared.config, shared.interventions, None)
    with Path(source).open("rb") as file:  # a device may have no end
        return replay_file.from_json(file.read(replay_file.MOST_BYTES + 1))


def _query(link: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(urlsplit(link).query, keep_blank_values=True))
    except ValueError as error:
        raise UsageError(f"this is no link ({error}), got {abridged(link)}") from None


def _train_new(wanted: Replay, options: argparse.Namespace) -> Exit:
    _check_end(options)
    for hint in hints(wanted.config):
        note(f"note: {hint}")
    with opened() as runs:
        new = _local().new(
            wanted.config,
            wanted.interventions,
            threads=options.threads,
            arithmetic=wanted.arithmetic,
        )
        return _train(runs, new, options)


def _local() -> type[LocalRun]:
    from samedge_core.runs.local import LocalRun  # loads torch

    return LocalRun


def _train(runs: Runs, run: LocalRun, options: argparse.Namespace) -> Exit:
    """Train, record, label, write the results and print a summary."""
    record = run.record
    if options.out is not None:
        export.set_run(options.out, record.id)
    if not options.quiet:
        note(f"run {record.id} in {runs.store.settings.home}")
    try:
        with progress(run.history, run.costs, quiet=options.quiet) as on_row:
            stop = run.run(runs.store, on_row=on_row).stop
    except (OSError, SQLAlchemyError):
        if run.history.stop and options.out is not None:  # the store is full: --out may not be
            written = export.write_results(options.out, run.history, {"id": record.id})
            note(f"the whole run is in {options.out}: {', '.join(written)}")
        raise
    assert stop is not None
    parts = [
        f"{record.config.problem}: {stop.what.rstrip('.')}.",
        *_remedy(stop.reason, record.id, options.out),
    ]
    parts += ["", aligned(in_words(summarise(run.history)), indent="  "), ""]
    if record.id in runs:  # one that failed at its first step is not
        parts += _finished(runs, record.id, options)
    say("\n".join(parts))
    return _EXIT_OF.get(stop.reason, Exit.FINISHED)


def _finished(runs: Runs, run: str, options: argparse.Namespace) -> list[str]:
    labels: dict[str, Any] = {"title": options.title, "tags": options.tags}
    recorded = runs[run]
    recorded.label(**{name: value for name, value in labels.items() if value is not None})
    parts = [f"Recorded as {run}: see {PROGRAM} show {run[:8]}"]
    if options.out is not None:
        written = export.write_results(options.out, recorded.history, recorded.about())
        parts.append(f"Files in {options.out}: {', '.join([*written, export.RUN])}")
    return parts


def _remedy(reason: StopReason, run: str, out: Path | None) -> list[str]:
    resume = f"{PROGRAM} run --resume {run if out is None else f'--out {quoted(out)}'}"
    remedies = {
        StopReason.STOPPED: f"Go on with: {resume}",
        StopReason.STEP_CAP: f"Go on with: {resume} --set steps=N",
        StopReason.DIVERGED: "Try a smaller eta or rho (--set eta=...), or fork it before that "
        f"step: {PROGRAM} fork {run} --step N --set eta=...",
        StopReason.FAILED: "Change what the message names, and start again.",
    }
    return [remedies[reason]] if reason in remedies else []


def _tell_replay(options: argparse.Namespace) -> OnReplay:
    def tell(done: int, total: int) -> None:
        if not done and total >= LONG and not options.quiet:
            note(f"taking {total:,} steps again, from the last kept state on")

    return tell


# --- settings -------------------------------------------------------------------------------


def configured(preset: str | None, values: Mapping[str, str]) -> RunConfig:
    """The preset's settings, or the defaults, with the assigned `values`."""
    if preset is not None and preset not in ALL_PRESETS:
        raise unknown("preset", preset, ALL_PRESETS)
    start = RunConfig() if preset is None else ALL_PRESETS[preset].config
    problem = FIELDS["problem"].check(values.get("problem", start.problem))
    known = [field.name for field in PROBLEMS[problem].options]
    for name in values:
        if name not in FIELDS and name not in known:
            raise unknown(f"setting of a run or option of {problem}", name, [*FIELDS, *known])
    options: dict[str, Any] = dict(start.options) if problem == start.problem else {}
    options |= {name: value for name, value in values.items() if name in known}
    settings: dict[str, Any] = {n: value for n, value in values.items() if n in FIELDS}
    return start.replace(**settings, options=options)


def _changes(command: str, values: Mapping[str, str]) -> tuple[Changes, int | None]:
    """The assigned changes of a recorded run, and its new step cap or None."""
    changeable = ("steps", *LIVE_FIELDS)
    for name in values:
        if name not in changeable:
            allowed = ", ".join(changeable)
            raise UsageError(f"{command} can't change {name}; what it can: {allowed}")
    steps = FIELDS["steps"].check(values["steps"]) if "steps" in values else None
    return Changes.of({n: value for n, value in values.items() if n != "steps"}), steps


# --- folders --------------------------------------------------------------------------------


def _check_end(options: argparse.Namespace, run: str | None = None) -> None:
    """Raise a UsageError where what follows the training can't be done: the labels can't be kept,
    or --out takes no results or has those of a run other than `run` (None: a new one)."""
    try:
        checked_tags(options.tags or ())
    except ValueError as error:
        raise UsageError(str(error)) from None
    out = options.out
    if out is None:
        return
    for name in export.RESULTS:
        if (out / name).is_dir():
            raise UsageError(f"{out / name} is a folder: results would be written there")
    there = export.run_of(out)
    if there not in (None, run):
        raise UsageError(
            f"{out} has the results of the run {there} already: go on with it by --resume --out "
            f"{quoted(out)}, or choose another folder by --out"
        )


def _to_resume(runs: Runs, options: argparse.Namespace) -> str:
    """The id of the run that --resume means."""
    out = options.out
    if options.resume:
        return runs[options.resume].there().id
    if out is None:
        raise UsageError(
            f"--resume needs the ID of a run (see {PROGRAM} runs), or --out FOLDER with the "
            "results of one"
        )
    run = export.run_of(out)
    if run is not None and run in runs:
        return runs[run].there().id
    if run is None:
        raise files.SavedError(f"{out} has the results of no run: {export.RUN} is missing")
    raise files.SavedError(
        f"the run {run} of {out / export.RUN} is not in {runs.store.settings.home}; another folder "
        "can be named by SAMEDGE_HOME"
    )
