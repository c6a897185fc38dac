"""Compile everything that is compiled at its first use, so that no run waits for it.

`make` does so once, with `python -m samedge_core.training.warmup`. Numba keeps the result beside
the sources, or in the user's cache where these can't be written.
"""

from __future__ import annotations

from collections.abc import Iterable
from multiprocessing import get_context

import torch

from samedge_core.curvature import HessianOperator, SharpnessTracker
from samedge_core.training.config import RunConfig
from samedge_core.training.loop import run

DTYPES = ("float32", "float64")


def compile_all(dtypes: Iterable[str] = DTYPES) -> None:
    """For runs in these precisions; takes two minutes the first time, else a second."""
    for dtype in dtypes:
        run(RunConfig(problem="chebyshev-mlp", dtype=dtype, steps=1))
        # of larger networks the tanh is not compiled, but what comes before and after
        run(RunConfig(options={"n": 50, "activation": "tanh"}, dtype=dtype, steps=1))
        run(RunConfig(problem="digits-cnn", options={"n": 10}, dtype=dtype, steps=1))
        for top_k in (1, 2):
            _track(top_k, getattr(torch, dtype))


def _track(top_k: int, dtype: torch.dtype) -> None:
    """Measure eigenvalues that cross, and at last are others altogether."""
    tracker, w = SharpnessTracker(top_k=top_k), torch.ones(40, dtype=dtype)
    speeds = torch.linspace(-1, 1, 40, dtype=dtype)
    for t in (*range(20), 10**6):
        entries = 10 - speeds.abs() + 0.02 * t * speeds
        tracker.measure(HessianOperator(lambda w, h=entries: 0.5 * (h * w * w).sum(), w))


def main() -> None:
    """Compile both precisions at once; then once more, for a second: the one may have overwritten
    what the other had just entered in numba's index."""
    with get_context("spawn").Pool(len(DTYPES)) as pool:
        pool.map(compile_all, [(dtype,) for dtype in DTYPES])
    compile_all()


if __name__ == "__main__":
    main()
