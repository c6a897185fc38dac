"""A Parquet file of a run is made into that run again."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import samedge_core as se
from samedge_core.fields import ConfigError
from samedge_core.sharing.tables import METADATA, from_parquet, to_parquet
from tests.sharing.test_export import record


def edited(content: bytes, *, without: str = "", **told) -> bytes:
    """The file with other metadata, and without a column."""
    table = pq.read_table(pa.BufferReader(content))
    held = {**json.loads(table.schema.metadata[METADATA]), **told}
    table = table.drop_columns([without] if without else [])
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({METADATA: json.dumps(held)}), sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_way_back_keeps_every_bit(dtype):
    history = record(dtype=dtype)
    again = from_parquet(to_parquet(history, {"id": "abc"}))
    assert again.rows_after(-1).tobytes() == history.rows_after(-1).tobytes()
    assert again.config == history.config
    assert again.interventions == history.interventions
    assert (again.stop, again.parameters) == (history.stop, history.parameters)
    assert again.arithmetic == history.arithmetic


def test_a_run_that_came_to_adam_keeps_every_bit_too():
    start = se.RunConfig(problem="two-weight", rule="gd", eta=0.1, steps=6, sharpness_every=2)
    history = se.run(start, interventions=[se.Intervention(3, {"rule": "adam", "eta": 0.01})])
    again = from_parquet(to_parquet(history, {}))
    assert again.rows_after(-1).tobytes() == history.rows_after(-1).tobytes()
    assert again.to_frame().equals(history.to_frame())


def test_a_run_without_rows_or_stop_comes_back():
    again = from_parquet(to_parquet(se.History(se.RunConfig()), {}))
    assert (len(again), again.stop, again.interventions) == (0, None, [])


def test_a_column_of_later_versions_was_not_measured():
    again = from_parquet(edited(to_parquet(record(), {}), without="hopping"))
    assert np.isnan(again.columns()["hopping"]).all()
    assert again.columns()["hvps"].tolist() == list(range(100))


def test_a_newer_file_and_a_strange_one_are_refused():
    with pytest.raises(ConfigError, match="schema must be 1, got 2: a newer version"):
        from_parquet(edited(to_parquet(record(), {}), schema=2))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"step": [0]}), sink)
    with pytest.raises(KeyError, match="samedge"):
        from_parquet(sink.getvalue().to_pybytes())


def test_a_file_of_ones_own_is_not_named(own_files):
    history = se.History(se.RunConfig(problem="own-text", options=own_files["own-text"]))
    content = to_parquet(history, {})
    assert own_files["own-text"]["path"].encode() not in content
    assert from_parquet(content).config.options["path"] == ""
