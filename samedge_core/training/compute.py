"""What a network computes at weights w, over the Domain of its problem. Needs torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from samedge_core.problems.batches import Batch
from samedge_core.problems.domain import SIDE, Domain
from samedge_core.problems.problem import Problem
from samedge_core.training.computed import MOST_EXAMPLES, Computed, Examples, encoded


def examples_of(domain: Domain) -> Examples:
    """Return the examples to draw, at most MOST_EXAMPLES of each kind."""
    train = domain.examples
    test = domain.held_out or Batch(train.x[:0], train.y[:0])
    x, y, x_test, y_test = (
        _array(part[:MOST_EXAMPLES]) for part in (train.x, train.y, test.x, test.y)
    )
    sizes = len(train.x), len(test.x)
    return Examples(domain.ranges, x, y, x_test, y_test, domain.classes, sizes)


def compute(
    problem: Problem, domain: Domain, w: Tensor, step: int, *, probabilities: bool
) -> Computed | None:
    """Return what the network computes at w (P,), the iterate of `step`; None where that is not
    finite. With `probabilities`, the classes' outputs go through the softmax."""
    with torch.no_grad():
        outputs = domain.compute(w)  # (m, outputs)
        if not bool(outputs.isfinite().all()):
            return None
        scores = outputs.softmax(1) if probabilities else outputs
    loss, accuracy = problem.evaluate(w)
    if not domain.classes:
        return Computed(step, _array(scores[:, 0]), loss)
    codes = encoded(_array(scores)).reshape(SIDE, SIDE)
    return Computed(step, codes, loss, accuracy, problem.evaluate_held_out(w).accuracy)


def _array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy().astype(np.float32)
