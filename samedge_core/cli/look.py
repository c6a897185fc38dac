"""Commands that list and show: list, runs, show."""

from __future__ import annotations

import argparse

from samedge_core.analysis import compare
from samedge_core.analysis.summary import in_words, summarise
from samedge_core.cli.common import (
    PROGRAM,
    RUN_ID,
    Exit,
    UsageError,
    add_command,
    one_of,
    opened,
    say,
    utf8,
    whole,
)
from samedge_core.cli.tables import (
    aligned,
    family_text,
    presets_text,
    problems_text,
    runs_text,
    sentence,
)
from samedge_core.experiments.paper import ALL_PRESETS
from samedge_core.fields import ConfigError, abridged
from samedge_core.problems.registry import PROBLEMS
from samedge_core.runs import Runs, StoredRun, short_length
from samedge_core.sharing.files import SavedError
from samedge_core.store import Query
from samedge_core.store.catalogue import SORTABLE
from samedge_core.store.texts import LONGEST_SEARCH, MOST_WORDS

LIMIT = 20


def add_commands(commands: argparse._SubParsersAction) -> None:
    """list, runs and show."""
    listing = add_command(
        commands, "list", "list presets and problems", examples="list\nlist problems"
    )
    listing.add_argument("what", nargs="?", choices=("presets", "problems"), help="default: both")
    listing.set_defaults(command=_list)
    _add_runs(commands)
    show = add_command(
        commands,
        "show",
        "show a recorded run: summary, settings, changes and family",
        examples="show 3f2a91c0",
    )
    show.add_argument("id", metavar="ID", help=RUN_ID)
    show.set_defaults(command=_show)


def _add_runs(commands: argparse._SubParsersAction) -> None:
    runs = add_command(
        commands,
        "runs",
        "list recorded runs, newest first",
        about="List recorded runs, of the pages and of the command line. ratio is sharpness / edge "
        "(under Adam and RMSProp, edge value / threshold) at the last measured step, deviation the "
        "median of |ratio - 1| in the edge phase.",
        examples="runs\nruns --text 'relu sam' --problem digits-mlp --limit 50\n"
        "runs --tag paper --sort deviation",
    )
    runs.add_argument(
        "--text",
        metavar="WORDS",
        type=utf8,
        default="",
        help="each must occur in the title, note, problem, rule or a tag, or begin the id; the "
        f"first {MOST_WORDS} count, of {LONGEST_SEARCH} characters at most",
    )
    runs.add_argument(
        "--problem",
        type=one_of("problem", PROBLEMS),
        metavar="NAME",
        help=f"one of {', '.join(PROBLEMS)}",
    )
    runs.add_argument(
        "--tag",
        metavar="WORD",
        type=utf8,
        action="append",
        dest="tags",
        help="repeatable: all of them",
    )
    runs.add_argument(
        "--sort",
        type=one_of("column", SORTABLE),
        metavar="BY",
        default="created",
        help=f"largest first, by one of {', '.join(SORTABLE)}",
    )
    runs.add_argument(
        "--limit", metavar="N", default=str(LIMIT), help=f"how many, or all (default: {LIMIT})"
    )
    runs.set_defaults(command=_runs)


def _list(options: argparse.Namespace) -> Exit:
    texts = {
        "presets": presets_text(ALL_PRESETS.values()),
        "problems": problems_text(PROBLEMS.values()),
    }
    say("\n\n".join(text for what, text in texts.items() if options.what in (None, what)))
    return Exit.FINISHED


def _runs(options: argparse.Namespace) -> Exit:
    query = Query(
        text=options.text,
        problem=options.problem,
        tags=options.tags or (),
        sort=options.sort,
        limit=_limit(options.limit),
    )
    with opened() as runs:
        found = runs.store.find(query)
        if not found.total:
            say(_nothing(runs))
            return Exit.FINISHED
        text = runs_text(found.entries, short_length(runs.ids()))
    count = len(found.entries)
    more = f"\n{count:,} of {found.total:,} runs; --limit all shows them all"
    say(text + (more if count < found.total else ""))
    return Exit.FINISHED


def _limit(text: str) -> int | None:
    if text == "all":
        return None
    try:
        return whole("--limit", 1)(text)
    except ConfigError:
        message = f"--limit must be a whole number >= 1 or all, got {abridged(text)}"
        raise UsageError(message) from None


def _nothing(runs: Runs) -> str:
    home, total = runs.store.settings.home, len(runs)
    if total:
        return f"none of the {total:,} runs in {home} is like that"
    return f"no runs are recorded in {home} yet; {PROGRAM} run makes one"


def _show(options: argparse.Namespace) -> Exit:
    with opened() as runs:
        run = runs[options.id]
        length = short_length(runs.ids())
        parts = [_head(run), _section("Settings", _settings(run))]
        try:
            parts += _recorded(run)
        except SavedError as error:
            parts.append(sentence(error))
        family = [relative.entry for relative in run.family]
    if len(family) > 1:
        parts.append(f"Family\n{family_text(family, length, chosen=run.id)}")
    say("\n\n".join(parts))
    return Exit.FINISHED


def _head(run: StoredRun) -> str:
    entry = run.entry
    what = sentence(entry.stop_what) if entry.stop_what else f"{entry.status.capitalize()}."
    labels = [
        ("title", entry.title),
        ("note", entry.note),
        ("tags", ", ".join(entry.tags)),
        ("starred", "yes" if entry.starred else ""),
        ("pinned", "yes" if entry.pinned else ""),
    ]
    given = [(name, value) for name, value in labels if value]
    return "\n".join([run.id, what, *([aligned(given, indent="  ")] if given else [])])


def _settings(run: StoredRun) -> list[tuple[str, str]]:
    config = run.config
    fields = compare.settings_of([config])
    return [(name, field.text(compare.setting(config, name))) for name, field in fields.items()]


def _recorded(run: StoredRun) -> list[str]:
    """Changes and summary, from the run's folder."""
    parts = []
    if changes := [i for i in run.interventions if i.changes]:
        rows = [(f"step {item.step:,}", item.label) for item in changes]
        parts.append(_section("Changes on the way", rows))
    return [*parts, _section("Summary", in_words(summarise(run.history)))]


def _section(title: str, rows: list[tuple[str, str]]) -> str:
    return f"{title}\n{aligned(rows, indent='  ')}"
