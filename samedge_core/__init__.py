"""SAMEdge: sharpness-aware minimization and the edge of stability, measured as it happens.

    import samedge_core as se
    history = se.run(se.RunConfig(problem="digits-mlp", rule="sam", eta=1.0, rho=0.05, steps=200))
    history.to_frame()
    runs = se.open_runs()  # what is recorded, on the pages and by the command line too

Importing this package does not import torch; `run`, `sharpness`, `Problem` and the curvature tools
do on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from samedge_core.analysis.summary import Summary, summarise
from samedge_core.curvature.spectral_density import Spectrum
from samedge_core.fields import ConfigError, Field
from samedge_core.problems.registry import PROBLEMS
from samedge_core.theory.descent import Trajectory, descend
from samedge_core.theory.edges import (
    gd_edge,
    gd_multiplier,
    nesterov_edge,
    nesterov_multiplier,
    polyak_edge,
    polyak_multiplier,
    sam_edge,
    sam_multiplier,
    usam_edge,
    usam_multiplier,
)
from samedge_core.theory.quadratics import Quadratic, orbit_grad_norm, orbit_radius
from samedge_core.theory.rules import RULES, Hyperparameters
from samedge_core.theory.two_weight import TwoWeightLandscape
from samedge_core.training import (
    FIELDS,
    History,
    Intervention,
    Measurement,
    RunConfig,
    Stop,
    StopReason,
)

__version__ = "0.1.0"

if TYPE_CHECKING:
    from samedge_core.curvature import (
        EigenEstimate,
        HessianOperator,
        SharpnessTracker,
        dense_hessian,
        sharpness,
        spectrum,
    )
    from samedge_core.problems.problem import Problem
    from samedge_core.runs import RunKeyError, Runs, StoredRun, open_runs
    from samedge_core.sharing.export import ResumeError
    from samedge_core.sharing.files import SavedError
    from samedge_core.store import Origin
    from samedge_core.store.branching import StepError
    from samedge_core.training.loop import build_problem, run
    from samedge_core.training.state import TrainState

_ON_FIRST_USE = {  # what needs torch, and what needs the database
    "EigenEstimate": "samedge_core.curvature",
    "HessianOperator": "samedge_core.curvature",
    "SharpnessTracker": "samedge_core.curvature",
    "dense_hessian": "samedge_core.curvature",
    "sharpness": "samedge_core.curvature",
    "spectrum": "samedge_core.curvature",
    "Problem": "samedge_core.problems.problem",
    "build_problem": "samedge_core.training.loop",
    "run": "samedge_core.training.loop",
    "TrainState": "samedge_core.training.state",
    "Origin": "samedge_core.store",
    "ResumeError": "samedge_core.sharing.export",
    "RunKeyError": "samedge_core.runs",
    "Runs": "samedge_core.runs",
    "SavedError": "samedge_core.sharing.export",
    "StepError": "samedge_core.store.branching",
    "StoredRun": "samedge_core.runs",
    "open_runs": "samedge_core.runs",
}

__all__ = [
    "FIELDS",
    "PROBLEMS",
    "RULES",
    "ConfigError",
    "EigenEstimate",
    "Field",
    "HessianOperator",
    "History",
    "Hyperparameters",
    "Intervention",
    "Measurement",
    "Origin",
    "Problem",
    "Quadratic",
    "ResumeError",
    "RunConfig",
    "RunKeyError",
    "Runs",
    "SavedError",
    "SharpnessTracker",
    "Spectrum",
    "StepError",
    "Stop",
    "StopReason",
    "StoredRun",
    "Summary",
    "TrainState",
    "Trajectory",
    "TwoWeightLandscape",
    "build_problem",
    "dense_hessian",
    "descend",
    "gd_edge",
    "gd_multiplier",
    "nesterov_edge",
    "nesterov_multiplier",
    "open_runs",
    "orbit_grad_norm",
    "orbit_radius",
    "polyak_edge",
    "polyak_multiplier",
    "run",
    "sam_edge",
    "sam_multiplier",
    "sharpness",
    "spectrum",
    "summarise",
    "usam_edge",
    "usam_multiplier",
]


def __getattr__(name: str) -> Any:
    if name in _ON_FIRST_USE:
        return getattr(importlib.import_module(_ON_FIRST_USE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
