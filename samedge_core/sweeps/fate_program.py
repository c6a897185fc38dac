"""The program that computes maps of fates, `python -m samedge_core.sweeps.fate_program`.

It reads requests from its standard input and writes pictures to its standard output, both pickled;
`fate_process` starts it. It ends with its input. With --compile it only compiles, for the next one.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from samedge_core.curvature import kernels  # first: it finds numba a folder for what is compiled
from samedge_core.sweeps import following

if kernels.FOLDER is None:
    os.environ.pop("NUMBA_DISABLE_JIT", None)  # compiling takes two seconds, plain Python minutes

from numba import njit

CORES = max(1, min(os.cpu_count() or 1, 8))
BANDS = 32  # so that no core waits long for another's last one
NICENESS = 5  # the page stays responsive
_follow = njit(cache=kernels.FOLDER is not None, nogil=True)(following.follow)


def follow_all(
    rule: int,
    fixed: Sequence[float],
    places: tuple[int, int],
    xs: Sequence[float],
    ys: Sequence[float],
    steps: int,
) -> NDArray[np.uint16]:
    """What becomes of all points of a grid, shape (len(ys), len(xs)), as `following.follow` has it.

    Args:
        fixed: eta, rho, beta, a and b; those at `places` are replaced by xs and by ys.
    """
    points = np.empty((len(ys), len(xs), len(fixed)))
    points[:] = fixed
    points[..., places[0]] = xs
    points[..., places[1]] = np.asarray(ys)[:, None]
    rows = points.reshape(-1, len(fixed))
    out = np.zeros(len(rows), np.uint16)
    ends = np.linspace(0, len(rows), BANDS + 1).astype(int)
    with ThreadPoolExecutor(CORES) as cores:
        bands = [slice(*band) for band in pairwise(ends)]
        list(cores.map(lambda band: _follow(rule, rows[band], steps, out[band]), bands))
    return out.reshape(len(ys), len(xs))


def main() -> None:
    """Answer requests until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the whole group
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever prints goes to the server's log
    follow_all(following.GD, [0.3, 0.0, 0.0, 1.0, 0.5], (3, 4), [1.0], [0.5], 10)
    if "--compile" in sys.argv:
        return
    while True:
        try:
            request = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump(follow_all(*request), answers)
        answers.flush()


if __name__ == "__main__":
    main()
