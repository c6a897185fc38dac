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
SHORT_ID = 8
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


def name_of(entry: Entry) -> str:
    """The run's title, or the beginning of its id."""
    return entry.title or entry.id[:SHORT_ID]


def _title(entry: Entry) -> dict[str, Any]:
    kept = entry.status != "removed"
    return {"text": name_of(entry), "own": bool(entry.title), "note": entry.note, "link": kept}


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


def _spark(entry: Entry) -> list[float]:
    known = entry.spark[np.isfinite(entry.spark)].astype(float)
    return np.minimum(known, SPARK_TOP).round(2).tolist()


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
    return " → ".join(rule.upper() for rule in _course(entry, "rule"))


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


COLUMNS: Mapping[str, Column] = {
    "starred": Column(
        "★",
        "Starred runs are never removed by the quota.",
        "toggle",
        lambda entry: entry.starred,
        title="Star",
    ),
    "pinned": Column(
        "Pin",
        "Pinned runs are neither removed nor deleted.",
        "toggle",
        lambda entry: entry.pinned,
        title="Pin",
    ),
    "title": Column(
        "Run",
        "Its title, or else the beginning of its id. Opens it in the live lab.",
        "title",
        _title,
        "title",
    ),
    "status": Column(
        "Status",
        "Recorded right now, interrupted (its server is gone), removed by "
        "the quota, or why it stopped.",
        "status",
        _status,
        "stop_reason",
    ),
    "problem": Column("Problem", "Model and data.", "text", _problem, "problem"),
    "rule": Column("Rule", f"The update rule. {CHANGED}", "text", _rule, "rule"),
    "eta": _setting("η", "eta"),
    "rho": _setting("ρ", "rho"),
    "beta": _setting("β", "beta"),
    "batch_size": _setting("Batch", "batch_size"),
    "seed": _setting("Seed", "seed"),
    "last_step": Column("Steps", "Steps recorded, of those asked.", "steps", _steps, "last_step"),
    "spark": Column(
        "Sharpness / edge",
        "Over the steps, from 0 to 1.5; the dashed line is the edge.",
        "spark",
        _spark,
    ),
    "ratio": _number(
        "Ratio", "ratio", "Sharpness / edge at the end", 3, _of_step("Sharpness / edge")
    ),
    "deviation": _number(
        "Deviation",
        "deviation",
        "|sharpness / edge − 1|",
        3,
        "Median of |sharpness / edge − 1| over the edge phase, once it ended.",
    ),
    "sharpness": _number("Sharpness", "sharpness", "Sharpness", 4, _of_step("|λ₁|")),
    "edge": _number("Edge", "edge", "Edge", 4, _of_step("The edge of the rule in force")),
    "grad_norm": _number("‖g‖", "grad_norm", "Gradient norm", 3, _of_step("Gradient norm")),
    "loss": _number("Loss", "loss", "Loss", 3, _of_step("Training loss")),
    "accuracy": _number("Accuracy", "accuracy", "Accuracy", 3, _of_step("Accuracy, 0 to 1")),
    "parameters": _number("P", "parameters", "Parameters"),
    "tags": Column("Tags", "Words to find it by.", "tags", lambda entry: list(entry.tags)),
    "note": Column("Note", "What was noted.", "text", lambda entry: entry.note),
    "created": Column(
        "Started", "In your time zone.", "time", lambda entry: entry.created, "created"
    ),
    "updated": Column(
        "Last change", "In your time zone.", "time", lambda entry: entry.updated, "updated"
    ),
    "row_bytes": Column(
        "Rows on disk",
        "Bytes of the recorded steps.",
        "number",
        lambda entry: megabytes(entry.row_bytes),
        "row_bytes",
    ),
    "snapshot_bytes": Column(
        "Snapshots",
        "Bytes of the states that the run can go on from.",
        "number",
        lambda entry: megabytes(entry.snapshot_bytes),
        "snapshot_bytes",
    ),
    "id": Column("Id", "As in links and folders.", "text", lambda entry: entry.id),
}

FIRST = (
    "starred",
    "title",
    "status",
    "problem",
    "rule",
    "eta",
    "rho",
    "seed",
    "last_step",
    "spark",
    "ratio",
    "loss",
    "tags",
    "created",
)
