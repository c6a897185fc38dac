"""TrainState: everything that decides the next step, so that a run can be left and taken up."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from samedge_core.curvature.tracker import SharpnessTracker
from samedge_core.problems.batches import Batch, Batches
from samedge_core.problems.problem import Problem
from samedge_core.rules import Hyperparameters
from samedge_core.training.cadence import Cadence
from samedge_core.training.config import RunConfig

__all__ = ["TrainState"]


@dataclass
class TrainState:
    """The only mutable state of a run.

    Attributes:
        step: steps taken so far; w (P,) is the iterate after them, velocity (P,) its momentum.
        fixed: the batch on which everything is measured, where that is not the step's own.
        first_loss, first_grad_norm: at step 0, what divergence and convergence are judged against.
    """

    step: int
    w: Tensor
    velocity: Tensor
    hyper: Hyperparameters
    batches: Batches | None
    tracker: SharpnessTracker
    cadence: Cadence
    fixed: Batch | None = None
    first_loss: float | None = None
    first_grad_norm: float | None = None

    @classmethod
    def initial(cls, config: RunConfig, problem: Problem) -> TrainState:
        """Step 0 of a run; independent seeds for weights, batches and the tracker's noise."""
        w = problem.init(seed=config.seed)
        size = config.batch_size if config.measure_on == "fixed" else 0
        measured = problem.batches(seed=config.seed + 3, batch_size=size)
        return cls(
            step=0,
            w=w,
            velocity=torch.zeros_like(w),
            hyper=config.hyperparameters,
            batches=problem.batches(seed=config.seed + 1, batch_size=config.batch_size),
            tracker=SharpnessTracker(top_k=config.top_k, seed=config.seed + 2),
            cadence=Cadence(config),
            fixed=measured.next() if measured else None,
        )

    def pack(self) -> bytes:
        """The state as bytes; `unpack` takes them."""
        buffer = io.BytesIO()
        torch.save(
            {
                "step": self.step,
                "w": self.w.cpu(),
                "velocity": self.velocity.cpu(),
                "hyper": asdict(self.hyper),
                "batches": self.batches.state() if self.batches else None,
                "tracker": self.tracker.state(),
                "cadence": self.cadence.state(),
                "first_loss": self.first_loss,
                "first_grad_norm": self.first_grad_norm,
            },
            buffer,
        )
        return buffer.getvalue()

    @classmethod
    def unpack(cls, packed: bytes, config: RunConfig, problem: Problem) -> TrainState:
        """The state that `pack` wrote, for the same configuration and problem."""
        saved = torch.load(io.BytesIO(packed), weights_only=True)
        state = cls.initial(config, problem)
        if state.batches:
            state.batches.restore(saved["batches"])
        state.tracker.restore(saved["tracker"])
        state.cadence.restore(saved["cadence"])
        state.hyper = Hyperparameters(**saved["hyper"])
        state.w, state.velocity = (saved[n].to(problem.device) for n in ("w", "velocity"))
        for name in ("step", "first_loss", "first_grad_norm"):
            setattr(state, name, saved[name])
        return state
