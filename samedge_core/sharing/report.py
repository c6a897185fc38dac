"""A run as ONE static HTML file that needs no network; importable without torch."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from samedge_core.analysis.figures import paper_figures
from samedge_core.analysis.summary import in_words, summarise
from samedge_core.training.config import FIELDS, RunConfig
from samedge_core.training.history import History

# figures write their colours into each element, so that only !important reaches them
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --rule: #d0d4da; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --paper: #14171b; --rule: #3a4048; }
}
body { color: var(--ink); background: var(--paper); margin: 2rem auto; max-width: 64rem;
  padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; }
table { border-collapse: collapse; }
th, td { border-bottom: 1px solid var(--rule); padding: 0.2rem 1.5rem 0.2rem 0;
  text-align: left; vertical-align: top; }
th { font-weight: normal; }
td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.tables { display: flex; flex-wrap: wrap; gap: 0 4rem; }
.js-plotly-plot text { fill: var(--ink) !important; }
.js-plotly-plot .legend .bg { fill: var(--paper) !important; }
"""


def report_html(history: History) -> str:
    """The whole report: configuration, summary, why the run stopped, and the paper's figures."""
    title = escape(_title(history))
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title>",
            f"<style>{_STYLE}</style>",
            f"<script>{get_plotlyjs()}</script>",
            "</head>",
            "<body>",
            f"<h1>{title}</h1>",
            f"<p>{escape(_ending(history))}</p>",
            '<div class="tables">',
            _section("Configuration at the start", _table(_settings(history.config))),
            _section("Summary", _table(in_words(summarise(history)))),
            _section("Changes on the way", _table(_changes(history))) if _changes(history) else "",
            "</div>",
            *(_figure(name, figure) for name, figure in paper_figures(history).items()),
            "</body>",
            "</html>",
            "",
        ]
    )


def _title(history: History) -> str:
    config = history.config
    return f"{config.rule.upper()} on {config.problem}, seed {config.seed}"


def _ending(history: History) -> str:
    recorded = f"{len(history):,} steps are recorded"
    if history.stop is None:
        return f"{recorded}; the run goes on."
    return f"{recorded}; {history.stop.what.rstrip('.')}."


def _settings(config: RunConfig) -> list[tuple[str, str]]:
    options = {field.name: field for field in config.spec.options}
    values = [(field, getattr(config, name)) for name, field in FIELDS.items()]
    values += [(field, config.options[name]) for name, field in options.items()]
    return [
        (f"{field.label} ({field.name})", f"{field.text(value)} {field.unit}".rstrip())
        for field, value in values
    ]


def _changes(history: History) -> list[tuple[str, str]]:
    return [(f"Step {item.step:,}", item.label) for item in history.interventions]


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _table(rows: Iterable[tuple[str, str]]) -> str:
    cells = (
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in rows
    )
    return f"<table>{''.join(cells)}</table>"


def _figure(name: str, figure: go.Figure) -> str:
    # the id is otherwise random, and equal runs should give equal files; without the last setting
    # a button would offer to upload the chart to Plotly
    div_id = "figure-" + "".join(c if c.isalnum() else "-" for c in name.lower())
    body = figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=div_id,
        default_height="420px",
        config={"displaylogo": False, "responsive": True, "showSendToCloud": False},
    )
    return _section(name, body)
