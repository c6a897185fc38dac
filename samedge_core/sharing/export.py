"""The results of a run, written for other programs and for people.

    history.parquet   every row; settings, interventions and stop in the file's metadata
    history.csv       the same rows as text
    summary.json      the run in one row; null where there is nothing to tell
    report.html       the report, which needs no network
    replay.json       settings and interventions, which is all that a replay needs
    run.txt           the run's id in the store

Importable without torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from samedge_core.analysis.compare import what
from samedge_core.analysis.summary import summarise
from samedge_core.prediction.prediction import Prediction
from samedge_core.prediction.recorded import from_start
from samedge_core.sharing import replay_file
from samedge_core.sharing.files import reading, replace
from samedge_core.sharing.notebook import SUFFIX, notebook
from samedge_core.sharing.report import report_html
from samedge_core.sharing.scripts import script
from samedge_core.sharing.tables import to_csv, to_parquet
from samedge_core.training.history import History

RUN = "run.txt"
RESULTS = ("report.html", "summary.json", "history.csv", "history.parquet", "replay.json", RUN)
SCHEMA = 1  # of the summary

About = Mapping[str, Any]
Predicted = Sequence[Prediction]


class ResumeError(ValueError):
    """A recorded run that can't be resumed with these settings; the message says why."""


def export(history: History, file: Path, about: About, predicted: Predicted = ()) -> None:
    """Write a run, finished or not, to `file`, in the format that its suffix says (EXPORTS).

    Args:
        about: for people only, such as the id and the title; what has room for it takes it.
        predicted: what flows predict of it, for columns in tables and a cell in notebooks.

    Raises:
        ValueError: another suffix.
        ExchangeError: for .json, a run trained on a file or problem of one's own; for .py and
            .ipynb, one trained on a problem of one's own; for .ipynb, more rows than it may have.
        OSError: the file can't be written.
    """
    make = EXPORTS.get(file.suffix.lower())
    if make is None:
        got = repr(file.suffix) if file.suffix else f"none in {file.name!r}"
        raise ValueError(f"a run is exported as one of {', '.join(EXPORTS)}, got {got}")
    content = make(history, about, predicted)
    file.parent.mkdir(parents=True, exist_ok=True)
    replace(file, content)


def write_results(folder: Path, history: History, about: Mapping[str, Any]) -> list[str]:
    """Write RESULTS except RUN into `folder`, made where needed; returns the names written.

    A run that is trained on a file or problem of one's own has no replay.json.

    Raises:
        OSError: the folder can't be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in RESULTS[:-1]:
        make = _summary if name == "summary.json" else EXPORTS[Path(name).suffix]
        try:
            content = make(history, about)
        except replay_file.ExchangeError:
            (folder / name).unlink(missing_ok=True)
            continue
        replace(folder / name, content)
        written.append(name)
    return written


def set_run(folder: Path, run: str) -> None:
    """Write the id of the run whose results the folder is for; it is made where needed.

    Raises:
        OSError: the folder can't be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    replace(folder / RUN, f"{run}\n".encode())


def run_of(folder: Path) -> str | None:
    """The id of the run whose results the folder is for, or None.

    Raises:
        SavedError: RUN is damaged.
    """
    if not (folder / RUN).exists():
        return None
    with reading(folder / RUN) as file:
        run = file.read_text(encoding="ascii").strip()
        if not run.isalnum():
            raise ValueError(f"a run's id must be letters and digits, got {run!r:.80}")
    return run


class _Make(Protocol):
    def __call__(self, history: History, about: About, predicted: Predicted = ()) -> bytes: ...


def _csv(history: History, about: About, predicted: Predicted = ()) -> bytes:
    return to_csv(history, predicted)


def _replay_json(history: History, about: About, predicted: Predicted = ()) -> bytes:
    return replay_file.to_json(
        history.config, history.interventions, arithmetic=history.arithmetic, about=about
    ).encode()


def _report(history: History, about: About, predicted: Predicted = ()) -> bytes:
    return report_html(history).encode()


def _notebook(history: History, about: About, predicted: Predicted = ()) -> bytes:
    name = str(about.get("title") or what(history.config, history.interventions))
    again = [name] if from_start(predicted) else []
    return notebook([(name, str(about.get("id", "")), history)], predicted=again)


def _script(history: History, about: About, predicted: Predicted = ()) -> bytes:
    title = str(about.get("title") or "")
    return script(history.config, history.interventions, title, history.arithmetic).encode()


EXPORTS: Mapping[str, _Make] = {
    ".csv": _csv,
    ".parquet": to_parquet,
    ".json": _replay_json,
    ".html": _report,
    ".py": _script,
    SUFFIX: _notebook,
}
"""By suffix, what makes the content of such a file."""


def _summary(history: History, about: Mapping[str, Any]) -> bytes:
    values = asdict(summarise(history))
    known = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }
    return (json.dumps({"schema": SCHEMA, **known}, indent=2, allow_nan=False) + "\n").encode()
