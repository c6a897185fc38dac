"""Presets, problems and recorded runs as aligned plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from samedge_core.analysis.summary import shown
from samedge_core.experiments.presets import Preset
from samedge_core.fields import printable
from samedge_core.problems.registry import ProblemSpec
from samedge_core.store import Entry
from samedge_core.theory.rules import RULES
from samedge_core.training.config import RunConfig

WIDTH = 100  # characters a line
DEEPEST = 20  # indents of a family tree
TITLE = 30  # of a run


def aligned(rows: Sequence[Sequence[str]], indent: str = "") -> str:
    """Cells, each `printable`, padded to columns; a line a row."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join(indent + line for line in lines)


def presets_text(presets: Iterable[Preset]) -> str:
    """A line a preset; rho only where the rule uses it."""
    rows = []
    for preset in presets:
        config, names = preset.config, {"name": preset.name, "title": preset.title}
        rows.append({**names, **_setting_cells(config), "steps": str(config.steps)})
    return _table(rows)


def problems_text(problems: Iterable[ProblemSpec]) -> str:
    """Each problem's name and summary, and its options with default and allowed values."""
    return "\n\n".join(_problem_text(spec) for spec in problems)


def _table(rows: Sequence[dict[str, str]]) -> str:
    """Rows below the names of their columns."""
    return aligned([tuple(rows[0]), *(tuple(row.values()) for row in rows)])


def _setting_cells(of: RunConfig | Entry) -> dict[str, str]:
    """Problem and rule, eta, and rho where the rule uses it."""
    rho = f"{of.rho:g}" if "rho" in RULES[of.rule].uses else "-"
    return {"problem": of.problem, "rule": of.rule, "eta": f"{of.eta:g}", "rho": rho}


def _problem_text(spec: ProblemSpec) -> str:
    rows = [
        (field.name, f"default {field.text(field.default) or '(none)'}", field.allowed())
        for field in spec.options
    ]
    about = textwrap.fill(f"{spec.name}: {spec.summary}", WIDTH)
    return "\n".join([about, aligned(rows, indent="    ")])


def runs_text(entries: Iterable[Entry], length: int) -> str:
    """A line a run, its id cut to `length` characters."""
    return _table([_run_row(entry, length) for entry in entries])


def family_text(entries: Sequence[Entry], length: int, *, chosen: str) -> str:
    """A line a run, children below their parents and further in; a star marks the chosen one."""
    ids = {entry.id for entry in entries}
    children: dict[str | None, list[Entry]] = {}
    for entry in entries:
        children.setdefault(entry.parent if entry.parent in ids else None, []).append(entry)
    rows: dict[str, tuple[str, ...]] = {}
    # all of them at the end: a ring of parents, which may come from elsewhere, has no first
    waiting = [(entry, 0) for entry in [*entries[::-1], *children.get(None, [])[::-1]]]
    while waiting:
        entry, depth = waiting.pop()
        if entry.id not in rows:
            rows[entry.id] = _family_row(entry, min(depth, DEEPEST), length, chosen)
            waiting += [(child, depth + 1) for child in children.get(entry.id, [])[::-1]]
    return aligned(list(rows.values()))


def _family_row(entry: Entry, depth: int, length: int, chosen: str) -> tuple[str, ...]:
    mark = "*" if entry.id == chosen else " "
    came = f"{entry.branch} at step {entry.parent_step:,}" if entry.branch else "start"
    place = f"{mark} {'  ' * depth}{entry.id[:length]}"
    return place, came, f"to step {entry.last_step:,}", _status(entry), _cut(entry.title)


def sentence(text: object) -> str:
    """With a capital letter and one full stop."""
    words = str(text).rstrip(".")
    return f"{words[:1].upper()}{words[1:]}."


def _run_row(entry: Entry, length: int) -> dict[str, str]:
    return {
        "id": entry.id[:length],
        "status": _status(entry),
        "title": _cut(entry.title),
        **_setting_cells(entry),
        "seed": str(entry.seed),
        "steps": f"{entry.last_step + 1}/{entry.steps}",
        "ratio": shown(entry.ratio, digits=4),
        "deviation": shown(entry.deviation, digits=3),
    }


def _status(entry: Entry) -> str:
    """Why it has ended, if it has."""
    return (entry.stop_reason or entry.status) if entry.status == "ended" else entry.status


def _cut(title: str) -> str:
    title = printable(title)
    return title if len(title) <= TITLE else f"{title[: TITLE - 1]}…"
