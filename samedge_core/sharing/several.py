"""Several runs in one file: every row of each, or mean and deviation over those that are repeats.

Runs are loaded one after the other, and at most MOST_ROWS rows of them. Importable without torch.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from samedge_core.fields import abridged
from samedge_core.prediction.prediction import Prediction
from samedge_core.prediction.recorded import PREDICTED_COLUMNS, from_start, predicted_columns
from samedge_core.sharing import notebook
from samedge_core.sharing.replay_file import ExchangeError
from samedge_core.training.config import RunConfig
from samedge_core.training.history import History

MOST_ROWS = 250_000
MEANS = ("ratio", "sharpness", "edge", "grad_norm", "loss", "accuracy")
MEANS += ("held_out_loss", "held_out_accuracy", "edge_value", "threshold")
"""The columns of which `means_csv` has the mean."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet computes a cell that begins like this


@dataclass(frozen=True)
class Chosen:
    """A run that is exported with others.

    Attributes:
        name: no two of a selection are alike.
        what: what it is; equal for runs of one `group`, which differ in the seed alone.
        rows: how many it has, before they are loaded.
        load: reads them; may raise a SavedError.
        predicted: reads what flows predict of it; likewise.
    """

    id: str
    name: str
    what: str
    group: str
    config: RunConfig
    rows: int
    load: Callable[[], History]
    predicted: Callable[[], Sequence[Prediction]] = tuple


def suffix_of(name: str) -> str:
    """Return which of FORMATS a file's name ends with.

    Raises:
        ValueError: with none of them.
    """
    for suffix in sorted(FORMATS, key=len, reverse=True):
        if name.lower().endswith(suffix):
            return suffix
    allowed = ", ".join(FORMATS)
    raise ValueError(
        f"several runs are written to a file that ends with one of {allowed}, got {abridged(name)}"
    )


def check(suffix: str, runs: int, rows: int) -> None:
    """Raise an ExchangeError where a file of this kind can't hold so many rows, or there are none.

    It says how many came and how many are allowed.
    """
    if not runs:
        raise ExchangeError("a file of runs holds one at least, got none")
    if rows > LIMITS[suffix]:
        raise ExchangeError(
            f"{runs:,} runs with {rows:,} rows together do not fit into a file of this kind, which "
            f"has {LIMITS[suffix]:,} rows at most: export fewer runs at once"
        )


def export(runs: Sequence[Chosen], suffix: str) -> bytes:
    """Return the content of a file of the runs, of a kind of FORMATS.

    Raises:
        ExchangeError: see `check`; and for a notebook, one of them is of a problem of one's own.
        SavedError: a file of a run is missing or damaged.
    """
    check(suffix, len(runs), sum(run.rows for run in runs))
    return FORMATS[suffix](runs)


def _parquet(runs: Sequence[Chosen]) -> bytes:
    buffer, schema = io.BytesIO(), _schema(runs)
    with pq.ParquetWriter(buffer, schema, write_page_checksum=True) as writer:
        for table in _tables(runs, schema, {run.id: run.name for run in runs}):
            writer.write_table(table)
    return buffer.getvalue()


def _csv(runs: Sequence[Chosen]) -> bytes:
    """Texts in quotes; empty for NaN and for what a run does not have."""
    buffer, schema = io.BytesIO(), _schema(runs)
    options = pc.WriteOptions(quoting_header="none", quoting_style="needed")
    with pc.CSVWriter(buffer, schema, write_options=options) as writer:
        for table in _tables(runs, schema, {run.id: _cell(run.name) for run in runs}):
            columns = [pa.array(column.to_pandas(), column.type) for column in table.columns]
            writer.write_table(pa.table(columns, schema=schema))
    return buffer.getvalue()


def _cell(name: str) -> str:
    return f"'{name}" if name.startswith(_FORMULA) else name


def _schema(runs: Sequence[Chosen]) -> pa.Schema:
    """The columns that any of the runs has: how many eigenvalues there are differs."""
    found = {"run": pa.string(), "name": pa.string(), "seed": pa.int64()}
    for config in {run.config.top_k: run.config for run in runs}.values():
        for name, column in History(config).columns().items():
            found.setdefault(name, pa.array(column).type)
    if any(run.predicted() for run in runs):
        found |= dict.fromkeys(PREDICTED_COLUMNS, pa.float64())
    return pa.schema(found)


def _tables(
    runs: Sequence[Chosen], schema: pa.Schema, names: Mapping[str, str]
) -> Iterator[pa.Table]:
    for run in runs:
        history = run.load()
        columns = history.columns() | predicted_columns(run.predicted(), history)
        count = len(columns["step"])
        told = {"run": run.id, "name": names[run.id], "seed": run.config.seed}
        arrays = [
            pa.repeat(pa.scalar(told[of.name], of.type), count)
            if of.name in told
            else pa.array(columns[of.name], of.type)
            if of.name in columns
            else pa.nulls(count, of.type)
            for of in schema
        ]
        yield pa.table(arrays, schema=schema)


def _means(runs: Sequence[Chosen]) -> bytes:
    """Of each group of repeats a row a step: how many runs have it, and of each of MEANS the mean,
    the sample deviation (n - 1; empty for one run) and how many runs have measured it there."""
    import pandas as pd

    groups: dict[str, list[Chosen]] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    frames = []
    for number, members in enumerate(groups.values(), 1):
        rows = pd.concat(
            [
                pd.DataFrame({name: run.load().columns()[name] for name in ("step", *MEANS)})
                for run in members
            ]
        )
        by_step = rows.astype(dict.fromkeys(MEANS, "f8")).groupby("step")
        told = by_step.agg(["mean", "std", "count"])
        words = {"mean": "mean", "std": "deviation", "count": "runs"}
        told.columns = [f"{name}_{words[of]}" for name, of in told.columns]
        told.insert(0, "runs", by_step.size())
        told = told.reset_index()
        told.insert(0, "group", number)
        told.insert(1, "setting", _cell(members[0].what))
        frames.append(told)
    return pd.concat(frames).to_csv(index=False).encode()


def _notebook(runs: Sequence[Chosen]) -> bytes:
    again = [run.name for run in runs if from_start(run.predicted())]
    return notebook.notebook([(run.name, run.id, run.load()) for run in runs], predicted=again)


MEANS_CSV = ".means.csv"
FORMATS: Mapping[str, Callable[[Sequence[Chosen]], bytes]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    MEANS_CSV: _means,
    notebook.SUFFIX: _notebook,
}
"""By how the file's name ends, what makes its content."""
LIMITS: Mapping[str, int] = dict.fromkeys(FORMATS, MOST_ROWS) | {
    notebook.SUFFIX: notebook.MOST_ROWS
}
