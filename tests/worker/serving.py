"""A server without a page, to be killed: `python -m tests.worker.serving HOME LOG`.

It starts what its store does not list yet, takes up again whatever was interrupted, and writes
every 50 ms what its registry has recorded, as {"time": ..., run: last step, ...}. It ends when its
standard input does.
"""

import itertools
import json
import select
import sys
import time
from pathlib import Path

from samedge_core.store import open_store
from samedge_core.training.config import Changes, RunConfig
from samedge_core.training.stop import StopReason
from samedge_core.worker.registry import RunRegistry
from samedge_core.worker.settings import Settings

ENDLESS = 10_000_000
SMALL = {"n": 40, "width": 6}
MIXED = RunConfig(options=SMALL, steps=ENDLESS, batch_size=10, top_k=2, cadence="adaptive")
CONFIGS = {
    0: (MIXED, 60),
    1: (RunConfig(problem="two-weight", eta=0.1, seed=1, steps=ENDLESS), 200),
}  # by seed: with the steps a second
CHANGED = 0  # its step size is changed every now and then
CHANGE_STEPS = 20


def main(home: str, log: str) -> None:
    """Serve until standard input ends."""
    store = open_store(home)
    # runs that nobody looks at, and no spares: workers start at bad moments, too
    registry = RunRegistry(Settings(max_workers=2, spares=0, forget_after=1e9), store)
    runs = {entry.seed: entry.id for entry in store.find().entries}
    for run in runs.values():
        registry.open(run)
    for seed in CONFIGS.keys() - runs:
        config, pace = CONFIGS[seed]
        runs[seed] = registry.start(config, pace=pace, watched=False)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    etas = itertools.cycle((0.5, 0.25, 1.0))
    change_due = -1
    with Path(log).open("a", encoding="utf-8") as lines:
        lines.write("\n")  # a kill may have cut the last one
        while not select.select([sys.stdin], [], [], 0.05)[0]:
            for seed, run in runs.items():
                go_on(registry, run, CONFIGS[seed][1])
            steps = {run: registry.view(run, most=0).last_step for run in runs.values()}
            if steps[runs[CHANGED]] > change_due:
                change_due = steps[runs[CHANGED]] + CHANGE_STEPS
                registry.change(runs[CHANGED], Changes.of({"eta": next(etas)}))
            lines.write(json.dumps({"time": time.time(), **steps}) + "\n")
            lines.flush()
    registry.close()


def go_on(registry: RunRegistry, run: str, pace: float) -> None:
    """With a run whose server or worker was lost."""
    stop = registry.view(run, most=0).stop
    if stop:
        assert stop.reason in (StopReason.INTERRUPTED, StopReason.WORKER_LOST), stop
        registry.pace(run, pace)
        registry.resume(run)


if __name__ == "__main__":
    main(*sys.argv[1:])
