"""Compile everything that is compiled at its first use, so that no run waits for it.

`python -m samedge_core.training.warmup` does so for the precisions that it is given, or for all;
`make` and servers call it. Numba keeps the result: see `curvature.kernels`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path

import torch
from numba.core.registry import CPUDispatcher

from samedge_core.curvature import HessianOperator, SharpnessTracker, kernels
from samedge_core.curvature.edge_operator import EdgeOperator
from samedge_core.problems.registry import build
from samedge_core.training.config import RunConfig
from samedge_core.training.loop import run


def compile_all(dtypes: Iterable[str] = kernels.DTYPES) -> None:
    """Compile for runs in these precisions; takes two minutes the first time, else a second."""
    for dtype in dtypes:
        _run("chebyshev-mlp", {}, dtype)
        # of larger networks the tanh is not compiled, but what comes before and after
        _run("digits-mlp", {"n": 50, "activation": "tanh"}, dtype)
        _run("digits-cnn", {"n": 10}, dtype)
        for top_k in (1, 2):
            _track(top_k, getattr(torch, dtype))


def _run(problem: str, options: dict[str, object], dtype: str) -> None:
    config = RunConfig(problem=problem, options=options, dtype=dtype, steps=1)
    # handed in: what `build_problem` makes would first wait for these very kernels
    run(config, build(problem, config.options, seed=config.seed, dtype=dtype))


def _track(top_k: int, dtype: torch.dtype) -> None:
    """Measure eigenvalues that cross, also by other coordinates, and at last are others
    altogether."""
    tracker, w = SharpnessTracker(top_k=top_k), torch.ones(40, dtype=dtype)
    speeds = torch.linspace(-1, 1, 40, dtype=dtype)
    for t in (*range(20), 10**6):
        entries = 10 - speeds.abs() + 0.02 * t * speeds
        hessian = HessianOperator(lambda w, h=entries: 0.5 * (h * w * w).sum(), w)
        tracker.measure(hessian if t % 4 < 2 else EdgeOperator(hessian, 1 + 0.01 * t * w))


def dispatchers() -> dict[tuple[str, str], CPUDispatcher]:
    """All kernels, by module and name."""
    return {
        (module, name): item
        for module in kernels.modules()
        for name, item in vars(importlib.import_module(module)).items()
        if isinstance(item, CPUDispatcher)
    }


def _forget() -> None:
    """Remove what numba has kept of the kernels."""
    for (module, _), kernel in dispatchers().items():
        stem = module.rpartition(".")[2]
        for file in Path(str(kernel.stats.cache_path)).glob(f"{stem}.*.nb[ic]"):
            file.unlink(missing_ok=True)


def main(dtypes: Iterable[str]) -> None:
    """Compile what is not ready yet for these precisions."""
    for dtype in dtypes:  # who waits for the first need not wait for the second
        with kernels.compiling() as stale:
            if stale:
                _forget()
            if not kernels.ready(dtype):
                compile_all([dtype])
                kernels.compiled(dtype)


if __name__ == "__main__":
    main(sys.argv[1:] or kernels.DTYPES)
