"""The peers: other people's code for the leading eigenvalue, each as its documentation uses it.

All are given float32 weights, all the data at once, and a seeded random start. Checks that a caller
can switch off are off. Whatever can be built once for all weights is built outside the timing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import hessian_eigenthings  # pyright: ignore[reportMissingImports]
import numpy as np
import pyhessian  # pyright: ignore[reportMissingImports]
import torch
from curvlinops import HessianLinearOperator
from hessian_eigenthings.loss_fns import supervised_loss  # pyright: ignore[reportMissingImports]
from torch import Tensor

from benchmarks.curvature.answer import Answer, Measure
from benchmarks.curvature.arpack import Product, largest, on_arrays
from benchmarks.curvature.counting import Counted, count_backward
from benchmarks.curvature.power import paper_sharpness
from benchmarks.curvature.window import Subject

__all__ = ["curvlinops_eigsh", "eigenthings", "graph_eigsh", "paper", "pyhessian_power"]


def curvlinops_eigsh(tolerance: float) -> Callable[[Subject], Measure]:
    """SciPy's ARPACK on curvlinops' operator, both in float32."""

    def prepare(subject: Subject) -> Measure:
        plain = subject.plain
        operator = HessianLinearOperator(
            plain.module,
            plain.criterion,
            plain.parameters,
            [(plain.x, plain.y)],
            check_deterministic=False,
            num_data=len(plain.x),
        ).to_scipy(np.dtype(np.float32))
        return lambda w, seed: _eigsh(operator.matvec, plain.size, tolerance, seed)

    return prepare


def graph_eigsh(tolerance: float) -> Callable[[Subject], Measure]:
    """SciPy's ARPACK on products from one retained graph: no library's, but the obvious best."""

    def prepare(subject: Subject) -> Measure:
        plain = subject.plain
        return lambda w, seed: _eigsh(on_arrays(plain.hessian()), plain.size, tolerance, seed)

    return prepare


def _eigsh(matvec: Product, size: int, tolerance: float, seed: int) -> Answer:
    counted = Counted(matvec)
    value = largest(counted, size, dtype=np.float32, tolerance=tolerance, seed=seed)
    return Answer(value, counted.calls, True)  # else ARPACK raises, and the table shows that


def eigenthings(steps: int) -> Callable[[Subject], Measure]:
    """hessian-eigenthings: a fixed number of Lanczos steps."""

    def prepare(subject: Subject) -> Measure:
        plain = subject.plain
        hessian = hessian_eigenthings.HessianOperator(
            plain.module, [(plain.x, plain.y)], supervised_loss(plain.criterion)
        )

        def measure(w: Tensor, seed: int) -> Answer:
            counted = Counted(hessian.matvec)
            operator = hessian_eigenthings.LambdaOperator(counted, plain.size)
            found = hessian_eigenthings.lanczos(operator, k=1, max_iter=steps, seed=seed)
            value = float(found.eigenvalues[0].abs())
            return Answer(value, counted.calls, bool(found.converged[0]))

        return measure

    return prepare


def pyhessian_power(subject: Subject) -> Measure:
    """PyHessian: power iteration until the eigenvalue changes by less than 0.1 %."""
    plain, most = subject.plain, 100

    def measure(w: Tensor, seed: int) -> Answer:
        torch.manual_seed(seed)  # it draws its start from the global generator
        with warnings.catch_warnings():
            # torch warns of backward(create_graph=True), which is how PyHessian makes its graph
            warnings.simplefilter("ignore", UserWarning)
            made = pyhessian.hessian(
                plain.module, plain.criterion, data=(plain.x, plain.y), cuda=False
            )
        counted = count_backward(made.gradsH[0])
        values, _ = made.eigenvalues(maxIter=most, tol=1e-3, top_n=1)
        return Answer(abs(values[0]), counted.calls, counted.calls < most)

    return measure


def paper(subject: Subject) -> Measure:
    """The paper's power iteration, on plain torch gradients."""

    def measure(w: Tensor, seed: int) -> Answer:
        return paper_sharpness(subject.plain.gradient_at, w, seed=seed)

    return measure
