"""The rows of one run as a file for other programs, and a Parquet file made into the run again.

Importable without torch.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from samedge_core.prediction.prediction import Prediction
from samedge_core.prediction.recorded import predicted_columns
from samedge_core.sharing import replay_file
from samedge_core.theory.rules import RULES
from samedge_core.training import codec
from samedge_core.training.config import RunConfig
from samedge_core.training.history import History, Intervention
from samedge_core.training.stop import Stop

METADATA = b"samedge"
SCHEMA = 1


def to_parquet(
    history: History, about: Mapping[str, Any], predicted: Sequence[Prediction] = ()
) -> bytes:
    """Return every row and column of a run and of its predictions (`predicted_columns`), its
    settings, interventions and stop in the metadata.

    A file of one's own (`path`) is not named: it lies on this machine alone.
    """
    config = history.config
    if replay_file.has_own_file(config):
        config = replay_file.with_file(config, "")
    record = {
        "schema": SCHEMA,
        "parameters": history.parameters,
        "arithmetic": history.arithmetic,
        "interventions": msgspec.to_builtins(history.interventions),
        "stop": msgspec.to_builtins(history.stop),
        "config": config.to_values(),
        "about": dict(about),
    }
    # pa.array, not a data frame: that would turn each NaN into a null and lose its bits
    columns = _columns(history, predicted).items()
    table = pa.table({name: pa.array(column) for name, column in columns})
    buffer = io.BytesIO()
    metadata = {METADATA: json.dumps(record)}
    pq.write_table(table.replace_schema_metadata(metadata), buffer, write_page_checksum=True)
    return buffer.getvalue()


def from_parquet(content: bytes) -> History:
    """Return the run that `to_parquet` has written, its stored rows equal to the bit.

    A column that the version which wrote it did not have is NaN: not measured.

    Raises:
        ConfigError: the file is of a newer version, or has a setting that there is not.
        ValueError, KeyError or what pyarrow raises: it is no such file.
    """
    table = pq.read_table(pa.BufferReader(content), page_checksum_verification=True)
    record = json.loads((table.schema.metadata or {})[METADATA])
    codec.check_schema(record, SCHEMA, "an exported run")
    history = History(RunConfig.from_values(record["config"]), record["arithmetic"])
    history.parameters = record["parameters"]
    history.stop = msgspec.convert(record["stop"], Stop | None)
    for item in msgspec.convert(record["interventions"], list[Intervention]):
        history.intervene(item)
    rows = np.empty(table.num_rows, history.dtype)
    for name in history.dtype.names or ():
        known = name in table.column_names
        rows[name] = table[name].to_numpy() if known else np.nan
    # where the rule has an edge on the Hessian, this column was derived from the sharpness
    own = np.isin(table["rule"].to_pylist(), [r.name for r in RULES.values() if r.preconditioned])
    rows["edge_value"][~own] = np.nan
    history.extend(rows)
    return history


def to_csv(history: History, predicted: Sequence[Prediction] = ()) -> bytes:
    """Return the columns of `to_parquet` with every digit needed to read them back exactly; empty
    for NaN."""
    columns = _columns(history, predicted).items()
    table = pa.table({name: pa.array(column, from_pandas=True) for name, column in columns})
    buffer = io.BytesIO()
    pc.write_csv(table, buffer, pc.WriteOptions(quoting_header="none", quoting_style="none"))
    return buffer.getvalue()


def _columns(history: History, predicted: Sequence[Prediction]) -> dict[str, NDArray]:
    return history.columns() | predicted_columns(predicted, history)
