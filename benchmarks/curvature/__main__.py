"""The command: measure, then write the tables, the numbers and the figure."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.curvature.cases import CASES, Case, quick
from benchmarks.curvature.figure import draw, save_html, save_png
from benchmarks.curvature.loops import time_loops
from benchmarks.curvature.machine import describe
from benchmarks.curvature.plain import Plain
from benchmarks.curvature.reference import true_sharpness
from benchmarks.curvature.report import markdown
from benchmarks.curvature.results import CaseResult, summarise
from benchmarks.curvature.rounds import run_rounds
from benchmarks.curvature.timing import one_thread
from benchmarks.curvature.window import Window, replay

RESULTS = Path(__file__).resolve().parents[1] / "results"


@dataclass(frozen=True)
class Effort:
    """Steps at which the peers are measured, and repetitions of the loops."""

    visits: int = 5
    repetitions: int = 5


def measure(case: Case, effort: Effort) -> CaseResult:
    """All of one case."""
    began = time.perf_counter()
    window = replay(case)
    _refer(window)
    records, costs = run_rounds(window, effort.visits)
    result = summarise(window, records, costs, time_loops(window, effort.repetitions))
    _say(f"{case.name}: {time.perf_counter() - began:.0f} s")
    return result


def _refer(window: Window) -> None:
    twin = Plain(window.case.config, window.subject.problem, torch.float64)
    for step, w in window.weights.items():
        window.reference[step] = true_sharpness(twin, w, seed=step)


def write(out: Path, results: list[CaseResult], wall: float, cpu: float, *, short: bool) -> None:
    """curvature.md, .json, .html and, where there is a browser, .png."""
    out.mkdir(parents=True, exist_ok=True)
    machine, figure = describe(), draw(results)
    text = markdown(results, machine, wall, cpu, quick=short)
    (out / "curvature.md").write_text(text)
    numbers = {
        "machine": machine,
        "quick": short,
        "wall_seconds": wall,
        "cpu_seconds": cpu,
        "cases": [result.to_dict() for result in results],
    }
    (out / "curvature.json").write_text(json.dumps(numbers) + "\n")
    save_html(figure, out / "curvature.html")
    _say(save_png(figure, out / "curvature.png") or f"written to {out}")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curvature")
    parser.add_argument(
        "--cases",
        nargs="+",
        choices=CASES,
        default=list(CASES),
        metavar="CASE",
        help=", ".join(CASES),
    )
    parser.add_argument("--quick", action="store_true", help="a few steps: does it run?")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    arguments = parser.parse_args()
    chosen = [CASES[name] for name in arguments.cases]
    effort = Effort()
    if arguments.quick:
        chosen, effort = [quick(case) for case in chosen], Effort(visits=2, repetitions=1)
    wall, cpu = time.perf_counter(), time.process_time()
    with one_thread():
        results = [measure(case, effort) for case in chosen]
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    write(arguments.out, results, wall, cpu, short=arguments.quick)


if __name__ == "__main__":
    main()
