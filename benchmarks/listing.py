"""How long a catalogue with thousands of runs takes to be listed, and the page of runs to be made.

    python benchmarks/listing.py [--runs N] [--repeats R] [--page]

Prints the median and the largest time of each query, in milliseconds. No rows are read: the runs
have no folders at all. `--page` measures the script of pages/runs.py, too, in Streamlit's test
harness.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from samedge_core.store import Query, Store, open_store
from samedge_core.store.tables import runs, tags
from samedge_core.training.config import RunConfig

PAGE = 50
TAGS = ("baseline", "sweep", "seeds", "paper", "odd", "to repeat")


def fill(store: Store, count: int) -> None:
    """Enter `count` made-up runs at once; `Catalogue.put` would take a transaction for each."""
    rng = random.Random(0)
    made = [entry(rng, number) for number in range(count)]
    words = [
        {"run": one["id"], "tag": tag} for one in made for tag in rng.sample(TAGS, rng.randrange(4))
    ]
    engine = sa.create_engine(store.settings.database)
    with engine.begin() as connection:
        connection.execute(runs.insert(), made)
        connection.execute(tags.insert(), words)
    engine.dispose()


def entry(rng: random.Random, number: int) -> dict[str, Any]:
    """A run as the catalogue stores it."""
    rule = rng.choice(("gd", "sam", "usam", "polyak", "nesterov"))
    problem = rng.choice(("digits-mlp", "digits-cnn", "chebyshev-mlp"))
    config = RunConfig(problem=problem, rule=rule, eta=rng.choice((0.5, 1.0, 2.0)), seed=number)
    ratio = rng.uniform(0.2, 1.1)
    run = f"{number:016x}"
    return {
        "id": run,
        "created": 1.7e9 + number,
        "updated": 1.7e9 + number,
        "problem": problem,
        "rule": rule,
        "eta": config.eta,
        "rho": config.rho,
        "beta": config.beta,
        "batch_size": 0,
        "seed": number,
        "config": config.to_json(),
        "group_key": f"{number // 5:016x}",
        "interventions": 0,
        "root": run,
        "stop_reason": "step cap",
        "stop_what": "step cap reached",
        "steps": 1300,
        "last_step": 1299,
        "parameters": 17610,
        "loss": 0.01,
        "accuracy": 0.99,
        "grad_norm": 0.02,
        "sharpness": ratio,
        "edge": 1.0,
        "ratio": ratio,
        "deviation": abs(ratio - 1),
        "spark": np.linspace(0, ratio, 64, dtype="<f4").tobytes(),
        "row_bytes": 90_000,
        "snapshot_bytes": 400_000,
        "snapshots": 6,
        "title": f"Run {number} of the study" if number % 3 else "",
        "note": "looked at twice" if number % 7 == 0 else "",
        "starred": number % 50 == 0,
        "pinned": number % 100 == 0,
    }


def queries(count: int) -> dict[str, Query]:
    """What a person asks for; each lists one page."""
    return {
        "plain": Query(limit=PAGE),
        "text: two words": Query(text="study twice", limit=PAGE),
        "text: nothing found": Query(text="nowhere", limit=PAGE),
        "one tag": Query(tags=("sweep",), limit=PAGE),
        "two tags, starred": Query(tags=("sweep", "paper"), starred=True, limit=PAGE),
        "problem and rule": Query(problem="digits-cnn", rule="sam", limit=PAGE),
        "sorted by ratio": Query(sort="ratio", descending=False, limit=PAGE),
        "last page": Query(offset=count - PAGE, limit=PAGE),
        "count alone": Query(removed=True, limit=0),
    }


def milliseconds(work: Callable[[], object], repeats: int) -> list[float]:
    """Of each of `repeats` calls."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - start))
    return taken


def page(repeats: int) -> list[float]:
    """Of the page's whole script, through Streamlit's test harness."""
    from streamlit.testing.v1 import AppTest

    app = AppTest.from_file("../app.py", default_timeout=60).run()
    app.switch_page("pages/runs.py").run()
    if app.exception:
        raise RuntimeError(app.exception[0].message)
    return milliseconds(app.run, repeats)


def show(name: str, taken: list[float]) -> None:
    """A line of the table."""
    sys.stdout.write(f"{name:24s} {statistics.median(taken):8.1f} {max(taken):8.1f}\n")


def main() -> None:
    """Fill a store in a temporary folder, and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--page", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["SAMEDGE_HOME"] = home
        os.environ.pop("SAMEDGE_DATABASE_URL", None)
        store = open_store()
        fill(store, asked.runs)
        sys.stdout.write(f"{asked.runs:,} runs, pages of {PAGE:<5}  median      max  (ms)\n")
        for name, query in queries(asked.runs).items():
            show(name, milliseconds(lambda query=query: store.find(query), asked.repeats))
        show("bytes used", milliseconds(store.catalogue.bytes_used, asked.repeats))
        show("tags in use", milliseconds(store.catalogue.known_tags, asked.repeats))
        store.close()
        if asked.page:
            show("the page's script", page(asked.repeats))
            from pages.parts import server

            server.registry().close()


if __name__ == "__main__":
    main()
