"""Folders as versions before the store saved them."""

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import samedge_core as se


def write(folder: Path, history: se.History, state: bytes) -> None:
    """config.json, history.parquet and state.pt."""
    folder.mkdir(parents=True, exist_ok=True)
    stop = history.stop
    record = {
        "schema": 1,
        "parameters": history.parameters,
        "interventions": [
            {"step": item.step, "changes": dict(item.changes), "before": dict(item.before)}
            for item in history.interventions
        ],
        "stop": stop and {"reason": stop.reason.value, "step": stop.step, "what": stop.what},
    }
    columns = {name: pa.array(column) for name, column in history.columns().items()}
    table = pa.table(columns).replace_schema_metadata({b"samedge": json.dumps(record)})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, write_page_checksum=True)
    (folder / "history.parquet").write_bytes(buffer.getvalue())
    (folder / "state.pt").write_bytes(state)
    (folder / "config.json").write_text(history.config.to_json())
