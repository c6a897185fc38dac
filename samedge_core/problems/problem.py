"""Problem: data, model and loss as a function of ONE flat parameter vector w."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from samedge_core.curvature.differentiation import PlainAttention, leaf, recording
from samedge_core.curvature.kernels import Arithmetic
from samedge_core.problems.batches import Batch, Batches
from samedge_core.problems.compiled.network import CompiledNetwork
from samedge_core.problems.compiled.operator import CompiledOperator
from samedge_core.problems.derivatives import check_derivatives
from samedge_core.problems.domain import Domain, domain_of
from samedge_core.problems.draws import DrawingFrom
from samedge_core.problems.own_modules import OwnModule, copied, take_module, tensors_of

LossFunction = Callable[[Tensor, Tensor], Tensor]


class Evaluation(NamedTuple):
    """Loss and accuracy (NaN when the targets are not classes) over a set of examples."""

    loss: float
    accuracy: float


CPU = torch.device("cpu")
UNKNOWN = Evaluation(math.nan, math.nan)
CHECKED = 64  # examples; the fewer, the fewer kinks lie in the way of a difference


class Problem(ABC):
    """A loss L(w) on a flat vector w of `size` parameters.

    Attributes:
        size: P, the number of parameters.
        dtype, device: of w and of all computation.
        classes: number of classes, or 0 when the targets are not classes.
        arithmetic: "plain" for torch's autograd throughout, where nothing is compiled.
        made_from: what `registry.build` made it from; None for one that a script made.
        data_sha256: of the examples, where they come from a file of the user's.
    """

    size: int
    dtype: torch.dtype
    device: torch.device = CPU
    classes: int = 0
    arithmetic: Arithmetic = "compiled"
    made_from: tuple[Any, ...] | None = None
    data_sha256: str | None = None

    @abstractmethod
    def init(self, *, seed: int) -> Tensor:
        """Initial weights (P,); equal seeds give equal weights, no global generator is touched."""

    @abstractmethod
    def loss(self, w: Tensor, batch: Batch | None) -> Tensor:
        """Scalar loss at w (P,) on `batch`; differentiable at least twice."""

    def full_batch(self) -> Batch | None:
        """All the data, or None for a problem without data."""
        return None

    def batches(self, *, seed: int, batch_size: int = 0) -> Batches | None:
        """A seeded source of mini-batches, or None when every step uses the full batch."""
        return None

    def to(self, device: torch.device) -> Problem:
        """Return this problem with its data moved to `device`, in place; w must be there too."""
        self.device = device
        return self

    def terms(self, batch: Batch | None) -> list[Callable[[Tensor], Tensor]]:
        """Return functions of w whose sum is the loss on `batch`: one a chunk of the data."""
        return [lambda w: self.loss(w, batch)]

    def operator(self, w: Tensor, batch: Batch | None) -> CompiledOperator | None:
        """Return the Hessian at w where it is faster than `HessianOperator`, else None."""
        return None

    def evaluate(self, w: Tensor, operator: CompiledOperator | None = None) -> Evaluation:
        """Return loss and accuracy at w over all the data, or over the part that is evaluated.

        `operator`, at w on all the data, has the predictions already.
        """
        with torch.no_grad():
            return Evaluation(float(self.loss(w, self.full_batch())), math.nan)

    def evaluate_held_out(self, w: Tensor) -> Evaluation:
        """Loss and accuracy at w over held-out data; NaN without any."""
        return UNKNOWN

    def domain(self) -> Domain | None:
        """The inputs over which what it computes can be drawn, else None."""
        return None

    def gradient(self, w: Tensor, batch: Batch | None) -> Tensor:
        """grad L(w), shape (P,), without keeping a graph."""
        return self.loss_and_gradient(w, batch)[1]

    def loss_and_gradient(self, w: Tensor, batch: Batch | None) -> tuple[Tensor, Tensor]:
        """L(w) and grad L(w), without keeping a graph."""
        with recording():
            w = leaf(w)
            total, gradient = w.new_zeros(()), torch.zeros_like(w).detach()
            for term in self.terms(batch):
                loss = term(w)
                total = total + loss.detach()
                gradient = gradient + torch.autograd.grad(loss, w)[0]
            return total, gradient

    @staticmethod
    def from_module(
        module: nn.Module, x: Tensor, y: Tensor, loss: str | LossFunction = "mse"
    ) -> ModuleProblem:
        """Return any torch module as a Problem, whose `init` gives the module's own weights.

        Args:
            module: its parameters that require a gradient, in order, make up w. Layers that draw at
                random or keep count of their calls (dropout, batch norm) must be in evaluation
                mode.
            x, y: inputs (n, ...) and targets: classes as integers, (n,) or (n, time), or values
                (n, outputs).
            loss: "mse", "half-mse", "cross-entropy", or a function of (outputs, y).

        All are copied, and nothing of the caller is changed, then or later. Threads may share the
        problem.

        Cost: two forward passes over x, and some ten gradients of CHECKED examples: equal weights
        must give equal outputs, and torch's derivatives must be those of the loss.

        Raises:
            TypeError: x or y is no tensor, or the outputs are none and `loss` is a name.
            ValueError: anything else that can't be trained: no parameters that require a gradient,
                mixed dtypes, a layer as above in training mode or without a second derivative,
                lengths that differ, values that are not finite, classes without an output, an
                unknown loss; the message shows the value.
        """
        with recording():
            own = take_module(module, x, y, loss)
            problem = _own_problem(own)
            _check_own(own)
        return problem


def _own_problem(own: OwnModule) -> ModuleProblem:
    problem = ModuleProblem(own.module, own.x, own.y, own.loss)
    problem.classes, problem.attention = own.classes, own.attention
    return problem


def _check_own(own: OwnModule) -> None:
    """Check the derivatives on the first examples: by differences in float64, exact enough to judge
    by, where that works; and without them in the module's own precision, for its other kernels."""
    own = own.part(CHECKED)
    problem = _own_problem(own)
    exact = own.double() if problem.dtype != torch.float64 else None
    if exact:
        _check_problem(_own_problem(exact))
    _check_problem(problem, differences=exact is None)


