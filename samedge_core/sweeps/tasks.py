"""What a Dask worker does: rows for configurations, both as plain values.

A worker shares no disk with the driver; it has the same version of this program.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from samedge_core.fields import ConfigError
from samedge_core.problems.data import DataError
from samedge_core.sweeps.store import SweepError
from samedge_core.training.config import RunConfig

Values = list[dict[str, Any]]
Compute = Callable[[Values, int], Values]
_NICE = 5  # a sweep takes what live runs on the same machine leave


def compute(values: Values, samples: int) -> Values:
    """The rows, in the same order, of configurations as `RunConfig.to_values` has them.

    Raises:
        SweepError: this machine lacks what they need: a device, memory, data, a compiler.
    """
    from samedge_core.sweeps.cell import run_cell
    from samedge_core.sweeps.ensembles import groups, run_ensemble, together

    configs = [RunConfig.from_values(one) for one in values]
    rows: dict[int, dict[str, Any]] = {}
    with _on_this_machine():
        for group in groups(configs):
            cells = [configs[i] for i in group]
            if together(cells[0]):  # also a single one: its row is then the same to the bit
                found = run_ensemble(cells, samples)
            else:
                found = [run_cell(cells[0], samples)]
            rows.update((i, row.to_values()) for i, row in zip(group, found, strict=True))
    return [rows[i] for i in range(len(configs))]


def predict(values: Values, samples: int) -> Values:
    """The same of what a flow says of these runs.

    Raises:
        SweepError: as `compute`, or no flow describes their rule.
    """
    from samedge_core.sweeps.predicted import predict_cell

    with _on_this_machine():
        return [predict_cell(RunConfig.from_values(one), samples).to_values() for one in values]


@contextmanager
def _on_this_machine() -> Iterator[None]:
    """One thread, and what this machine lacks as a SweepError."""
    import torch

    from samedge_core.curvature.kernels import KernelsError

    torch.set_num_threads(1)
    try:
        yield
    except (ConfigError, DataError, KernelsError, ImportError) as error:
        raise SweepError(str(error)) from error


def answer(compute: Compute, work: str) -> str:
    """The rows of `compute` for its arguments, both as JSON."""
    return json.dumps(compute(*json.loads(work)))


def dask_setup(worker: object) -> None:
    """Called by Dask in each worker of this machine, as it starts."""
    # Ctrl-C reaches all processes of a terminal: the driver alone acts on it, and ends its workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(_NICE)
