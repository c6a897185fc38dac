"""Problems: data, model and loss on one flat parameter vector w."""

from samedge_core.problems.registry import PROBLEMS, ProblemSpec, build

__all__ = ["PROBLEMS", "ProblemSpec", "build"]
