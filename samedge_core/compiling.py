"""Compile everything that is compiled at its first use, so that no run waits for it.

`make` does so once, with `python -m samedge_core.compiling`. Numba keeps the result beside the
sources, or in the user's cache where these can't be written.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from samedge_core.curvature import HessianOperator, SharpnessTracker
from samedge_core.training.config import RunConfig
from samedge_core.training.loop import run

__all__ = ["compile_all"]


def compile_all(dtypes: Iterable[str] = ("float32", "float64")) -> None:
    """For runs in these precisions; takes a minute the first time, else a second."""
    for dtype in dtypes:
        run(RunConfig(problem="chebyshev-mlp", dtype=dtype, steps=1))
        for top_k in (1, 2):
            _track(top_k, getattr(torch, dtype))


def _track(top_k: int, dtype: torch.dtype) -> None:
    """Measure eigenvalues that cross."""
    tracker, w = SharpnessTracker(top_k=top_k), torch.ones(40, dtype=dtype)
    speeds = torch.linspace(-1, 1, 40, dtype=dtype)
    for t in range(20):
        entries = 10 - speeds.abs() + 0.02 * t * speeds
        tracker.measure(HessianOperator(lambda w, h=entries: 0.5 * (h * w * w).sum(), w))


if __name__ == "__main__":
    compile_all()
