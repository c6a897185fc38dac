"""Cells that sleep instead of training: what a driver's tests compute."""

from __future__ import annotations

import time

from samedge_core.sweeps.rows import Row


def compute(values, samples):
    """A row a configuration, from its eta alone."""
    return [_row(one) for one in values]


def _row(config) -> Row:
    seconds = config["options"]["b"]
    time.sleep(abs(seconds))
    fate = "diverged" if config["eta"] > 0.5 else "converged"
    return Row(-1, fate, 10, loss=config["eta"], seconds=max(abs(seconds), 1e-3)).to_values()
