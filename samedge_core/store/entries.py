"""What the catalogue says of a run, made of its record and its history."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

from samedge_core.analysis.summary import summarise
from samedge_core.store.catalogue import MEASURED
from samedge_core.store.folder import RunFolder
from samedge_core.store.record import RunRecord
from samedge_core.training.config import LIVE_FIELDS
from samedge_core.training.history import History


def on_disk(folder: RunFolder) -> dict[str, Any]:
    """The catalogue's columns about the files."""
    row_bytes, snapshot_bytes = folder.sizes()
    return {
        "row_bytes": row_bytes,
        "snapshot_bytes": snapshot_bytes,
        "snapshots": len(folder.snapshots()),
    }


def about(record: RunRecord, history: History, *, ended: bool) -> dict[str, Any]:
    """The catalogue's columns about a run and its newest row."""
    config, origin, stop = record.config, record.origin, record.stop
    row = history.latest()
    return {
        "created": record.created,
        "updated": time.time(),
        "problem": config.problem,
        **{name: getattr(history.hyperparameters, name) for name in LIVE_FIELDS},
        "batch_size": config.batch_size,
        "seed": config.seed,
        "config": config.to_json(),
        "group_key": group_key(record),
        "interventions": sum(bool(item.changes) for item in record.interventions),
        "parent": origin and origin.parent,
        "parent_step": origin and origin.step,
        "branch": origin and origin.branch,
        "stop_reason": stop and stop.reason.value,
        "stop_what": stop and stop.what,
        "steps": config.steps,
        "last_step": history.last_step,
        "parameters": record.parameters,
        **{name: row.get(name) for name in MEASURED},
        "deviation": summarise(history).deviation if ended else None,
    }


def group_key(record: RunRecord) -> str:
    """Equal for runs that differ in the seed (and step cap) alone."""
    config = record.config.to_values()
    same = {name: value for name, value in config.items() if name not in ("seed", "steps")}
    # what is planned counts before it has come: seeds of one setting are one group from the start
    changes = [item.what for item in record.interventions if item.changes]
    changes += [item.what for item in record.planned if item.what not in changes]
    text = json.dumps([same, changes], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
