"""The whole spectrum of a Hessian at one w: exact for small P, by stochastic Lanczos otherwise.

Exact: the P x P matrix from P products with unit vectors, and its eigenvalues in float64.

Stochastic Lanczos quadrature, for P too large for that: for a random z with entries +-1/sqrt(P),
E[z^T f(H) z] = tr f(H) / P for every function f, that is, the mean of f over the eigenvalues. Some
steps of Lanczos from z give a tridiagonal T whose eigenvalues theta_i and squared first eigenvector
components tau_i are Gauss's quadrature for z^T f(H) z: sum_i tau_i f(theta_i) is exact for
polynomials of degree up to 2 steps - 1. So (theta, tau) is the distribution of the eigenvalues as
seen from z, blurred where they lie densely, sharp for those that stand apart; the mean over a few
probes z estimates that of all, and their scatter gives its error.

Choices, and why:

- Full reorthogonalisation, twice. Without it, rounding errors let Lanczos find outlying
  eigenvalues again and again; the weights remain right (Lin, Saad, Yang), but the copies take steps
  from the bulk. With some tens of steps it costs less than the products.
- Signs rather than Gaussians: |z| is then the same for every probe, and the trace, which depends on
  the diagonal alone in the mean, has the least variance.
- The basis is in the operator's precision, T and its eigenvalues in float64: the weights of rare
  outliers are about 1/P.

Memory: one basis of steps x P numbers, reused by each probe; fewer steps where that would be more
than BASIS_BYTES.

Limitations: the weight of a single eigenvalue is P (v . z)^2 in the mean over few probes, off by
sqrt(2 / probes) of itself (45 % for 10). Its place is much surer, and so is how many there are at
least (`Spectrum.least_above`).

Sources: Ubaru, Chen, Saad, SIAM J. Matrix Anal. Appl. 38, 2017; Lin, Saad, Yang, SIAM Review 58,
2016; for networks Ghorbani, Krishnan, Xiao, ICML 2019 (10 probes, 90 steps).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from samedge_core.curvature.operator import LinearOperator
from samedge_core.curvature.spectral_density import Array, Spectrum

PROBES, STEPS = 10, 80
EXACT_BELOW = 1000  # P products and an eigenvalue problem are then no dearer than the estimate
FEWEST_PROBES, FEWEST_STEPS = 3, 20  # whatever the time limit
BASIS_BYTES = 256 * 2**20
TIMED = 5  # products
ENDED = 100  # units of rounding, relative to H: less than this is left of a Krylov space's end

Progress = Callable[[int, int], None]


def spectrum(
    operator: LinearOperator,
    *,
    probes: int = PROBES,
    steps: int = STEPS,
    seed: int = 0,
    exact_below: int = EXACT_BELOW,
    seconds: float | None = None,
    on_progress: Progress | None = None,
) -> Spectrum:
    """Return the eigenvalues of `operator`: all if P <= exact_below, else as weighted nodes.

    Args:
        probes, steps: random vectors, and Lanczos steps from each. An estimate costs probes x
            steps Hessian-vector products; the exact spectrum costs P.
        seed: of the random vectors; no global generator is read or moved.
        seconds: about how long it may take. A product is timed first; to fit, an exact spectrum
            becomes an estimate, with fewer steps and probes, at least FEWEST_PROBES of
            FEWEST_STEPS.
        on_progress: called with (products done, products planned) after each product. Raise
            something in it to cancel.

    Raises:
        FloatingPointError: a product is not finite.
        ValueError: probes or steps below 1.

    >>> from samedge_core.curvature import HessianOperator
    >>> h = HessianOperator(lambda w: w[0] ** 2 - w[1] ** 2, torch.zeros(3))
    >>> spectrum(h).nodes.tolist()
    [[-2.0, 0.0, 2.0]]
    """
    for name, value in (("probes", probes), ("steps", steps)):
        if value < 1:
            raise ValueError(f"{name} must be >= 1, got {value}")
    count = _Counted(operator, on_progress)
    affordable = math.inf if seconds is None else seconds / count.pace(seconds)
    if operator.size <= min(exact_below, affordable):
        count.total = count.done + operator.size
        return Spectrum.of_eigenvalues(_all(count), products=count.done, seconds=count.seconds)
    probes, steps = _fit(probes, steps, affordable)
    row = operator.size * operator.dtype.itemsize
    steps = min(steps, operator.size, max(2, BASIS_BYTES // row))
    basis = torch.empty(steps, operator.size, dtype=operator.dtype, device=operator.device)
    generator = torch.Generator().manual_seed(seed)
    found: list[tuple[Array, Array]] = []
    while len(found) < probes:
        late = seconds is not None and count.seconds > seconds
        if late and len(found) >= FEWEST_PROBES:
            break  # the machine is slower than when a product was timed
        count.total = count.done + (probes - len(found)) * steps
        found.append(_quadrature(count, basis, _signs(operator, generator)))
    nodes, weights = (
        np.array([_filled(row, steps) for row in rows]) for rows in zip(*found, strict=True)
    )
    return Spectrum(False, nodes, weights, operator.size, count.done, count.seconds)


def _fit(probes: int, steps: int, affordable: float) -> tuple[int, int]:
    """Both cut by the same factor, so that about `affordable` products are left."""
    if affordable >= probes * steps:
        return probes, steps
    fewer = max(int(steps * math.sqrt(affordable / (probes * steps))), min(steps, FEWEST_STEPS))
    return max(int(affordable / fewer), min(probes, FEWEST_PROBES)), fewer


def _filled(values: Array, length: int) -> Array:
    return np.concatenate([values, np.zeros(length - len(values))])


def _all(count: _Counted) -> Array:
    """Every eigenvalue (P,), from the dense matrix."""
    operator = count.operator
    matrix = np.empty((operator.size, operator.size))
    for i, row in enumerate(matrix):  # a row at a time: P^2 numbers once, not five times
        unit = torch.zeros(operator.size, dtype=operator.dtype, device=operator.device)
        unit[i] = 1
        row[:] = count.matvec(unit).cpu().double().numpy()
    return np.linalg.eigvalsh((matrix + matrix.T) / 2).astype(np.float64)


def _signs(operator: LinearOperator, generator: torch.Generator) -> Tensor:
    """A random vector of entries +-1/sqrt(P), drawn in main memory: the same on every device."""
    bits = torch.randint(0, 2, (operator.size,), generator=generator, dtype=torch.int8)
    return ((2 * bits - 1).to(operator.dtype) / math.sqrt(operator.size)).to(operator.device)


def _quadrature(count: _Counted, basis: Tensor, z: Tensor) -> tuple[Array, Array]:
    """Nodes and weights, ascending, of the measure of unit vector z (P,): Lanczos in `basis`
    (steps, P), which is overwritten."""
    steps = len(basis)
    diagonal, off_diagonal = np.zeros(steps), np.zeros(steps)  # off_diagonal[j] couples j and j + 1
    eps = torch.finfo(basis.dtype).eps
    scale, used = 0.0, 0
    for j in range(steps):
        basis[j], known = z, basis[: j + 1]
        z = count.matvec(z)
        diagonal[j] = float(basis[j] @ z)
        for _ in range(2):
            z = z - known.T @ (known @ z)
        off_diagonal[j] = float(z.norm())
        used = j + 1
        scale = max(scale, abs(diagonal[j]), off_diagonal[j])
        if off_diagonal[j] <= ENDED * eps * scale:
            break  # the probe's Krylov space ends here: the quadrature is exact
        z = z / off_diagonal[j]
    coupled = off_diagonal[: used - 1]
    tridiagonal = np.diag(diagonal[:used]) + np.diag(coupled, 1) + np.diag(coupled, -1)
    theta, vectors = np.linalg.eigh(tridiagonal)
    return theta, np.square(vectors[0])


class _Counted:
    """Counts and times an operator's products, reports them, refuses those that aren't finite."""

    def __init__(self, operator: LinearOperator, on_progress: Progress | None) -> None:
        self.operator = operator
        self.done = self.total = 0
        self._on_progress = on_progress
        self._began = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began

    def matvec(self, v: Tensor) -> Tensor:
        product = self.operator.matvec(v)
        self.done += 1
        if not bool(product.isfinite().all()):
            raise FloatingPointError(
                f"Hessian-vector product {self.done} is not finite: the weights or the curvature "
                "have left the range of numbers"
            )
        if self._on_progress:
            self._on_progress(self.done, max(self.done, self.total))
        return product

    def pace(self, seconds: float) -> float:
        """Seconds a product: the least of a few, which take a tenth of `seconds` at most (or one
        product), since whatever else the machine does only adds to them."""
        v = torch.ones(self.operator.size, dtype=self.operator.dtype, device=self.operator.device)
        least = math.inf
        while self.done < TIMED and not (self.done and self.seconds > seconds / 10):
            began = time.perf_counter()
            self.matvec(v)
            least = min(least, time.perf_counter() - began)
        return max(least, 1e-9)
