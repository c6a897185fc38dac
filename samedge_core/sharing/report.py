"""Reports: ONE static HTML file each, which needs no network; importable without torch.

The page itself is report.html, a template beside this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from samedge_core.analysis.summary import in_words, summarise
from samedge_core.theory.rules import RULES
from samedge_core.training.config import FIELDS, RunConfig
from samedge_core.training.figures import paper_figures
from samedge_core.training.history import History

Rows = Sequence[tuple[str, str]]


def report_html(history: History) -> str:
    """The whole report: configuration, summary, why the run stopped, and the paper's figures."""
    config = history.config
    changes = [(f"Step {item.step:,}", item.label) for item in history.interventions]
    tables = {
        "Configuration at the start": settings_of(config),
        "Summary": in_words(summarise(history)),
        "Changes on the way": changes,
    }
    return page_html(
        f"{RULES[config.rule].short} on {config.problem}, seed {config.seed}",
        _ending(history),
        tables,
        {name: _figure(name, made) for name, made in paper_figures(history).items()},
        script=get_plotlyjs(),
    )


def page_html(
    title: str,
    lead: str,
    tables: Mapping[str, Rows],
    figures: Mapping[str, str],
    *,
    script: str = "",
) -> str:
    """A report of any kind: a sentence, tables by title (empty ones are left out), and figures by
    name, which are HTML or SVG, with the script that they need."""
    from jinja2 import StrictUndefined, Template  # nothing else of a server needs it

    file = resources.files("samedge_core.sharing").joinpath("report.html")
    template = Template(
        file.read_text(encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    filled = [(name, rows) for name, rows in tables.items() if rows]
    return template.render(
        title=title, lead=lead, tables=filled, figures=figures.items(), script=script
    )


def _ending(history: History) -> str:
    recorded = f"{len(history):,} steps are recorded"
    if history.stop is None:
        return f"{recorded}; the run goes on."
    return f"{recorded}; {history.stop.what.rstrip('.')}."


def settings_of(config: RunConfig) -> list[tuple[str, str]]:
    """All settings and options, as "label (name)" and the value with its unit."""
    values = [(field, getattr(config, name)) for name, field in FIELDS.items()]
    values += [(field, config.options[field.name]) for field in config.spec.options]
    return [
        (f"{field.label} ({field.name})", f"{field.text(value)} {field.unit}".rstrip())
        for field, value in values
    ]


def _figure(name: str, figure: go.Figure) -> str:
    # the id is otherwise random, and equal runs should give equal files; without the last setting
    # a button would offer to upload the chart to Plotly
    return figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id="figure-" + "".join(c if c.isalnum() else "-" for c in name.lower()),
        default_height="420px",
        config={"displaylogo": False, "responsive": True, "showSendToCloud": False},
    )
