"""A run as a short Python script that repeats it with the library; importable without torch."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from samedge_core.curvature.kernels import Arithmetic
from samedge_core.fields import Field
from samedge_core.sharing.replay_file import refuse_own_problem
from samedge_core.training.config import FIELDS, RunConfig
from samedge_core.training.history import Intervention
from samedge_core.training.plan import as_recorded

LINE, INDENT = 100, "    "

_HEAD = """\
# Save this file in the folder of SAMEdge and run it with the Python there:
#     .venv/bin/python FILE
# On the same machine, the numbers are the same to the last bit.
from pathlib import Path

import torch

import samedge_core as se
from samedge_core.analysis.summary import in_words

torch.set_num_threads(1)  # as on the dashboard; the last bits depend on it
"""

_TAIL = """\
for label, value in in_words(se.summarise(history)):
    print(f"{label}: {value}")
history.to_frame().to_csv(Path(__file__).with_suffix(".csv"), index=False)
"""


def script(
    config: RunConfig,
    interventions: Iterable[Intervention] = (),
    title: str = "",
    arithmetic: Arithmetic = "compiled",
) -> str:
    """A script that repeats the run, prints its summary and saves its rows as CSV beside itself.

    It names only the settings that differ from their defaults, and is formatted as `ruff format`
    would at 100 characters a line. A file of one's own (`path`) is not known by its place here:
    "your-file" stands for it.

    Raises:
        ExchangeError: the run is of a problem of one's own.
        ConfigError: an intervention's value is outside its range.
    """
    made = call(config, interventions, arithmetic, "history", "a script")
    return "".join([_comment(title), _HEAD, "\n", made, _TAIL])


def call(
    config: RunConfig,
    interventions: Iterable[Intervention],
    arithmetic: Arithmetic,
    result: str,
    what: str,
) -> str:
    """The lines that repeat the run and name its history `result`; raises as `script` does, with
    `what` they are for."""
    refuse_own_problem(config, what)
    given = ["config"]
    changes = ""
    made = as_recorded(config, interventions)
    if made:
        items = [_intervention(item) for item in made]
        changes = _fitted("interventions = [", items, "]", "") + "\n"
        given.append("interventions=interventions")
    if arithmetic != "compiled":
        given.append(f'arithmetic="{arithmetic}"')
    run = f"{result} = se.run({', '.join(given)})\n"
    start = _fitted("config = se.RunConfig(", _arguments(config), ")", "") + "\n"
    return "".join([start, changes, "\n", run])


def _comment(title: str) -> str:
    short = one_line(title)
    return f"# {short}\n" if short else ""


def one_line(title: str) -> str:
    """The title as one line; what is invisible or ends lines could hide code in it."""
    visible = "".join(c if c.isprintable() else " " for c in title)
    return textwrap.shorten(visible, LINE - 2, placeholder=" …", break_on_hyphens=False)


def _arguments(config: RunConfig) -> list[str]:
    settings = [
        f"{name}={_literal(field, getattr(config, name))}"
        for name, field in FIELDS.items()
        if getattr(config, name) != field.default
    ]
    options = [
        f'"{field.name}": {_literal(field, config.options[field.name])}'
        for field in config.spec.options
        if config.options[field.name] != field.default
    ]
    if options:
        # an argument ends with a comma
        place = 1 if config.problem != FIELDS["problem"].default else 0
        settings.insert(place, _fitted("options={", options, "}", INDENT, after=1))
    return settings


def _intervention(item: Intervention) -> str:
    pairs = [f'"{name}": {_literal(FIELDS[name], value)}' for name, value in item.changes.items()]
    changes = _fitted("{", pairs, "}", INDENT * 2, after=1)
    return _fitted("se.Intervention(", [str(item.step), changes], ")", INDENT, after=1)


def _literal(field: Field, value: Any) -> str:
    if field.kind == "floats":
        # a list: in a tuple of one, the comma at the end says nothing about lines
        numbers = [field.text((number,)) for number in value]
        return _fitted("[", numbers, "]", INDENT * 2, after=1 + len(f'"{field.name}": '))
    if field.kind == "path":
        return f'"your-file{field.suffix}"'
    if field.kind == "choice":
        return f'"{value}"'
    return str(value) if field.kind == "bool" else field.text(value)


def _fitted(opening: str, items: Sequence[str], closing: str, indent: str, after: int = 0) -> str:
    """On one line where that fits, with `after` characters beside it; else an item a line."""
    line = f"{opening}{', '.join(items)}{closing}"
    if "\n" not in line and len(indent) + len(line) + after <= LINE:
        return line
    inner = indent + INDENT
    return "\n".join([opening, *(f"{inner}{item}," for item in items), f"{indent}{closing}"])
