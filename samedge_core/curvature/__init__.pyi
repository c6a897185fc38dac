from .dense import dense_hessian as dense_hessian
from .estimate import EigenEstimate as EigenEstimate
from .lanczos_quadrature import spectrum as spectrum
from .operator import HessianOperator as HessianOperator
from .settings import TrackerSettings as TrackerSettings
from .spectral_density import Spectrum as Spectrum
from .tracker import SharpnessTracker as SharpnessTracker
from .tracker import sharpness as sharpness
