"""Whether torch's derivatives of a loss are those of the loss.

Some layers have a second derivative that is wrong (`weight_norm`), others a gradient that is meant
to be (straight-through estimators), and some lose their history. So, at a random point near w and
for a random direction v, H v is compared with the difference of two gradients, <g, v> with that of
two losses, and <u, H v> with <H u, v>. Near w, not at it: there zero weights put units exactly on a
kink.

Kinks and rounding must not refuse what is right. A difference counts only if another one, a tenth
as long, agrees with it: across the kink of a ReLU they differ tenfold. Where it can't be told, the
loss is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from samedge_core.curvature.differentiation import leaf as new_leaf
from samedge_core.curvature.operator import HessianOperator
from samedge_core.fields import abridged

Loss = Callable[[Tensor], Tensor]

NEAR = (1e-2, 1e-6)  # of a weight: how far from w
ZERO = 1e-2  # of the weights' root mean square: what counts as the size of a smaller one
DIRECTIONS = 2
AGREES = 0.1  # of what they differ from torch's
REMEDY = (
    "take out what torch can't differentiate twice, such as weight_norm, checkpoint, a function of "
    "your own (torch.autograd.Function) or detach()"
)


class Tolerance(NamedTuple):
    """Of a precision: the lengths of differences, and the relative errors that are allowed."""

    lengths: tuple[float, ...]
    difference: float
    symmetry: float


TOLERANCES = {
    # 1e-4 last, for layers that compute in float32 within
    torch.float64: Tolerance((1e-5, 1e-6, 1e-7, 1e-4), 1e-3, 1e-4),
    torch.float32: Tolerance((1e-2, 1e-3), 5e-2, 1e-2),
}


def check_derivatives(loss: Loss, w: Tensor, *, differences: bool = True) -> None:
    """Refuse a loss whose derivatives by w (P,), as torch has them, are not its own.

    Without `differences`, only that there are some, and a symmetric Hessian. Costs some ten
    gradients. Where loss or curvature are not finite, nothing is refused.

    Raises:
        ValueError: the loss does not depend on w, depends on tensors to train that are not in w,
            or has a wrong or no first or second derivative.
    """
    generator = torch.Generator().manual_seed(0)
    size = w.abs() + (ZERO * w.square().mean().sqrt() or ZERO)
    leaf = new_leaf(w)
    with _failing_in_words("value"):
        value = loss(leaf)
    _check_leaves(value, leaf)
    with _failing_in_words("gradient"):
        point, here = _near(loss, w, size * _noise(w, generator))
    wrong = ""
    for _ in range(DIRECTIONS):
        wrong = _wrong_along(loss, here, point, size * _noise(w, generator), differences)
        if not wrong:
            return
    raise ValueError(f"{wrong}: {REMEDY}")


def _noise(w: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(len(w), generator=generator, dtype=w.dtype, device="cpu").to(w.device)


@contextmanager
def _failing_in_words(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise ValueError(
            f"the loss must be differentiable twice, but its {what} fails: "
            f"{type(error).__name__} {abridged(str(error))}: {REMEDY}, EmbeddingBag or sparse=True"
        ) from error


def _near(loss: Loss, w: Tensor, offset: Tensor) -> tuple[Tensor, HessianOperator]:
    """A point near w, and the Hessian there: the first one at which the loss is finite, if any."""
    *further, nearest = NEAR
    for near in further:
        point = w + near * offset
        try:
            here = HessianOperator([loss], point)
        # of a matrix that is positive definite at w only
        except torch.linalg.LinAlgError:  # pyright: ignore[reportPrivateImportUsage]
            continue
        if bool(here.value.isfinite() & here.g.isfinite().all()):
            return point, here
    point = w + nearest * offset
    return point, HessianOperator([loss], point)


def _check_leaves(value: Tensor, w: Tensor) -> None:
    """All that a gradient is passed to must be w."""
    leaves = list(_leaves(value))
    others = [tuple(leaf.shape) for leaf in leaves if leaf is not w]
    if others:
        raise ValueError(
            f"the loss depends on tensors that require a gradient but are no parameters of the "
            f"module, of shapes {abridged(others)}: register them (nn.Parameter, nn.ModuleList), "
            "reach them through self instead of a lambda, or freeze them by requires_grad_(False)"
        )
    if not leaves:
        raise ValueError(
            "the loss must depend on the weights, but torch records no derivative of it: compute "
            "it without .detach(), .item(), .numpy() or torch.no_grad()"
        )


def _leaves(value: Tensor) -> Iterator[Tensor]:
    """The tensors to which the backward pass of `value` leads."""
    waiting, seen = [value.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if (leaf := getattr(node, "variable", None)) is not None:  # of AccumulateGrad
            yield leaf
        waiting += [before for before, _ in node.next_functions]


def _wrong_along(loss: Loss, here: HessianOperator, w: Tensor, v: Tensor, differences: bool) -> str:
    """What is wrong along v, in words; nothing where all is right, or where it can't be told."""
    with _failing_in_words("Hessian-vector product"):
        product = here.matvec(v)
        norm = float(product.norm())
        turned = here.matvec(product / norm) if norm else product
    allowed = TOLERANCES[w.dtype]
    rounding = 100 * torch.finfo(w.dtype).eps
    other = float(torch.dot(turned, v))
    # the bound of rounding is that of the last sum
    if abs(other - norm) > allowed.symmetry * norm + rounding * float(v.norm() * turned.norm()):
        return f"the Hessian must be symmetric, but <u, Hv> is {norm:.6g} and <Hu, v> {other:.6g}"
    slopes = _Differences(torch.dot(here.g, v), float((here.g * v).norm()), here.value)
    products = _Differences(product, norm, here.g)
    for length in allowed.lengths if differences else ():
        ahead, behind = (HessianOperator([loss], w + sign * length * v) for sign in (1, -1))
        slopes.add(ahead.value, behind.value, length)
        products.add(ahead.g, behind.g, length)
        if slopes.agree and products.agree:
            return ""
    if slopes.differ:
        return f"the gradient must be that of the loss, but {slopes.shown('its slope')}"
    if products.differ:
        return f"the Hessian must be that of the gradient, but {products.shown('a product')}"
    return ""


class _Differences:
    """Central differences, of several lengths, for one derivative as torch has it.

    Attributes:
        agree: whether one of them is that derivative, to what is allowed.
    """

    def __init__(self, derivative: Tensor, scale: float, values: Tensor) -> None:
        """`scale` is the derivative's size, `values` what the differences are of."""
        self._derivative = derivative
        kind = derivative.dtype
        self._allowed = TOLERANCES[kind].difference * scale
        self._rounding = 100 * torch.finfo(kind).eps * float(values.norm())
        self._found: list[Tensor] = []
        self.agree = False

    def add(self, ahead: Tensor, behind: Tensor, length: float) -> None:
        difference = (ahead - behind) / (2 * length)
        self._found.append(difference)
        error = float((difference - self._derivative).norm())
        # NaN too: what is not finite can't be told
        if not error > self._allowed + self._rounding / length:
            self.agree = True

    @property
    def differ(self) -> bool:
        """Whether two of them agree with each other, and none with torch."""
        return not self.agree and any(
            (one - other).norm() <= AGREES * (one - self._derivative).norm()
            for one, other in pairwise(self._found)
        )

    def shown(self, what: str) -> str:
        """Of both, the norms."""
        sizes = (float(value.norm()) for value in (self._derivative, self._found[0]))
        return "{} is {:.6g} by torch and {:.6g} by differences".format(what, *sizes)
