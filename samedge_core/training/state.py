"""TrainState: everything that decides the next step, so that a run can be stopped and resumed."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from samedge_core.curvature.differentiation import recording
from samedge_core.curvature.plain_tracker import PlainTracker
from samedge_core.curvature.settings import MEASURED
from samedge_core.curvature.tracker import SharpnessTracker
from samedge_core.problems.batches import Batch, Batches
from samedge_core.problems.problem import Problem
from samedge_core.theory.rules import Hyperparameters
from samedge_core.training import packing
from samedge_core.training.cadence import Cadence
from samedge_core.training.config import RunConfig

_TORCH = b"PK"  # how a state of the first version begins, written by torch.save
# after a gap, a model that is off by a tenth is repaired with half the products of a search
AFTER_GAPS = MEASURED._replace(invalid=0.2)
_LATER = ("diverged", "converged", "previous", "hops")  # earlier versions have not kept these


@dataclass
class TrainState:
    """The only mutable state of a run.

    Attributes:
        step: steps taken so far; w (P,) is the iterate after them, velocity (P,) its momentum.
        fixed: the batch on which everything is measured, where that is not the step's own.
        first_loss, first_grad_norm: at step 0, what divergence and convergence are judged against.
        diverged, converged: how many steps in a row, up to this one, looked like it.
        previous: gradient (P,) of the step before; None at step 0.
        hops: whether each of the last measured steps was a hop, oldest first.
    """

    step: int
    w: Tensor
    velocity: Tensor
    hyper: Hyperparameters
    batches: Batches | None
    tracker: SharpnessTracker | PlainTracker
    cadence: Cadence
    fixed: Batch | None = None
    first_loss: float | None = None
    first_grad_norm: float | None = None
    diverged: int = 0
    converged: int = 0
    previous: Tensor | None = None
    hops: tuple[bool, ...] = ()

    @classmethod
    @recording()
    def initial(cls, config: RunConfig, problem: Problem) -> TrainState:
        """Return step 0 of a run; weights, batches and tracker have independent seeds."""
        w = problem.init(seed=config.seed)
        size = config.batch_size if config.measure_on == "fixed" else 0
        tracked: dict[str, Any] = {"top_k": config.top_k, "seed": config.seed + 2}
        if problem.arithmetic == "plain":
            tracker = PlainTracker(**tracked)
        else:
            gaps = config.cadence == "adaptive" and not config.batch_size
            tracker = SharpnessTracker(**tracked, settings=AFTER_GAPS if gaps else MEASURED)
        measured = problem.batches(seed=config.seed + 3, batch_size=size)
        return cls(
            step=0,
            w=w,
            velocity=torch.zeros_like(w),
            hyper=config.hyperparameters,
            batches=problem.batches(seed=config.seed + 1, batch_size=config.batch_size),
            tracker=tracker,
            cadence=Cadence(config),
            fixed=measured.next() if measured else None,
        )

    def pack(self) -> bytes:
        """Return the state as bytes that hold no code, for `unpack`."""
        state = {name: getattr(self, name) for name in ("step", "w", "velocity")}
        state["hyper"] = asdict(self.hyper)
        state["batches"] = self.batches.state() if self.batches else None
        state |= {"tracker": self.tracker.state(), "cadence": self.cadence.state()}
        state |= {"first_loss": self.first_loss, "first_grad_norm": self.first_grad_norm}
        state |= {name: getattr(self, name) for name in _LATER}
        return packing.pack(_mapped(state, Tensor, lambda tensor: tensor.detach().cpu().numpy()))

    @classmethod
    def unpack(cls, packed: bytes, config: RunConfig, problem: Problem) -> TrainState:
        """Return the state that `pack` wrote, for the same configuration and problem.

        Raises:
            PackError: the bytes are no packed state, damaged, or of a model of another size.
        """
        if packed.startswith(_TORCH):
            saved = torch.load(io.BytesIO(packed), weights_only=True)
        else:
            # arrays of a file can't be written to
            whole = packing.unpack(packed)
            saved = _mapped(whole, np.ndarray, lambda array: torch.from_numpy(array.copy()))
        for name in ("w", "velocity"):
            if (got := tuple(saved[name].shape)) != (problem.size,):
                raise packing.PackError(f"{name} must have {problem.size:,} entries, got {got}")
        state = cls.initial(config, problem)
        if state.batches:
            state.batches.restore(saved["batches"])
        state.tracker.restore(saved["tracker"])
        state.cadence.restore(saved["cadence"])
        state.hyper = Hyperparameters(**saved["hyper"])
        state.w, state.velocity = (saved[n].to(problem.device) for n in ("w", "velocity"))
        for name in ("step", "first_loss", "first_grad_norm"):
            setattr(state, name, saved[name])
        for name in _LATER:
            setattr(state, name, saved.get(name, getattr(state, name)))
        if state.previous is not None:
            state.previous = state.previous.to(problem.device)
        return state


def _mapped(tree: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """A copy of nested values with those of one kind changed."""
    if isinstance(tree, kind):
        return change(tree)
    if isinstance(tree, Mapping):
        return {key: _mapped(value, kind, change) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(_mapped(value, kind, change) for value in tree)
    return tree
