"""Inspection: the loss around one step of a run, and its data there; importable without torch.

`samedge_core.training.inspect_step` makes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from samedge_core.curvature.spectral_density import Spectrum
from samedge_core.theory.rules import RULES, Hyperparameters
from samedge_core.training.batch_sharpness import BatchSharpness
from samedge_core.training.edge_test import EdgeTest
from samedge_core.training.portrait import Portrait

Array = NDArray[np.float64]
Place = Literal["iterate", "perturbed", "next"]
Along = Literal["v1", "g"]


@dataclass(frozen=True)
class Mark:
    """A point of the step as a slice shows it: by its projection on the line.

    Attributes:
        place: the iterate w, the perturbed point at which SAM takes its gradient (w + rho u; for
            USAM w + rho g), or the next iterate.
        offset: <point - w, d>, signed; where on the line the point is drawn.
        on_line: the loss there.
        loss: the loss at the point itself.
        beside: how far the point is from the line; in the unit of the offsets, a distance in w.
    """

    place: Place
    offset: float
    on_line: float
    loss: float
    beside: float


@dataclass(frozen=True)
class Slice:
    """The loss along a line through w, with unit direction d.

    Attributes:
        along: d is "v1", the leading eigenvector, with the sign that gives <g, v1> >= 0 (of an edge
            operator, the direction P^-1/2 v1 in the weights); or "g", the gradient's direction u.
        offsets, losses: t and L(w + t d), shape (n,).
        loss, slope, curvature: L(w), <g, d> and d^T H d, of which the quadratic model is made.
        marks: points of the step.

    >>> line = Slice("g", np.array([0.0, 2.0]), np.array([1.0, 7.5]), 1.0, 3.0, 0.5, ())
    >>> line.model.tolist()
    [1.0, 8.0]
    """

    along: Along
    offsets: Array
    losses: Array
    loss: float
    slope: float
    curvature: float
    marks: tuple[Mark, ...]

    @property
    def model(self) -> Array:
        """The local quadratic model L(w) + t <g, d> + t^2/2 d^T H d at the offsets, (n,)."""
        t = self.offsets
        return self.loss + t * self.slope + t**2 / 2 * self.curvature


@dataclass(frozen=True)
class Input:
    """A training example and the prediction of the network at w.

    Attributes:
        index: of the example, from 0.
        picture: uint8, (rows, columns) or (rows, columns, 3).
        label, predicted: classes.
        score, label_score: of the class `predicted` and of `label`; see `Inputs.scores`.
    """

    index: int
    picture: NDArray[np.uint8]
    label: int
    predicted: int
    score: float
    label_score: float

    @property
    def right(self) -> bool:
        """Whether the predicted class is the label."""
        return self.predicted == self.label


@dataclass(frozen=True)
class Inputs:
    """Some of the training examples, wrongly classified ones first.

    Attributes:
        scores: "probability", the softmax of the outputs, for cross-entropy; "output" for squared
            errors: the outputs themselves, which are trained towards 1 for the label and 0
            elsewhere.
        looked_at, wrong: how many examples were classified, from the first on, and how many of
            them wrongly.
    """

    scores: Literal["probability", "output"]
    looked_at: int
    wrong: int
    shown: tuple[Input, ...]


@dataclass(frozen=True)
class Fit:
    """The function f that a network of one input and one output computes, and the step's change.

    Attributes:
        x, y: the training examples, in the order of x, (n,).
        at: inputs, evenly spaced from the first to the last example, (m,).
        values: f there at w, (m,).
        change: f at the next iterate minus f at w, (m,).
        along_v1: the part of the change along v1, to first order: <w' - w, v1> J v1 with the
            Jacobian J of f at w, (m,).
    """

    x: Array
    y: Array
    at: Array
    values: Array
    change: Array
    along_v1: Array


@dataclass(frozen=True)
class Inspection:
    """The iterate w before the update of `step`, that update, and the loss around it.

    All on what the row of the step is measured on (the step's batch or a fixed one; the Hessian on
    `RunConfig.hessian_share` of it). Loss, gradient norm and eigenvalues are those of the row, bit
    for bit, where the run measured them. Under a preconditioned rule, eigenvalues, alignments and
    spectrum are those of its edge operator.

    Attributes:
        hyper: in force at the step, changes made there included.
        eigenvalues, residuals: as the tracker gives them, largest magnitude first, (k,).
        alignments: |<g, v_i>|/||g||, (k,), g as it is in the operator's coordinates; NaN at g = 0.
        slices: along v1 and along g; without the latter at g = 0.
        inputs: of an image problem, else None.
        fit: of a network of one input and one output, else None.
        spectrum: unless the inspection was made without.
        batch_sharpness, edge_test, portrait: where they were asked for.
    """

    step: int
    hyper: Hyperparameters
    loss: float
    grad_norm: float
    eigenvalues: Array
    residuals: Array
    converged: bool
    alignments: Array
    slices: tuple[Slice, ...]
    inputs: Inputs | None = None
    fit: Fit | None = None
    spectrum: Spectrum | None = None
    batch_sharpness: BatchSharpness | None = None
    edge_test: EdgeTest | None = None
    portrait: Portrait | None = None

    @property
    def multipliers(self) -> Array:
        """The factor (k,) by which the step multiplies the distance along each eigenvector, in the
        local quadratic model; beyond 1 in magnitude that direction is unstable. NaN where the
        eigenvalue is not known."""
        known = np.isfinite(self.eigenvalues)
        found, rule = np.where(known, self.eigenvalues, 0.0), RULES[self.hyper.rule]
        if rule.preconditioned:
            values = rule.multiplier(self.hyper, found)
        else:
            values = self.hyper.multiplier(found, self.grad_norm)
        return np.where(known, values, np.nan)  # pyright: ignore[reportCallIssue, reportArgumentType]

    @property
    def edge(self) -> float:
        """The edge of the rule in force, at this gradient norm; of a preconditioned rule, its
        threshold."""
        rule, norm = RULES[self.hyper.rule], self.grad_norm
        edge = rule.threshold(self.hyper) if rule.preconditioned else self.hyper.edge(norm)
        return float(edge)  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True)
class SpectrumAtStep:
    """The parts of an Inspection that its spectrum is drawn with; small, so the server keeps it."""

    step: int
    hyper: Hyperparameters
    edge: float
    eigenvalues: Array
    spectrum: Spectrum

    @classmethod
    def of(cls, made: Inspection) -> SpectrumAtStep | None:
        """Return it for an inspection; None if that has no spectrum."""
        if made.spectrum is None:
            return None
        return cls(made.step, made.hyper, made.edge, made.eigenvalues, made.spectrum)
