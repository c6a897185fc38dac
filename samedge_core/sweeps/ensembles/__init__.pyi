from .advance import run_ensemble as run_ensemble
from .grouping import groups as groups
from .grouping import together as together
