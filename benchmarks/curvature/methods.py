"""The table of methods: names, what they are called, and how each is set up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.curvature import ours, peers
from benchmarks.curvature.answer import Measure
from benchmarks.curvature.window import Subject

__all__ = ["METHODS", "Method"]


@dataclass(frozen=True)
class Method:
    """A way to measure sharpness.

    Attributes:
        kind: "ours", "peer", or "baseline" for what anyone might write without a library.
        top_k: eigenvalues that it yields.
    """

    name: str
    title: str
    prepare: Callable[[Subject], Measure]
    kind: str = "peer"
    top_k: int = 1


_METHODS = (
    Method("ours-1", "SAMEdge tracker", ours.tracker(1), "ours"),
    Method("ours-2", "SAMEdge tracker, 2 eigenvalues", ours.tracker(2), "ours", 2),
    Method("curvlinops-1e-3", "curvlinops + eigsh, tol 1e-3", peers.curvlinops_eigsh(1e-3)),
    Method("curvlinops-0", "curvlinops + eigsh, tol 0", peers.curvlinops_eigsh(0)),
    Method("eigenthings-20", "hessian-eigenthings, 20 steps", peers.eigenthings(20)),
    Method("eigenthings-40", "hessian-eigenthings, 40 steps", peers.eigenthings(40)),
    Method("pyhessian", "PyHessian", peers.pyhessian_power),
    Method("paper", "the paper's power iteration", peers.paper),
    Method("graph-1e-3", "eigsh on one graph, tol 1e-3", peers.graph_eigsh(1e-3), "baseline"),
)

METHODS: dict[str, Method] = {method.name: method for method in _METHODS}
