"""Runs as a Jupyter notebook that holds their rows, draws them and repeats them.

The format (nbformat 4.5) is JSON: https://nbformat.readthedocs.io. Importable without torch.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from typing import Any

from samedge_core.sharing import replay_file
from samedge_core.sharing.scripts import call, one_line
from samedge_core.sharing.tables import to_parquet
from samedge_core.theory.rules import RULES
from samedge_core.training.config import RunConfig
from samedge_core.training.history import History
from samedge_core.training.stop import BY_ITSELF

SUFFIX = ".ipynb"
MOST_ROWS = 50_000

_ABOUT = """\
Recorded with SAMEdge: this file holds the rows, draws them and repeats the training.
Open it with a Python in which `samedge` is installed, and run the cells from the top.
"""

_START = """\
import base64

import pandas as pd
import torch

import samedge_core as se
from samedge_core.sharing.tables import from_parquet

torch.set_num_threads(1)  # as on the dashboard; the last bits depend on it
runs = {}  # by name: rows, settings, changes and stop of each run"""

_ROWS = """\
# {count:,} rows, as a Parquet file in base64
runs[{name}] = from_parquet(base64.b64decode("{rows}"))"""

_SUMMARY = "pd.DataFrame([se.summarise(run) for run in runs.values()], index=list(runs)).T"

_OVERLAY = """\
import plotly.graph_objects as go

from samedge_core.analysis.compare import lines

figure = go.Figure(layout={"xaxis_title": "step", "yaxis_title": {ratio}})
for name, run in runs.items():
    ratio = lines([run], "step")["ratio"]
    figure.add_scatter(x=ratio.x, y=ratio.y, name=name)
figure.add_hline(1, line_dash="dot")"""

_REPEAT = """\
Each of the next cells trains a run anew, with its settings and its changes on the way, and says
whether every number is equal. On the machine that recorded it, with the same versions, it is.
Elsewhere numbers round in another way, and where steps hop across a valley small differences grow:
then curves agree in their course, not in each step.
"""
_FILE = """
Where `your-file` stands, put the file of your own that the run was trained on.
"""

_PREDICTED = """\
## Predict

What a flow says of a run, from the same initial weights and without a step of it, until its first
change of a setting; and how far the run is off.
"""
_PREDICT = """\
predicted = se.predict(runs[{name}].config)
predicted.to_frame().plot("step", "sharpness", title=predicted.against(runs[{name}]).words)"""

_EQUAL = """
print("equal to the last bit:", again.to_frame().equals(runs[{name}].to_frame()))"""


def notebook(runs: Sequence[tuple[str, str, History]], *, predicted: Sequence[str] = ()) -> bytes:
    """Return a notebook of runs, each given by a name of its own, its id and its rows; with cells
    that predict those again which are named in `predicted`.

    Raises:
        ExchangeError: they have more than MOST_ROWS rows, or one is of a problem of one's own.
    """
    count = sum(len(history) for _, _, history in runs)
    if count > MOST_ROWS:
        raise replay_file.ExchangeError(
            f"a notebook may have {MOST_ROWS:,} rows, got {count:,}: Parquet or CSV takes them"
        )
    several = len(runs) > 1
    listed = "".join(f"\n- {_plain(name)} (`{run}`)" for name, run, _ in runs)
    title = f"{len(runs):,} runs" if several else _plain(runs[0][0])
    cells = [markdown(f"# {title}\n\n{_ABOUT}{listed if several else ''}"), code(_START)]
    cells += [code(_rows(name, history), folded=True) for name, _, history in runs]
    cells += [markdown("## In numbers"), code(_SUMMARY), markdown("## Charts")]
    ratio = ", ".join(dict.fromkeys(RULES[one.hyperparameters.rule].ratio for _, _, one in runs))
    cells += [code(_OVERLAY.replace("{ratio}", _text(ratio)))] if several else []
    cells += [code(f"runs[{_text(runs[0][0])}].plot()")]
    own_file = any(replay_file.has_own_file(history.config) for _, _, history in runs)
    cells.append(markdown(f"## Repeat\n\n{_REPEAT}{_FILE if own_file else ''}"))
    cells += [code(_again(name, history)) for name, _, history in runs]
    if predicted:
        cells.append(markdown(_PREDICTED))
        cells += [code(_PREDICT.format(name=_text(name))) for name in predicted]
    return notebook_file(cells)


def _rows(name: str, history: History) -> str:
    rows = base64.b64encode(to_parquet(history, {"name": name})).decode()
    return _ROWS.format(count=len(history), name=_text(name), rows=rows)


def _again(name: str, history: History) -> str:
    made = call(_as_far(history), history.interventions, history.arithmetic, "again", "a notebook")
    return made + _EQUAL.format(name=_text(name))


def _as_far(history: History) -> RunConfig:
    """What a run of the recorded steps starts with: one that something has ended before its own end
    is not trained beyond them."""
    done, by_itself = history.last_step + 1, history.stop_reason in BY_ITSELF
    return history.config if by_itself or not done else history.config.capped(done)


def _text(name: str) -> str:
    """A text in code; no character in it is invisible."""
    return ascii(name) if not name.isprintable() else json.dumps(name, ensure_ascii=False)


def _plain(name: str) -> str:
    """A text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|$~&])", r"\\\1", one_line(name))


def markdown(text: str) -> dict[str, Any]:
    """A cell of text."""
    return {"cell_type": "markdown", "metadata": {}, "source": text.strip()}


def code(text: str, *, folded: bool = False) -> dict[str, Any]:
    """A cell of code; a folded one does not show it."""
    shown = {"jupyter": {"source_hidden": True}} if folded else {}
    run = {"execution_count": None, "outputs": []}
    return {"cell_type": "code", "metadata": shown, "source": text, **run}


def notebook_file(cells: Sequence[dict[str, Any]]) -> bytes:
    """The file of a notebook with these cells."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {
        "cells": [{"id": f"cell-{number}", **cell} for number, cell in enumerate(cells)],
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()
