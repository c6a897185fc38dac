"""The batch sharpness at one w, measured over mini-batches of its own. Needs torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from samedge_core.fields import ConfigError
from samedge_core.problems.batches import Batch
from samedge_core.problems.problem import Problem
from samedge_core.training.batch_sharpness import MEANINGLESS, BatchSharpness
from samedge_core.training.config import FIELDS
from samedge_core.training.observe import observe


def batch_sharpness(
    problem: Problem,
    w: Tensor,
    batch_size: int,
    *,
    batches: int = FIELDS["batch_sharpness_batches"].default,
    seed: int | Sequence[int] = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> BatchSharpness:
    """Return the batch sharpness E_B[g_B^T H_B g_B / ||g_B||^2] of `problem` at w (P,).

    Each batch is drawn independently of the others, without repeating an example, as a step of a
    run draws its own. Cost: a gradient and one Hessian-vector product of each batch.

    Args:
        batch_size: examples a batch, fewer than the data has.
        batches: how many, 2 at least; the standard error falls with their root.
        seed: of the draws; no other generator is read or moved.
        on_progress: called with the batches done, and how many there are.

    Raises:
        ConfigError (a ValueError): a full batch, a size beyond the data, or fewer than two batches.

    Source: Andreyev and Beneventano, arXiv 2412.20553.

    >>> from samedge_core.training.config import RunConfig
    >>> from samedge_core.training.loop import build_problem
    >>> problem = build_problem(RunConfig(problem="chebyshev-mlp"), "plain")
    >>> found = batch_sharpness(problem, problem.init(seed=0), 10, batches=8)
    >>> found.batches, 0 < found.error < found.mean
    (8, True)
    """
    FIELDS["batch_sharpness_batches"].check(batches)
    values = np.empty(batches)
    for i, start in enumerate(np.random.SeedSequence(seed).generate_state(batches)):
        source = problem.batches(seed=int(start), batch_size=batch_size)
        if source is None:
            message = f"batch_size must be from 1 to less than the data, got {batch_size}. "
            raise ConfigError("batch_size", message + MEANINGLESS)
        values[i] = _along_gradient(problem, w, source.next())
        on_progress(i + 1, batches)
    return BatchSharpness(values, batch_size)


def _along_gradient(problem: Problem, w: Tensor, batch: Batch) -> float:
    """u^T H_B u, u the direction of the batch's gradient; NaN at gradient 0."""
    here, operator = observe(problem, w, batch, share=1.0)
    if not (here.finite and here.norm):
        return np.nan
    u = here.g / here.norm  # before the product: squares of small gradients underflow in float32
    return float(u @ operator.matvec(u))
