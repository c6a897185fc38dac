"""Rows and records to store."""

import numpy as np
from numpy.typing import NDArray

from samedge_core.store import RunRecord
from samedge_core.training import packing
from samedge_core.training.config import RunConfig
from samedge_core.training.history import History, row_dtype

SMALL = RunConfig(problem="digits-mlp", options={"n": 40, "width": 6}, steps=1000)
PARAMETERS = 454
ODD_NAN, ODD_NAN_32 = 0x7FF8_0000_0000_0123, 0x7FC0_0123  # whose bits a conversion would lose


def rows(first: int, last: int, top_k: int = 3) -> NDArray[np.void]:
    """Rows of the steps `first` to `last`: random bits in every column, so NaNs of every kind, and
    the same ones whichever steps they are asked with."""
    dtype = row_dtype(top_k)
    made = np.empty(last - first + 1, dtype)
    for i, step in enumerate(range(first, last + 1)):
        made[i] = np.frombuffer(np.random.default_rng(step).bytes(dtype.itemsize), dtype)[0]
        made["converged"][i] = step % 3 == 0  # any other byte is no bool
    made["step"] = np.arange(first, last + 1)
    for name, bits in (("loss", ODD_NAN), ("accuracy", ODD_NAN_32)):
        odd = np.array([bits], f"u{made.dtype[name].itemsize}").view(made.dtype[name])
        made[name][made["step"] % 5 == 0] = odd
    made["grad_norm"][made["step"] % 7 == 0] = np.inf
    return made


def history(steps: int, config: RunConfig = SMALL) -> History:
    """One of plain numbers."""
    made = History(config)
    made.parameters = PARAMETERS
    some = np.zeros(steps, made.dtype)
    some["step"], some["hopping"] = np.arange(steps), 1.0
    for name in ("loss", "grad_norm", "lambda_max"):
        some[name] = np.random.default_rng(1).random(steps) + 2.5
    made.extend(some)
    return made


def record(run: str = "a", config: RunConfig = SMALL, **changes) -> RunRecord:
    return RunRecord(run, config, config.steps, **changes)


def state(content: bytes = b"0123456789") -> bytes:
    """As TrainState.pack makes it, of weights that nobody looks at, one for each parameter."""
    return packing.pack({"w": np.resize(np.frombuffer(content, "u1"), PARAMETERS)})
