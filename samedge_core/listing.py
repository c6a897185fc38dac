"""Presets and problems as aligned plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from samedge_core.fields import Field
from samedge_core.presets import Preset
from samedge_core.problems.registry import ProblemSpec
from samedge_core.rules import RULES

__all__ = ["aligned", "presets_text", "problems_text"]

WIDTH = 100  # characters a line


def aligned(rows: Sequence[Sequence[str]], indent: str = "") -> str:
    """Cells padded to columns, a line a row."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join(indent + line for line in lines)


def presets_text(presets: Iterable[Preset]) -> str:
    """A line a preset; rho only where the rule uses it."""
    head = ("name", "title", "problem", "rule", "eta", "rho", "steps")
    return aligned([head, *(_preset_row(preset) for preset in presets)])


def problems_text(problems: Iterable[ProblemSpec]) -> str:
    """Each problem's name and summary, and its options with default and allowed values."""
    return "\n\n".join(_problem_text(spec) for spec in problems)


def _preset_row(preset: Preset) -> tuple[str, ...]:
    config = preset.config
    rho = f"{config.rho:g}" if "rho" in RULES[config.rule].uses else "-"
    return (
        preset.name, preset.title, config.problem, config.rule, f"{config.eta:g}", rho,
        str(config.steps),
    )  # fmt: skip


def _problem_text(spec: ProblemSpec) -> str:
    rows = [_option_row(field) for field in spec.options]
    about = textwrap.fill(f"{spec.name}: {spec.summary}", WIDTH)
    return "\n".join([about, aligned(rows, indent="    ")])


def _option_row(field: Field) -> tuple[str, ...]:
    default = f"default {field.text(field.default) or '(none)'}"
    return field.name, default, field.allowed()
