"""Loss, gradient and Hessian-vector products of a Problem at many w at once, by torch alone.

The sum of all cells' losses has each cell's own gradient, and the gradient of that sum along v each
cell's own Hessian-vector product. Where a loss has a product with a matrix (the quadratic), that is
one product of all cells, and its last digits depend on how many they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from samedge_core.curvature.differentiation import leaf, recording
from samedge_core.problems.problem import Problem


class Losses:
    """Any Problem without accuracy and held-out data, on its full batch; see `Networks`."""

    def __init__(self, problem: Problem) -> None:
        self.size = problem.size
        batch = problem.full_batch()
        self._loss = torch.func.vmap(lambda w: problem.loss(w, batch))

    def packed(self, w: Tensor) -> list[Tensor]:
        """w (C, P) is the one part."""
        return [w]

    def unpacked(self, parts: list[Tensor]) -> Tensor:
        """The inverse of `packed`."""
        return parts[0]

    @recording()
    def at(self, w: list[Tensor], *, keep: bool = False) -> LossesPoint:
        """Loss and gradient at w; with `keep`, Hessian-vector products too."""
        point = leaf(w[0])
        loss = self._loss(point)
        (g,) = torch.autograd.grad(loss.sum(), point, create_graph=keep)
        return LossesPoint(self, loss.detach(), [point], [g.detach()], g if keep else None)

    def evaluate(self, point: LossesPoint) -> tuple[None, None]:
        """Neither accuracy nor held-out loss."""
        return None, None


@dataclass(frozen=True)
class LossesPoint:
    """Loss (C,) and gradient g, in one part, at w, and products with the Hessian; see
    `NetworksPoint`. `graph` is the gradient with its history."""

    losses: Losses
    loss: Tensor
    w: list[Tensor]
    g: list[Tensor]
    graph: Tensor | None

    @recording()
    def hvp(self, v: Tensor) -> Tensor:
        """H v for v (C, P)."""
        assert self.graph is not None
        (product,) = torch.autograd.grad(self.graph, self.w, v, retain_graph=True)
        return product

    def select(self, cells: Tensor) -> LossesPoint:
        """The same of some cells only."""
        return self.losses.at([self.w[0].detach()[cells]], keep=self.graph is not None)
