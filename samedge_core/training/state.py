"""TrainState: everything that decides the next step, so that a run can be stopped and resumed."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
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
from samedge_core.theory.rules import RULES, Hyperparameters
from samedge_core.training import packing
from samedge_core.training.cadence import Cadence
from samedge_core.training.config import RunConfig
from samedge_core.training.optimizers import Moments
from samedge_core.training.schedule import Schedule

_TORCH = b"PK"  # how a state of the first version begins, written by torch.save
# after a gap, a model that is off by a tenth is repaired with half the products of a search
AFTER_GAPS = MEASURED._replace(invalid=0.2)
# earlier versions have not kept these
_LATER = (
    "diverged",
    "converged",
    "previous",
    "hops",
    "second",
    "seen",
    "moments_of",
    "sharpness_at",
    "curvatures",
)


@dataclass
class TrainState:
    """The only mutable state of a run.

    Attributes:
        step: steps taken so far; w (P,) is the iterate after them.
        velocity, second, seen: the moments: see `optimizers.Moments`.
        moments_of: the kind of rule (`Rule.moments`) to which these belong.
        hyper: the settings as they were set; `in_force` has them as the next step takes them.
        schedule: how eta moves.
        tracker, edge_tracker: of H and of the edge operator of preconditioned rules; `fresh` is the
            state of the second before its first measurement.
        curvatures: of H along the edge operator's leading direction, at even and odd steps, as
            SAM's factor has shown it.
        sharpness_at: step from which on the sharpness is due beside the edge operator.
        fixed: the batch, or all the data, on which everything is measured, where that is not the
            step's own.
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
    schedule: Schedule
    edge_tracker: SharpnessTracker | PlainTracker
    fresh: dict[str, Any]
    fixed: Batch | None = None
    first_loss: float | None = None
    first_grad_norm: float | None = None
    diverged: int = 0
    converged: int = 0
    previous: Tensor | None = None
    hops: tuple[bool, ...] = ()
    second: Tensor | None = None
    seen: int = 0
    moments_of: str = ""
    sharpness_at: int = 0
    curvatures: tuple[float, float] = (0.0, 0.0)

    @classmethod
    @recording()
    def initial(cls, config: RunConfig, problem: Problem) -> TrainState:
        """Return step 0 of a run; weights, batches and tracker have independent seeds."""
        w = problem.init(seed=config.seed)
        size = config.batch_size if config.measure_on == "fixed" else 0

        def tracker(seed: int) -> SharpnessTracker | PlainTracker:
            if problem.arithmetic == "plain":
                return PlainTracker(top_k=config.top_k, seed=seed)
            gaps = config.cadence == "adaptive" and not config.batch_size
            settings = AFTER_GAPS if gaps else MEASURED
            return SharpnessTracker(top_k=config.top_k, seed=seed, settings=settings)

        measured = problem.batches(seed=config.seed + 3, batch_size=size)
        edge_tracker = tracker(config.seed + 5)
        batches = problem.batches(seed=config.seed + 1, batch_size=config.batch_size)
        whole = problem.full_batch() if batches and config.measure_on == "all" else None
        return cls(
            step=0,
            w=w,
            velocity=torch.zeros_like(w),
            hyper=config.hyperparameters,
            batches=batches,
            tracker=tracker(config.seed + 2),
            cadence=Cadence(config),
            schedule=config.step_sizes,
            edge_tracker=edge_tracker,
            fresh=edge_tracker.state(),
            moments_of=RULES[config.rule].moments,
            fixed=measured.next() if measured else whole,
        )

    @property
    def in_force(self) -> Hyperparameters:
        """The settings of the next step."""
        if self.schedule.constant:
            return self.hyper
        return replace(self.hyper, eta=self.hyper.eta * float(self.schedule.share(self.step)))

    @property
    def moments(self) -> Moments:
        """What the next update takes up."""
        return Moments(self.velocity, self.second, self.seen)

    def keep(self, moments: Moments) -> None:
        """Take the moments after an update."""
        self.velocity, self.second, self.seen = moments

    def change(self, hyper: Hyperparameters) -> None:
        """Set what is in force from the next step on. Under another rule the edge operator is
        another one; and moments of another kind start at zero."""
        if hyper.rule != self.hyper.rule:
            self.edge_tracker.restore(self.fresh)
            kind = RULES[hyper.rule].moments
            if kind and kind != self.moments_of:
                if self.moments_of:
                    self.keep(Moments(torch.zeros_like(self.velocity)))
                self.moments_of = kind
        self.hyper = hyper
        self.cadence.changed(self.step)

    def pack(self) -> bytes:
        """Return the state as bytes that hold no code, for `unpack`."""
        state = {name: getattr(self, name) for name in ("step", "w", "velocity")}
        state["hyper"] = asdict(self.hyper)
        state["batches"] = self.batches.state() if self.batches else None
        state |= {"tracker": self.tracker.state(), "cadence": self.cadence.state()}
        state["edge_tracker"] = self.edge_tracker.state()
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
        if "edge_tracker" in saved:
            state.edge_tracker.restore(saved["edge_tracker"])
        state.cadence.restore(saved["cadence"])
        state.hyper = Hyperparameters(**saved["hyper"])
        state.w, state.velocity = (saved[n].to(problem.device) for n in ("w", "velocity"))
        for name in ("step", "first_loss", "first_grad_norm"):
            setattr(state, name, saved[name])
        for name in _LATER:
            setattr(state, name, saved.get(name, getattr(state, name)))
        for name in ("previous", "second"):
            if (vector := getattr(state, name)) is not None:
                setattr(state, name, vector.to(problem.device))
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
