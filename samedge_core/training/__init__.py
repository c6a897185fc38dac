"""Training: configuration, state, loop and record. Only `loop` and `state` need torch."""

from samedge_core.training.config import FIELDS, LIVE_FIELDS, RunConfig
from samedge_core.training.history import History, Intervention, Measurement
from samedge_core.training.stop import Stop, StopReason

__all__ = [
    "FIELDS",
    "LIVE_FIELDS",
    "History",
    "Intervention",
    "Measurement",
    "RunConfig",
    "Stop",
    "StopReason",
]
