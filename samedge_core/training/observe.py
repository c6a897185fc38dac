"""Loss, gradient and Hessian at one w."""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor
from torch.linalg import vector_norm

from samedge_core.curvature.operator import HessianOperator
from samedge_core.problems.batches import Batch, subsample
from samedge_core.problems.compiled.operator import CompiledOperator
from samedge_core.problems.problem import Problem

Operator = HessianOperator | CompiledOperator


class LossAndGrad(NamedTuple):
    """Loss, gradient (P,) and its norm on one batch."""

    loss: float
    g: Tensor
    norm: float

    @classmethod
    def of(cls, loss: Tensor, g: Tensor) -> LossAndGrad:
        """Return it for a scalar `loss` and its gradient (P,)."""
        return cls(float(loss), g, float(vector_norm(g)))

    @property
    def finite(self) -> bool:
        """Whether loss and gradient norm are finite."""
        return math.isfinite(self.loss) and math.isfinite(self.norm)


def observe(
    problem: Problem, w: Tensor, batch: Batch | None, share: float
) -> tuple[LossAndGrad, Operator]:
    """Return loss and gradient on `batch`, and the Hessian on `share` of its examples."""
    part = subsample(batch, share) if batch else batch
    operator = problem.operator(w, part) or HessianOperator(problem.terms(part), w)
    if part is batch:
        return LossAndGrad.of(operator.value, operator.g), operator
    return LossAndGrad.of(*problem.loss_and_gradient(w, batch)), operator
