"""What recording costs: `python -m benchmarks.store`, about two minutes on a quiet machine.

Prints the time of runs with and without a store, alternating; the server's CPU time; bytes a step;
and how long it takes to open a run of 100,000 rows.
"""

from __future__ import annotations

import statistics
import tempfile
import time

from samedge_core.experiments.presets import PRESETS
from samedge_core.store import RunRecord, open_store
from samedge_core.store.writer import RunWriter
from samedge_core.training.config import RunConfig
from samedge_core.training.history import History
from samedge_core.worker.registry import RunRegistry
from samedge_core.worker.settings import Settings
from samedge_core.worker.view import Phase

REPEATS = 3
CASES = {
    "digits-mlp, SAM, P = 17,610": PRESETS["sam-digits-relu"].config.replace(steps=600),
    "chebyshev-mlp, SAM, P = 701": PRESETS["sam-chebyshev"].config.replace(steps=2000),
    "two-weight, SAM, P = 2": RunConfig(
        problem="two-weight", rule="sam", eta=0.1, rho=0.05, steps=5000
    ),
}
PIECE = PRESETS["sam-chebyshev"].config.replace(steps=2000)
LONG = 100_000  # rows


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        plain = RunRegistry(Settings(max_workers=1, spares=1))
        recording = RunRegistry(Settings(max_workers=1, spares=1), open_store(folder))
        try:
            _overhead(plain, recording)
            _long_run(recording)
        finally:
            plain.close()
            recording.close()


def _overhead(plain: RunRegistry, recording: RunRegistry) -> None:
    print("| run | without a store | with one | overhead | server CPU with one |")
    print("|---|---|---|---|---|")
    for name, config in CASES.items():
        times: dict[RunRegistry, list[tuple[float, float]]] = {plain: [], recording: []}
        for _ in range(REPEATS):
            for registry, found in times.items():
                found.append(_timed(registry, config))
        (without, _), (with_one, used) = (
            [statistics.median(values) for values in zip(*found, strict=True)]
            for found in times.values()
        )
        more = 100 * (with_one / without - 1)
        share = 100 * used / with_one
        print(f"| {name} | {without:.2f} s | {with_one:.2f} s | {more:+.1f} % | {share:.1f} % |")


def _timed(registry: RunRegistry, config: RunConfig) -> tuple[float, float]:
    """Seconds from the first row to the end, and of this process's CPU in that time."""
    run_id = registry.start(config, paused=True)
    registry.advance(run_id, 1)
    while registry.view(run_id, most=0).last_step < 0:
        time.sleep(0.01)
    began, used = time.perf_counter(), time.process_time()
    registry.resume(run_id)
    while registry.view(run_id, most=0).phase is not Phase.ENDED:
        time.sleep(0.02)
    return time.perf_counter() - began, time.process_time() - used


def _long_run(registry: RunRegistry) -> None:
    """A run of 100,000 rows on disk, made of a real one's rows one after the other."""
    store = registry.store
    assert store is not None
    run_id = registry.start(PIECE)
    while registry.view(run_id, most=0).phase is not Phase.ENDED:
        time.sleep(0.1)
    history = History(PIECE.replace(steps=LONG))
    rows = registry.history(run_id).rows_after(-1)
    writer = RunWriter(store, RunRecord(store.new_id(), history.config, LONG))
    for start in range(0, LONG, len(rows)):
        rows["step"] = range(start, start + len(rows))
        for name in ("loss", "grad_norm", "lambda_max", "residual", "align_grad", "align_sam"):
            rows[name] *= 1 + 1e-7  # equal rows would take no room
        history.extend(rows)
        if news := writer.take(history):
            writer.save(news)
    folder = store.folder(writer.id)
    size, parts = folder.sizes()[0], len(folder.parts())
    print(f"\n100,000 rows: {size / 1e6:.1f} MB in {parts} files, {size / LONG:.0f} bytes a step")
    opened = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        store.load(writer.id)
        opened.append(time.perf_counter() - began)
    print(f"opening it: {1000 * statistics.median(opened):.0f} ms")


if __name__ == "__main__":
    main()
