"""Which rows to draw of a long run."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def thin(
    watched: Sequence[NDArray[np.floating]],
    most: int,
    around: NDArray[np.int64] | Sequence[int] = (),
) -> NDArray[np.int64]:
    """Return the indices, growing, of at most `most` rows of the `watched` columns, each (n,).

    Kept are both ends and, in every bucket of rows, the least and the greatest finite value of each
    column: plain striding would alias the oscillation at the edge of stability. Rows `around` a
    change are kept too, the newest of them up to half of `most`.
    """
    rows, per_bucket = len(watched[0]), 2 * len(watched)
    if rows <= most:
        return np.arange(rows)
    around = np.unique(np.asarray(around, dtype=np.int64))
    around = around[(around >= 0) & (around < rows)]
    around = around[max(0, len(around) - max(0, (most - 2 - per_bucket) // 2)) :]
    kept = {0, rows - 1, *around.tolist()}
    for bucket in np.array_split(np.arange(rows), max(1, (most - 2 - len(around)) // per_bucket)):
        for values in watched:
            finite = bucket[np.isfinite(values[bucket])]
            if len(finite):
                kept |= {int(finite[values[finite].argmin()]), int(finite[values[finite].argmax()])}
    # few can't hold one bucket and both ends: the newest of these then
    return np.array(sorted(kept), dtype=np.int64)[-most:]
