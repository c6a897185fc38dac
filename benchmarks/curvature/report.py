"""The tables, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from benchmarks.curvature.results import CaseResult, MethodResult

__all__ = ["markdown"]

METHOD_HEADER = (
    "method",
    "HVPs",
    "ms",
    "mean ms",
    "gradients",
    "own gradients",
    "worst error",
    "median error",
    "says converged",
    "loop",
)
SUMMARY_HEADER = (
    "case",
    "P",
    "ours: gradients",
    "less one gradient",
    "worst error",
    "fastest accurate peer",
    "its gradients",
    "**ours is faster by**",
    "by, 2 eigenvalues",
    "eigsh on one graph",
    "by",
)
LOOP_HEADER = (
    "case",
    "bare, ms",
    "bare",
    "with ours",
    "2 eigenvalues",
    "with that peer",
    "ours / bare",
    "2 eigenvalues / bare",
    "peer / bare",
    "ours / plain torch",
)


def markdown(
    results: list[CaseResult], machine: Mapping[str, str], wall: float, cpu: float, *, quick: bool
) -> str:
    """The whole report."""
    parts = [
        "# Sharpness measurement against its peers",
        "A smoke test: the numbers mean nothing." if quick else "",
        _head(machine, wall, cpu),
        "## Ours against the fastest accurate peer",
        _table(SUMMARY_HEADER, [_summary(r) for r in results]),
        SUMMARY_NOTE,
        "## Training with the sharpness at every step: steps a second",
        _table(LOOP_HEADER, [_loop(r) for r in results]),
        LOOP_NOTE,
        *(_case(r) for r in results),
        READING,
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


SUMMARY_NOTE = """
Gradients: CPU time of a measurement in gradients of the same problem by plain torch autograd, timed
at the same step; means. "Less one gradient": observing w yields the gradient that the step needs
anyway, so that a run pays one gradient of the library less. Worst error: relative, against ARPACK
in float64; ours over every warm step of the window, the peers' over the few that they were given.
Accurate: never off by more than 0.1 %. "eigsh on one graph" is no library's: SciPy's ARPACK, tol
1e-3, on products from one retained graph, which is what a careful user would write.
"""
LOOP_NOTE = """
Bare and ours are whole runs of the library's loop through the window, from the same state, in turn;
ours includes the accuracy and the alignments that the loop records. The peer's are computed: its
measurement added to a bare step. Plain torch: a bare step's gradients, two for SAM, by autograd and
nothing else; those of the library are written out and compiled.
"""
READING = """
## How to read the tables

- HVPs: Hessian-vector products a measurement, mean. The paper's cost two gradients each.
- ms: CPU milliseconds a measurement, median and mean. CPU time, because others may use the machine
  too; with one thread it is wall time otherwise.
- own gradients: the same in units of the library's own `loss_and_gradient`.
- loop: (bare training step + measurement) / bare training step.
- An error near 1e-5 that several exact methods share is the reference's float64 on the other side
  of a ReLU's kink than their float32.
- Ours: every step of the window, the first, cold one apart. The others know no earlier step, so
  that each of theirs is cold.
"""


def _head(machine: Mapping[str, str], wall: float, cpu: float) -> str:
    facts = ", ".join(f"{name} {value}" for name, value in machine.items())
    return f"{facts}. The run took {wall / 60:.1f} minutes, {cpu / 60:.1f} of them on a CPU."


def _summary(result: CaseResult) -> list[str]:
    ours, two = result.method("ours-1"), result.method("ours-2")
    peer, graph = result.fastest_accurate(), result.method("graph-1e-3")
    saved = ours.gradients - result.gradient.own / result.gradient.plain
    return [
        result.title,
        f"{result.size:,}",
        _number(ours.gradients),
        _number(saved),
        _error(ours.worst),
        peer.title if peer else "none",
        _number(peer.gradients if peer else math.nan),
        f"**{_times(peer, ours)}**",
        _times(peer, two),
        _number(graph.gradients),
        _times(graph, ours),
    ]


def _loop(result: CaseResult) -> list[str]:
    loop, peer = result.loop, result.fastest_accurate()
    slow = peer.loop if peer else math.nan
    plain = loop.gradient * (2 if result.config["rule"] == "sam" else 1)
    return [
        result.title,
        _number(loop.bare),
        _rate(loop.bare),
        _rate(loop.measured[1]),
        _rate(loop.measured[2]),
        _rate(loop.bare * slow),
        _number(loop.ratios[1]),
        _number(loop.ratios[2]),
        _number(slow),
        _number(loop.measured[1] / plain),
    ]


def _case(result: CaseResult) -> str:
    last = result.start + result.steps - 1
    values = list(result.reference.values())
    lines = [
        f"## {result.title} (`{result.name}`)",
        f"P = {result.size:,}, {result.examples:,} examples, steps {result.start:,} to {last:,}, "
        f"sharpness {min(values):.3g} to {max(values):.3g}. One gradient: "
        f"{result.gradient.plain:.3g} ms by plain autograd, {result.gradient.own:.3g} ms by the "
        f"library. One bare step: {result.loop.bare:.3g} ms.",
        _table(METHOD_HEADER, [_row(method) for method in result.methods]),
        *(_cold(method) for method in result.methods if method.cold),
    ]
    return "\n\n".join(lines)


def _row(method: MethodResult) -> list[str]:
    title = f"**{method.title}**" if method.kind == "ours" else method.title
    if method.failure:
        return [title, f"failed: {method.failure}", *[""] * (len(METHOD_HEADER) - 2)]
    return [
        title,
        f"{method.products:.1f}",
        _number(method.ms),
        _number(method.ms_mean),
        _number(method.gradients),
        _number(method.own_gradients),
        _error(method.worst),
        _error(method.median_error),
        f"{100 * method.converged:.0f} %",
        _number(method.loop),
    ]


def _cold(method: MethodResult) -> str:
    cold = method.cold
    assert cold is not None
    return (
        f"{method.title}, cold start: {cold.products} HVPs, {_number(cold.ms)} ms, "
        f"{_number(cold.gradients)} gradients, error {_error(cold.error)}."
    )


def _times(peer: MethodResult | None, ours: MethodResult) -> str:
    ratio = peer.gradients / ours.gradients if peer else math.nan
    return "–" if math.isnan(ratio) else f"{ratio:.1f}×"


def _rate(ms: float) -> str:
    return _number(1e3 / ms)


def _number(value: float) -> str:
    """Three digits, and never a power of ten."""
    if not math.isfinite(value):
        return "–"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"


def _error(value: float) -> str:
    return f"{value:.1e}" if math.isfinite(value) else "–"


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(header)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(c) for c in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
