"""The cases: a run each, and the window of its steps at which sharpness is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

from samedge_core.experiments.presets import PRESETS
from samedge_core.training import RunConfig

__all__ = ["BARE", "CASES", "Case", "quick"]

BARE = 100_000  # measure_every: no step but step 0 is measured


@dataclass(frozen=True)
class Case:
    """A run, and `steps` consecutive steps of it from `start` on."""

    name: str
    title: str
    config: RunConfig
    start: int
    steps: int = 80


def _preset(name: str, title: str, preset: str, start: int, steps: int = 80) -> Case:
    return Case(name, title, PRESETS[preset].config, start, steps)


_CASES = (
    _preset("tanh-gd-edge", "MLP, tanh, GD at its edge", "gd-digits-tanh", 800),
    _preset("relu-sam-early", "MLP, ReLU, SAM, first steps", "sam-digits-relu", 0),
    _preset("relu-sam-late", "MLP, ReLU, SAM at its edge", "sam-digits-relu", 800),
    _preset("cnn-sam", "CNN, SAM at its edge", "sam-cnn", 450),
    _preset("chebyshev-sam", "Tiny MLP, Chebyshev, SAM at its edge", "sam-chebyshev", 1500),
    _preset("linear-sam", "Deep linear network, SAM at its edge", "sam-deep-linear", 800),
    Case(
        "wide-relu-sam",
        "Wide MLP, ReLU, SAM at its edge",
        RunConfig(problem="digits-mlp", options={"width": 400}, rule="sam", eta=1.0, rho=0.05),
        start=600,
        steps=60,
    ),
)

CASES: dict[str, Case] = {case.name: case for case in _CASES}


def quick(case: Case) -> Case:
    """The case cut to a few early steps: it shows that all works, and no number worth quoting."""
    return replace(case, start=min(case.start, 10), steps=6)
