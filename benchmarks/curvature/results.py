"""From samples to the numbers of the tables."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.curvature.loops import LoopCost
from benchmarks.curvature.rounds import GradientCost, Record, Sample
from benchmarks.curvature.window import Window

__all__ = ["ACCURATE", "CaseResult", "MethodResult", "summarise"]

ACCURATE = 1e-3  # the worst relative error that counts as accurate


@dataclass(frozen=True)
class MethodResult:
    """One method on one case. Ours is without its cold start, which stands apart.

    Attributes:
        ms: CPU milliseconds a measurement, median; ms_mean their mean.
        gradients, own_gradients: mean cost of a measurement in plain torch gradients, and in the
            library's.
        loop: (bare step + measurement) / bare step; run for ours, computed for the others.
        failure: why there are no numbers.
    """

    name: str
    title: str
    kind: str
    samples: list[Sample]
    failure: str
    loop: float
    cold: Sample | None
    measured: int = 0
    products: float = math.nan
    ms: float = math.nan
    ms_mean: float = math.nan
    gradients: float = math.nan
    own_gradients: float = math.nan
    worst: float = math.nan
    median_error: float = math.nan
    converged: float = math.nan

    @property
    def accurate(self) -> bool:
        """Never off by more than ACCURATE."""
        return not self.failure and self.worst <= ACCURATE


@dataclass(frozen=True)
class CaseResult:
    """One case: its run, what its gradients and steps cost, and every method on it."""

    name: str
    title: str
    config: dict[str, Any]
    size: int
    examples: int
    start: int
    steps: int
    reference: dict[int, float]
    gradient: GradientCost
    loop: LoopCost
    methods: list[MethodResult]

    def method(self, name: str) -> MethodResult:
        """The method of that name."""
        return next(method for method in self.methods if method.name == name)

    def fastest_accurate(self, kind: str = "peer") -> MethodResult | None:
        """Of the methods of a kind that are accurate, the one that costs least."""
        good = [m for m in self.methods if m.kind == kind and m.accurate]
        return min(good, key=lambda m: m.gradients, default=None)

    def to_dict(self) -> dict[str, Any]:
        """All numbers, for JSON: samples by column, nine digits, None for NaN."""
        numbers = asdict(self)
        for method in numbers["methods"]:
            method["samples"] = _columns(method["samples"])
        return _jsonable(numbers)


def summarise(
    window: Window, records: list[Record], costs: list[GradientCost], loop: LoopCost
) -> CaseResult:
    """The result of a case from all that was measured on it."""
    case, subject = window.case, window.subject
    return CaseResult(
        name=case.name,
        title=case.title,
        config=json.loads(case.config.to_json()),
        size=subject.plain.size,
        examples=len(subject.plain.x),
        start=case.start,
        steps=case.steps,
        reference=window.reference,
        gradient=GradientCost(
            plain=statistics.median(c.plain for c in costs),
            own=statistics.median(c.own for c in costs),
        ),
        loop=loop,
        methods=[_method(record, loop) for record in records],
    )


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_jsonable(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else None
    return value


def _method(record: Record, loop: LoopCost) -> MethodResult:
    method, samples = record.method, record.samples
    ours = method.kind == "ours"
    cold, warm = (samples[0], samples[1:]) if ours and samples else (None, samples)
    base = {
        "name": method.name,
        "title": method.title,
        "kind": method.kind,
        "samples": samples,
        "failure": record.failure,
        "cold": cold,
    }
    if record.failure or not warm:
        return MethodResult(**base, loop=math.nan)
    gradients = statistics.fmean(s.gradients for s in warm)
    computed = 1 + gradients * loop.gradient / loop.bare
    return MethodResult(
        **base,
        loop=loop.ratios[method.top_k] if ours else computed,
        measured=len(warm),
        products=statistics.fmean(s.products for s in warm),
        ms=statistics.median(s.ms for s in warm),
        ms_mean=statistics.fmean(s.ms for s in warm),
        gradients=gradients,
        own_gradients=statistics.fmean(s.own_gradients for s in warm),
        worst=max(s.error for s in warm),
        median_error=statistics.median(s.error for s in warm),
        converged=statistics.fmean(s.converged for s in warm),
    )
