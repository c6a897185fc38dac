"""The columns of the table of runs: what each shows of an entry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pages.parts.runs import records
from samedge_core.analysis import compare
from samedge_core.analysis.summary import shown
from samedge_core.problems.registry import PROBLEMS
from samedge_core.store import Entry
from samedge_core.theory.rules import RULES
from samedge_core.training.config import FIELDS, LIVE_FIELDS
from samedge_core.training.stop import StopReason

Kind = Literal["text", "number", "time", "title", "status", "steps", "tags", "spark", "toggle"]

CHANGED = "Where it has changed: at the start → at the end, which it is sorted by."
SPARK_TOP = 1.6  # static/runs.js draws up to 1.5
SPARK_ROWS = 64  # that a sparkline without rims can hold
_TONES = {"recording": "green", "interrupted": "orange", "removed": "gray"}
_FAILED = (StopReason.DIVERGED, StopReason.FAILED, StopReason.WORKER_LOST)


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        label: on the table; `title` where there is room to say it in full.
        cell: what static/runs.js draws in a cell of this kind.
        sort: the catalogue's key, if it can sort by this.
    """

    label: str
    help: str
    kind: Kind
    cell: Callable[[Entry], Any]
    sort: str | None = None
    title: str = ""


def megabytes(size: float) -> str:
    """Bytes as people read them."""
    return f"{size / 1e6:,.3g} MB" if size < 1e9 else f"{size / 1e9:,.3g} GB"


def _title(entry: Entry) -> dict[str, Any]:
    kept, is_ = entry.status != "removed", records.what(entry)
    return {"text": entry.title or is_, "what": is_, "note": entry.note, "link": kept}


def _status(entry: Entry) -> dict[str, Any]:
    if entry.status != "ended":
        return {"text": entry.status, "tone": _TONES[entry.status], "more": entry.stop_what or ""}
    failed = entry.stop_reason in {reason.value for reason in _FAILED}
    tone = "red" if failed else "gray"
    text = {"step cap": "all steps taken"}.get(reason := entry.stop_reason or "ended", reason)
    return {"text": text, "tone": tone, "more": entry.stop_what or ""}


def _steps(entry: Entry) -> dict[str, Any]:
    done = entry.last_step + 1
    share = min(1.0, done / entry.steps) if entry.status == "recording" else None
    return {"text": f"{done:,} of {entry.steps:,}", "share": share}


