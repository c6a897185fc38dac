"""The results of a sweep, written for other programs and for people; importable without torch."""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from samedge_core.fields import abridged
from samedge_core.sharing.files import replace
from samedge_core.sharing.notebook import SUFFIX, code, markdown, notebook_file
from samedge_core.sharing.report import page_html, settings_of
from samedge_core.sharing.tables import METADATA
from samedge_core.sweeps.figure import figure
from samedge_core.sweeps.results import SweepResult
from samedge_core.sweeps.rows import FATES, QUANTITIES
from samedge_core.sweeps.sweep import SAMPLES, Sweep
from samedge_core.theory.rules import RULES

RESULTS = ("sweep.csv", "sweep.parquet", "sweep.json", "diagram.svg", "report.html")

_ABOUT = """\
Computed with SAMEdge: this file holds the rows of a sweep, and draws them. Open it with a Python in
which `samedge` is installed, and run the cells from the top.
"""
_ROWS = """\
import base64
import json

import samedge_core as se
from samedge_core.sweeps.rows import Row

# the sweep and its {count:,} rows, as JSON in base64
stored = json.loads(base64.b64decode("{content}"))
sweep = se.Sweep.from_values(stored["sweep"])
of = {{name: [Row.from_values(row) for row in stored[name]] for name in ("rows", "predicted")}}
result = se.SweepResult(sweep, **of)"""
_DRAW = """\
import plotly.express as px

x, *y = sweep.axes
figure = px.imshow(
    result.grid("{quantity}"),
    x=[f"{{value:.4g}}" for value in x.values],
    y=[f"{{value:.4g}}" for value in y[0].values] if y else [""],
    labels={{"x": x.name, "y": y[0].name if y else "", "color": "{quantity}"}},
    origin="lower",
    aspect="auto",
)
figure.show()
result.fates()"""


def export(result: SweepResult, suffix: str, quantity: str = "ratio") -> bytes:
    """The content of a file in the format that its suffix says (EXPORTS).

    Args:
        quantity: what a picture or a notebook draws.

    Raises:
        ValueError: another suffix, or no such quantity.
    """
    make = EXPORTS.get(suffix.lower())
    if make is None:
        allowed = ", ".join(EXPORTS)
        raise ValueError(f"a sweep is exported as one of {allowed}, got {abridged(suffix)}")
    return make(result, quantity)


def write_results(folder: Path, result: SweepResult) -> tuple[str, ...]:
    """Write RESULTS into `folder`, made where needed, and return their names.

    Raises:
        OSError: the folder can't be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in RESULTS:
        replace(folder / name, export(result, Path(name).suffix))
    return RESULTS


def _parquet(result: SweepResult, quantity: str) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(result.to_frame(), preserve_index=False)
    about = {METADATA: json.dumps(result.sweep.to_values())}
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **about})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, write_page_checksum=True)
    return buffer.getvalue()


def _csv(result: SweepResult, quantity: str) -> bytes:
    return result.to_frame().to_csv(index=False, lineterminator="\n").encode()


def _json(result: SweepResult, quantity: str) -> bytes:
    return (json.dumps(result.sweep.to_values(), indent=2) + "\n").encode()


def _svg(result: SweepResult, quantity: str) -> bytes:
    return figure(result, quantity).encode()


def _html(result: SweepResult, quantity: str) -> bytes:
    sweep, counts = result.sweep, Counter(row.fate for row in result.rows)
    settings = dict(settings_of(sweep.base))
    settings["Seed (seed)"] = ", ".join(map(str, sweep.seeds))
    for axis in sweep.axes:
        spaced = "in equal ratios" if axis.log else "upward"
        ends = f"{axis.values[0]:g} to {axis.values[-1]:g}"
        settings[f"{sweep.field(axis).label} ({axis.name})"] = (
            f"{ends}, {len(axis.values)} values {spaced}"
        )
    settings[SAMPLES.label] = str(sweep.samples)
    names = dict.fromkeys((quantity, "ratio", "deviation", "loss"))
    fates = [(fate, f"{counts[fate]:,}") for fate in FATES if counts[fate]]
    if result.predicted:
        fates.append(("Predicted", result.agreement().words))
    page = page_html(
        title_of(sweep),
        f"{len(result.rows):,} of {len(sweep.cells):,} runs are computed.",
        {"What becomes of them": fates, "Settings": list(settings.items())},
        {QUANTITIES[name].label_under(sweep.base.rule): figure(result, name) for name in names},
    )
    return page.encode()


def _notebook(result: SweepResult, quantity: str) -> bytes:
    rows = {"rows": result.rows, "predicted": result.predicted}
    of = {name: [row.to_values() for row in some] for name, some in rows.items()}
    stored = json.dumps({"sweep": result.sweep.to_values(), **of}).encode()
    content = base64.b64encode(stored).decode()
    cells = [
        markdown(f"# {title_of(result.sweep)}\n\n{_ABOUT}"),
        code(_ROWS.format(count=len(result.rows), content=content), folded=True),
        code("result.to_frame()"),
        code(_DRAW.format(quantity=quantity)),
        markdown("## Again\n\nWhat is stored on this machine is not computed again."),
        code("# again = se.run_sweep(sweep)"),
    ]
    return notebook_file(cells)


def title_of(sweep: Sweep) -> str:
    """A sweep in a line: rule, problem and what varies."""
    varied = " and ".join(axis.name for axis in sweep.axes)
    return f"{RULES[sweep.base.rule].short} on {sweep.base.problem}: {varied}"


EXPORTS: Mapping[str, Callable[[SweepResult, str], bytes]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".json": _json,
    ".svg": _svg,
    ".html": _html,
    SUFFIX: _notebook,
}
"""By suffix, what makes the content of such a file."""
