"""Many cells of one small problem, trained together in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.linalg import vector_norm

from samedge_core.problems.memory import memory
from samedge_core.problems.own_data import contents_of
from samedge_core.problems.problem import ModuleProblem
from samedge_core.sweeps.ensembles.grouping import check_together
from samedge_core.sweeps.ensembles.losses import Losses
from samedge_core.sweeps.ensembles.networks import Networks
from samedge_core.sweeps.ensembles.sharpness import leading
from samedge_core.sweeps.fate import End, Samples, judge, sample_steps
from samedge_core.sweeps.rows import Row
from samedge_core.theory.rules import RULES
from samedge_core.training import stop as stops
from samedge_core.training.config import RunConfig
from samedge_core.training.fitting import check_fits
from samedge_core.training.loop import CONVERGED_FACTOR, DIVERGED_FACTOR, build_problem
from samedge_core.training.optimizers import UPDATES, Moments
from samedge_core.training.stop import Stop

NOISE = 0.1  # of the vector from which a sharpness starts: brings in what leads by now

Numbers = NDArray[np.float64]

_EACH = ("cells", "_eta", "_rho", "_beta", "loss", "grad_norm", "_first_loss", "_first_norm")
"""The arrays (C,) of an Ensemble."""


def run_ensemble(
    configs: Sequence[RunConfig],
    samples: int,
    *,
    device: str | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> list[Row]:
    """Return the Rows of cells that make one of `groups`; `cell` is their index in `configs`.

    A cell is trained, measured and ended as in `run_cell`. One that has diverged or converged
    leaves the others, on which it has no influence.

    Args:
        device: by default that of `configs`.
        stop: asked before each step; once it is true, cells that have not ended have no Row.

    Raises:
        ConfigError: this machine lacks the device or the memory.
        ValueError: the cells can't advance together.
    """
    ensemble = Ensemble(configs, samples, device=device)
    while len(ensemble.cells) and not stop():
        ensemble.advance()
    return sorted(ensemble.rows, key=lambda row: row.cell)


class Ensemble:
    """C cells that advance together, and the Rows of those that have ended.

    Attributes:
        cells: their indices in `configs`, (C,); a single one stands there twice.
        step: steps taken; w are the iterates after them, in the parts of `model`.
        loss, grad_norm: (C,), at the iterate before.
        rows: of the cells that have ended.
    """

    def __init__(
        self, configs: Sequence[RunConfig], samples: int, *, device: str | None = None
    ) -> None:
        check_together(configs)
        first = configs[0].replace(device=device or configs[0].device)
        check_fits(first, contents_of(first.options), memory())
        self._configs, self._steps, self.step = configs, first.steps, 0
        problem = build_problem(first, "plain")  # nothing of it is compiled
        network = isinstance(problem, ModuleProblem) and problem.compiled is not None
        self.model = Networks(cast(ModuleProblem, problem)) if network else Losses(problem)
        # cells with the same kind of update side by side: each kind is then a slice
        self.cells = _pair(np.array(sorted(range(len(configs)), key=lambda i: _kind(configs[i]))))
        self._kinds = self._slices()
        hyper = [configs[i].hyperparameters for i in self.cells]
        self._eta, self._rho, self._beta = (
            np.array([getattr(h, name) for h in hyper]) for name in ("eta", "rho", "beta")
        )
        w = _initial([configs[i] for i in self.cells]).to(problem.device)
        self.w = self.model.packed(w)
        self._velocity = [torch.zeros_like(part) for part in self.w]
        self.loss = self.grad_norm = self._first_loss = self._first_norm = np.zeros(len(w))
        self._due = {t: k for k, t in enumerate(sample_steps(self._steps, samples).tolist())}
        # in the order of Samples; the last place is for a cell that converges between two
        self._samples = np.full((len(Samples._fields), len(configs), len(self._due) + 1), np.nan)
        noise = torch.randn(w.shape[1], generator=torch.Generator().manual_seed(0)).to(w)
        self._noise = noise / noise.norm()  # one for all: no cell depends on who the others are
        self._leading = self._noise.expand_as(w)
        self._along = w.new_empty(0)  # <g, v1> of all cells one step after a sample, else empty
        self._seconds = np.zeros(len(configs))
        self.rows: list[Row] = []

    @torch.inference_mode()
    def advance(self) -> None:
        """Measure at w_t where that is due, then take the step to w_t+1."""
        began, cells, place = time.perf_counter(), self.cells, self._due.get(self.step)
        point = self._finite(self.model.at(self.w, keep=place is not None))
        if len(self.cells):
            if len(self._along):
                self._flip(torch.cat(point.g, 1))
            if place is not None:
                found = self._sample(point, np.arange(len(self.cells)), place)
                self._leading, self._along = found, (found * torch.cat(point.g, 1)).sum(1)
            still = self.grad_norm <= CONVERGED_FACTOR * self._first_norm
            before = torch.cat(self.w, 1) if still.any() else None
            for kind, at in self._kinds:
                self._take(kind, at, point.g)
            self.step += 1
            self._end(still, before, sampled=place is not None)
        np.add.at(self._seconds, cells, (time.perf_counter() - began) / len(cells))
        if self.step == self._steps:
            self._leave(np.ones(len(self.cells), bool), lambda k: stops.step_cap(self._steps))

    def _finite(self, point: Any) -> Any:
        """`point` without the cells whose loss or gradient is not finite: they end."""
        values = torch.stack([point.loss, _norm(point.g)])
        loss, grad_norm = values.cpu().double().numpy()
        finite = np.isfinite(loss) & np.isfinite(grad_norm)
        staying = np.arange(len(finite))
        if not finite.all():
            self._leave(~finite, lambda k: stops.left_range(self.step))
            staying = _pair(finite.nonzero()[0])
            point = point.select(self._tensor(staying))
        self.loss, self.grad_norm = loss[staying], grad_norm[staying]
        if self.step == 0:
            self._first_loss, self._first_norm = self.loss, self.grad_norm
        return point

    def _flip(self, g: Tensor) -> None:
        """Record, one step after a sample, which gradients (C, P) have turned along its v1."""
        product = (self._along * (self._leading * g).sum(1)).cpu().double().numpy()
        flipped = np.where(np.isnan(product), np.nan, product < 0)
        self._samples[-1, self.cells, self._due[self.step - 1]] = flipped
        self._along = g.new_empty(0)

    def _sample(self, point: Any, at: NDArray[np.int64], place: int) -> Tensor:
        """Record a sample of the cells `at` at `point`, and return their v1 (k, P)."""
        found = leading(point, self._leading[self._tensor(at)] + NOISE * self._noise)
        columns = (found.value.abs(), found.converged, _norm(point.g), *self.model.evaluate(point))
        cells = self.cells[at]
        self._samples[0, cells, place] = self.step
        for column, values in zip(self._samples[1:], columns, strict=False):
            if values is not None:
                column[cells, place] = values.cpu().double().numpy()
        return found.vector

    def _take(self, kind: str, at: slice, g: list[Tensor]) -> None:
        """Step from w_t to w_t+1 with the cells `at`, from all gradients; in place."""
        w, g = ([part[at] for part in parts] for parts in (self.w, g))
        eta = self._column(self._eta[at])
        if RULES[kind].gradients == 1:
            hyper: Any = _Columns(eta, self._column(self._rho[at]), self._column(self._beta[at]))
            for x, y, velocity in zip(w, g, self._velocity, strict=True):
                taken = UPDATES[kind](x, y, Moments(velocity[at]), hyper, _no_gradient)
                x.copy_(taken.w)
                velocity[at] = taken.moments.first
            return
        reach = RULES[kind].reach
        assert reach is not None  # all with a second gradient take it at w + s g
        s = self._column(reach(self._rho[at], self.grad_norm[at]))
        there = self.model.at([torch.addcmul(x, s, y) for x, y in zip(w, g, strict=True)])
        for x, y in zip(w, there.g, strict=True):
            x.addcmul_(eta, y, value=-1)

    def _end(self, still: NDArray[np.bool_], before: Tensor | None, *, sampled: bool) -> None:
        """End the cells whose step was the last, by the rules of the loop.

        Args:
            still: which have next to no gradient (C,); before: w_t (C, P), where there are any.
        """
        step, loss, norm = self.step - 1, self.loss, self.grad_norm
        diverged = loss > DIVERGED_FACTOR * np.maximum(1, self._first_loss)
        if before is not None:
            moved = vector_norm(torch.cat(self.w, 1) - before, dim=1).cpu().double().numpy()
            still &= ~diverged & (moved <= 2 * self._eta * CONVERGED_FACTOR * self._first_norm)
            if still.any() and not sampled:
                at = _pair(still.nonzero()[0])
                cells = self._tensor(at)
                self._sample(self.model.at([part[cells] for part in self.w], keep=True), at, -1)
        if not (diverged | still).any():
            return

        def why(k: int) -> Stop:
            return stops.diverged(step, loss[k]) if diverged[k] else stops.converged(step, norm[k])

        self._leave(diverged | still, why)

    def _leave(self, which: NDArray[np.bool_], why: Callable[[int], Stop]) -> None:
        """Make the Rows of `which` (C,) cells, and go on without them."""
        for i, k in {int(self.cells[k]): int(k) for k in which.nonzero()[0]}.items():
            values = self._samples[:, i, ~np.isnan(self._samples[0, i])]
            samples = Samples(values[0].astype(np.int64), *values[1:])
            samples = samples._replace(converged=samples.converged == 1)
            end = End(float(self.loss[k]), float(self.grad_norm[k]), float(self._seconds[i]))
            row = judge(self._configs[i], samples, why(k), end)
            self.rows.append(replace(row, cell=i))
        staying = _pair((~which).nonzero()[0])
        for name in _EACH:
            setattr(self, name, getattr(self, name)[staying])
        at = self._tensor(staying)
        self.w, self._velocity = (
            [part[at] for part in parts] for parts in (self.w, self._velocity)
        )
        self._leading = self._leading[at]
        self._along = self._along[at] if len(self._along) else self._along
        self._kinds = self._slices()

    def _slices(self) -> list[tuple[str, slice]]:
        """The kinds of update, and which of the cells have them."""
        kinds = [_kind(self._configs[i]) for i in self.cells]
        return [
            (k, slice(kinds.index(k), kinds.index(k) + kinds.count(k)))
            for k in dict.fromkeys(kinds)
        ]

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values).to(self._leading.device)

    def _column(self, values: Numbers) -> Tensor:
        return torch.from_numpy(values).to(self._leading)[:, None]


class _Columns(NamedTuple):
    """The settings of cells with one rule, (k, 1) each, as `UPDATES` takes them."""

    eta: Tensor
    rho: Tensor
    beta: Tensor
    weight_decay: float = 0.0


def _pair(places: NDArray[np.int64]) -> NDArray[np.int64]:
    """A single cell twice, else as it is: sums over one alone are rounded in another way, and so
    would the row of the last one that advances depend on when the others left."""
    return places.repeat(2) if len(places) == 1 else places


def _norm(parts: list[Tensor]) -> Tensor:
    """The norms (C,) of vectors in parts."""
    norms = [vector_norm(part, dim=1) for part in parts]
    return norms[0] if len(norms) == 1 else vector_norm(torch.stack(norms), dim=0)


def _no_gradient(w: Tensor) -> Tensor:
    raise AssertionError("an update with one gradient asks for no other")


def _kind(config: RunConfig) -> str:
    """The rule whose update a cell has: that of GD where a radius is 0."""
    return "gd" if RULES[config.rule].gradients > 1 and config.rho == 0 else config.rule


def _initial(configs: Sequence[RunConfig]) -> Tensor:
    """The initial weights of each, (C, P), in main memory."""
    drawn: dict[RunConfig, Tensor] = {}
    keys = [config.replace(rule="gd", eta=1, rho=0, beta=0, device="cpu") for config in configs]
    for key in keys:
        if key not in drawn:
            drawn[key] = build_problem(key, "plain").init(seed=key.seed)
    return torch.stack([drawn[key] for key in keys])
