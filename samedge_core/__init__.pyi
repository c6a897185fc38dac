# The one list of public names: `lazy_loader` imports them from here, and type checkers read it.
from .analysis.summary import Summary as Summary
from .analysis.summary import summarise as summarise
from .curvature.dense import dense_hessian as dense_hessian
from .curvature.estimate import EigenEstimate as EigenEstimate
from .curvature.lanczos_quadrature import spectrum as spectrum
from .curvature.operator import HessianOperator as HessianOperator
from .curvature.spectral_density import Spectrum as Spectrum
from .curvature.tracker import SharpnessTracker as SharpnessTracker
from .curvature.tracker import sharpness as sharpness
from .experiments.paper import PAPER_PRESETS as PAPER_PRESETS
from .experiments.presets import PRESETS as PRESETS
from .fields import ConfigError as ConfigError
from .fields import Field as Field
from .problems.problem import Problem as Problem
from .problems.registry import PROBLEMS as PROBLEMS
from .runs import RunKeyError as RunKeyError
from .runs import Runs as Runs
from .runs import StoredRun as StoredRun
from .runs import open_runs as open_runs
from .sharing.export import ResumeError as ResumeError
from .sharing.files import SavedError as SavedError
from .store import Origin as Origin
from .store.branching import StepError as StepError
from .theory.descent import Trajectory as Trajectory
from .theory.descent import descend as descend
from .theory.edges import gd_edge as gd_edge
from .theory.edges import gd_multiplier as gd_multiplier
from .theory.edges import nesterov_edge as nesterov_edge
from .theory.edges import nesterov_multiplier as nesterov_multiplier
from .theory.edges import polyak_edge as polyak_edge
from .theory.edges import polyak_multiplier as polyak_multiplier
from .theory.edges import sam_edge as sam_edge
from .theory.edges import sam_multiplier as sam_multiplier
from .theory.edges import usam_edge as usam_edge
from .theory.edges import usam_multiplier as usam_multiplier
from .theory.quadratics import Quadratic as Quadratic
from .theory.quadratics import orbit_grad_norm as orbit_grad_norm
from .theory.quadratics import orbit_radius as orbit_radius
from .theory.rules import RULES as RULES
from .theory.rules import Hyperparameters as Hyperparameters
from .theory.two_weight import TwoWeightLandscape as TwoWeightLandscape
from .training.config import FIELDS as FIELDS
from .training.config import RunConfig as RunConfig
from .training.figures import paper_figures as paper_figures
from .training.history import History as History
from .training.history import Intervention as Intervention
from .training.history import Measurement as Measurement
from .training.loop import build_problem as build_problem
from .training.loop import run as run
from .training.state import TrainState as TrainState
from .training.stop import Stop as Stop
from .training.stop import StopReason as StopReason

__all__: list[str]

__version__: str