def _check_problem(problem: ModuleProblem, *, differences: bool = True) -> None:
    w = problem.init(seed=0)
    check_derivatives(lambda w: problem.loss(w, None), w, differences=differences)


class ModuleProblem(Problem):
    """A torch module, its data and a loss; in a call, the module's parameters are views into w.

    Each call takes a copy of the module of its own, so that threads may share the problem.

    Attributes:
        attention: whether the module computes attention by torch's own functions.
        held_out: examples that no step sees, if any.
        explicit: the same network with its derivatives written out, where it is such a one.
    """

    attention = False

    def __init__(
        self,
        module: nn.Module,
        x: Tensor,
        y: Tensor,
        loss: str | LossFunction = "mse",
        initialise: Callable[[nn.Module], None] | None = None,
        *,
        held_out: Batch | None = None,
        chunk: int | None = None,
        evaluated: int | None = None,
    ) -> None:
        """
        Args:
            module: those of its parameters that require a gradient make up w.
            initialise: draws fresh weights for `init(seed=)`; without it, `init` gives the weights
                that the module came with, whatever the seed.
            held_out: examples that no step sees.
            chunk: gradients and Hessian-vector products add up over so many examples at once,
                for a loss that is a mean over examples. None takes them all at once.
            evaluated: `evaluate` takes the first so many examples only.
        """
        trained = [p for p in module.parameters() if p.requires_grad]
        number, places = {id(p): i for i, p in enumerate(trained)}, tensors_of(module).items()
        self._module = module
        self._idle: deque[nn.Module] = deque()  # copies that no call uses at present
        self._places = {name: number[id(t)] for name, t in places if id(t) in number}
        self._fixed = {name: t.detach() for name, t in places if id(t) not in number}
        self._initialise = initialise
        self._shapes = [p.shape for p in trained]
        self._sizes = [p.numel() for p in trained]
        self._own_weights = _flatten(module)
        self.size = sum(self._sizes)
        self.dtype = self._own_weights.dtype
        self.device = self._own_weights.device
        self.classes = 0 if y.is_floating_point() or y.is_complex() else int(y.max()) + 1
        self._loss = _loss_function(loss, y)
        self._data = self._cast(Batch(x, y))
        self.held_out = self._cast(held_out) if held_out and len(held_out.x) else None
        self._chunk = chunk
        self._evaluated = evaluated
        self.compiled = CompiledNetwork.of(module, loss, self._data)

    def _cast(self, batch: Batch) -> Batch:
        return Batch(batch.x.to(self.dtype) if batch.x.is_floating_point() else batch.x, batch.y)

    def to(self, device: torch.device) -> ModuleProblem:
        self.device = device
        self._data = _moved(self._data, device)
        self.held_out = self.held_out and _moved(self.held_out, device)
        self._fixed = {name: value.to(device) for name, value in self._fixed.items()}
        return self

    def init(self, *, seed: int) -> Tensor:
        if self._initialise is None:
            return self._own_weights.to(self.device, copy=True)
        # in main memory, so that a seed gives the same weights on every device
        module = copied(self._module)
        with DrawingFrom(torch.Generator().manual_seed(seed)):
            self._initialise(module)
        return _flatten(module).to(self.device)

    def predict(self, w: Tensor, x: Tensor) -> Tensor:
        """The module's outputs (n, outputs) at weights w (P,)."""
        # one split (not P slices) keeps the backward pass a single concatenation
        parts = zip(w.split(self._sizes), self._shapes, strict=True)
        views = [part.view(shape) for part, shape in parts]
        tensors = {name: views[i] for name, i in self._places.items()} | self._fixed
        try:
            module = self._idle.pop()
        except IndexError:  # so many threads call at once for the first time
            module = copied(self._module, with_tensors=False)
        try:
            with PlainAttention() if self.attention else nullcontext():
                return torch.func.functional_call(module, tensors, (x,), tie_weights=False)
        finally:
            self._idle.append(module)

    def loss(self, w: Tensor, batch: Batch | None) -> Tensor:
        x, y = batch or self._data
        return self._loss(self.predict(w, x), y)

    def operator(self, w: Tensor, batch: Batch | None) -> CompiledOperator | None:
        batch = batch or self._data
        if self.arithmetic == "plain" or self.compiled is None:
            return None
        if len(batch.x) > (self._chunk or len(batch.x)) or not w.is_cpu:
            return None
        return CompiledOperator(self.compiled, w, batch)

    def loss_and_gradient(self, w: Tensor, batch: Batch | None) -> tuple[Tensor, Tensor]:
        point = self.operator(w, batch)
        return super().loss_and_gradient(w, batch) if point is None else (point.value, point.g)

    def terms(self, batch: Batch | None) -> list[Callable[[Tensor], Tensor]]:
        batch = batch or self._data
        pieces = self._pieces(batch)
        if len(pieces) == 1:
            return super().terms(batch)
        return [self._share(piece, len(piece.x) / len(batch.x)) for piece in pieces]

    def _share(self, piece: Batch, share: float) -> Callable[[Tensor], Tensor]:
        return lambda w: share * self.loss(w, piece)

    def _pieces(self, batch: Batch) -> list[Batch]:
        """`batch` in pieces of the same size, within one, none larger than the chunk."""
        n = len(batch.x)
        count = math.ceil(n / (self._chunk or n))
        ends = [i * n // count for i in range(count + 1)]
        return [Batch(batch.x[a:b], batch.y[a:b]) for a, b in pairwise(ends)]

    def full_batch(self) -> Batch:
        return self._data

    def batches(self, *, seed: int, batch_size: int = 0) -> Batches | None:
        n = len(self._data.x)
        if batch_size in (0, n):
            return None
        return Batches(self._data, batch_size, seed=seed)

    def evaluate(self, w: Tensor, operator: CompiledOperator | None = None) -> Evaluation:
        x, y = self._data
        if operator is not None and self._evaluated is None:
            right = int((operator.predictions == y).sum()) if self.classes else 0
            return Evaluation(float(operator.value), right / len(y) if self.classes else math.nan)
        return self._evaluate(w, Batch(x[: self._evaluated], y[: self._evaluated]))

    def evaluate_held_out(self, w: Tensor) -> Evaluation:
        return self._evaluate(w, self.held_out) if self.held_out else UNKNOWN

    def domain(self) -> Domain | None:
        w = self._own_weights.to(self.device)  # any show how many outputs there are
        return domain_of(self.predict, w, self._data, self.held_out, self.classes)

    def _evaluate(self, w: Tensor, batch: Batch) -> Evaluation:
        loss, right = 0.0, 0
        with torch.no_grad():
            for piece in self._pieces(batch):
                outputs = self.predict(w, piece.x)
                loss += float(self._loss(outputs, piece.y)) * len(piece.x) / len(batch.x)
                right += int((outputs.argmax(-1) == piece.y).sum()) if self.classes else 0
        return Evaluation(loss, right / batch.y.numel() if self.classes else math.nan)


def _moved(batch: Batch, device: torch.device) -> Batch:
    return Batch(batch.x.to(device), batch.y.to(device))


def _flatten(module: nn.Module) -> Tensor:
    return torch.cat([p.detach().reshape(-1) for p in module.parameters() if p.requires_grad])


def _loss_function(loss: str | LossFunction, y: Tensor) -> LossFunction:
    """The loss by name, with class targets turned into one-hot rows once for squared errors."""
    if callable(loss):
        return loss
    if loss == "cross-entropy":
        return _cross_entropy
    if loss not in ("mse", "half-mse"):
        raise ValueError(f"loss must be mse, half-mse, cross-entropy or a function, got {loss!r}")
    factor = 1.0 if loss == "mse" else 0.5
    classes = 0 if y.is_floating_point() else int(y.max()) + 1

    def squared_error(outputs: Tensor, target: Tensor) -> Tensor:
        if classes:
            target = one_hot(target, outputs.shape[-1]).to(outputs.dtype)
        if outputs.shape != target.shape:
            raise ValueError(
                f"outputs {tuple(outputs.shape)} and targets {tuple(target.shape)} differ in shape"
            )
        # mean over examples AND outputs, as in the paper's code
        return factor * (outputs - target).square().mean()

    return squared_error


def _cross_entropy(outputs: Tensor, target: Tensor) -> Tensor:
    """Mean over examples, and over the time of (n, time, classes)."""
    return cross_entropy(outputs.flatten(0, -2), target.flatten())