def _spark(entry: Entry) -> list[list[float]]:
    """The lower and the upper rim of sharpness / edge; equal where each value is known."""
    values = entry.spark.astype(float)
    known = np.minimum(values[np.isfinite(values)], SPARK_TOP).round(2)
    rims = [known, known]
    # before there were rims, long runs kept the extremes of each stretch, in the order of steps
    if np.isneginf(values[:1]).any() or entry.last_step >= SPARK_ROWS:
        pairs = known[: len(known) // 2 * 2].reshape(-1, 2)
        rims = [pairs.min(axis=1), pairs.max(axis=1)]
    return [rim.tolist() for rim in rims]


def _course(entry: Entry, name: str) -> tuple[Any, ...]:
    """What may change on the way: at the start and, where that is another value, at the end."""
    config = records.config_of(entry.config) if entry.interventions else None
    if config is None:
        return (getattr(entry, name),)
    return compare.course(config, records.end(entry), name)


def _live(name: str) -> Callable[[Entry], str]:
    """A hyperparameter, where a rule of the run uses it."""

    def cell(entry: Entry) -> str:
        if not any(name in RULES[rule].uses for rule in _course(entry, "rule")):
            return "–"
        return " → ".join(shown(value, digits=4) for value in _course(entry, name))

    return cell


def _problem(entry: Entry) -> str:
    # a newer version may have recorded one that this version lacks
    return PROBLEMS[entry.problem].title if entry.problem in PROBLEMS else entry.problem


def _rule(entry: Entry) -> str:
    return " → ".join(RULES[rule].short for rule in _course(entry, "rule"))


def _number(label: str, name: str, title: str, digits: int = 4, help: str = "") -> Column:
    def cell(entry: Entry) -> str:
        return shown(getattr(entry, name), digits=digits)

    return Column(label, help or title, "number", cell, name, title)


def _setting(label: str, name: str) -> Column:
    field = FIELDS[name]
    if name not in LIVE_FIELDS:
        return Column(label, field.help, "number", _number(label, name, "").cell, name, field.label)
    return Column(label, f"{field.help} {CHANGED}", "number", _live(name), name, field.label)


def _of_step(what: str) -> str:
    return f"{what}, at the newest measured step."


def _own(label: str, name: str, help: str, kind: Kind = "text", **rest: Any) -> Column:
    """An attribute of an entry as it is."""
    return Column(label, help, kind, lambda entry: getattr(entry, name), **rest)


def _size(label: str, name: str, help: str) -> Column:
    return Column(label, help, "number", lambda entry: megabytes(getattr(entry, name)), name)


STARRED = "Starred runs are never removed by the quota."
TITLE = (
    "What it is: rule, settings and problem at the start, and what was changed on the way; under "
    "its title, if it has one. Opens it in the live lab."
)
SNAPSHOTS = "Size of the states that the run can go on from."
STATUS = (
    "Recorded right now, interrupted (its server is gone), removed by the quota, or why it stopped."
)
OPERATOR = "Of Adam and RMSProp, edge value / threshold."
SPARK = f"Over the steps, from 0 to 1.5; the dashed line is the edge. {OPERATOR}"
EMPTY = "A dash where it was not measured, as mostly under Adam and RMSProp."
DEVIATION = "Median of |sharpness / edge − 1| over the edge phase, once it ended."
RATIO_END = "Sharpness / edge at the end"

COLUMNS: Mapping[str, Column] = {
    "starred": _own("★", "starred", STARRED, "toggle", title="Star"),
    "pinned": _own("Pin", "pinned", "Pinned runs are neither removed nor deleted.", "toggle"),
    "title": Column("Run", TITLE, "title", _title, "title"),
    "status": Column("Status", STATUS, "status", _status, "stop_reason"),
    "problem": Column("Problem", "Model and data.", "text", _problem, "problem"),
    "rule": Column("Rule", f"The update rule. {CHANGED}", "text", _rule, "rule"),
    "eta": _setting("η", "eta"),
    "rho": _setting("ρ", "rho"),
    "beta": _setting("β", "beta"),
    "batch_size": _setting("Batch", "batch_size"),
    "seed": _setting("Seed", "seed"),
    "last_step": Column("Steps", "Steps recorded, of those planned.", "steps", _steps, "last_step"),
    "spark": Column("Sharpness / edge", SPARK, "spark", _spark),
    "ratio": _number("Ratio", "ratio", RATIO_END, 3, f"{_of_step('Sharpness / edge')} {OPERATOR}"),
    "deviation": _number("Deviation", "deviation", "|sharpness / edge − 1|", 3, DEVIATION),
    "sharpness": _number("Sharpness", "sharpness", "Sharpness", 4, f"{_of_step('|λ₁|')} {EMPTY}"),
    "edge": _number("Edge", "edge", "Edge", 4, f"{_of_step('That of the rule in force')} {EMPTY}"),
    "grad_norm": _number("‖g‖", "grad_norm", "Gradient norm", 3, _of_step("Gradient norm")),
    "loss": _number("Loss", "loss", "Loss", 3, _of_step("Training loss")),
    "accuracy": _number("Accuracy", "accuracy", "Accuracy", 3, _of_step("Accuracy, 0 to 1")),
    "parameters": _number("P", "parameters", "Parameters"),
    "tags": Column("Tags", "Words to find it by.", "tags", lambda entry: list(entry.tags)),
    "note": _own("Note", "note", "What was noted."),
    "created": _own("Started", "created", "In your time zone.", "time", sort="created"),
    "updated": _own("Last change", "updated", "In your time zone.", "time", sort="updated"),
    "row_bytes": _size("Rows on disk", "row_bytes", "Size of the recorded steps."),
    "snapshot_bytes": _size("Snapshots", "snapshot_bytes", SNAPSHOTS),
    "id": _own("Id", "id", "As in links and folders."),
}

# problem, rule and settings stand in the name
_FIRST = "starred title status seed last_step spark ratio loss tags created"
FIRST = tuple(_FIRST.split())
