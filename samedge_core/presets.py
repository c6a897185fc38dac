"""Settings that show the phenomenon in a minute, and hints for those known to mislead.

Importable without torch. What each preset reaches is measured by `benchmarks/preset_accuracy.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from samedge_core.training.config import RunConfig

__all__ = ["DEFAULT", "PRESETS", "Preset", "hints"]


@dataclass(frozen=True)
class Preset:
    """A run worth seeing.

    Attributes:
        name: slug, for links and the command line.
        see: what one should see, and where to look.
        config: what the run starts with.
        compare: start GD and SAM from the same weights, side by side.
    """

    name: str
    title: str
    see: str
    config: RunConfig
    compare: bool = False


DEFAULT = "sam-digits-relu"

_PRESETS = (
    Preset(
        "sam-digits-relu", "SAM on digits, ReLU MLP: the edge moves",
        "The SAM-edge falls with ||g||, far below 2/η = 2, and from about step 400 the sharpness "
        "follows it down: the ratio sharpness/edge stays at 1.",
        RunConfig(problem="digits-mlp", rule="sam", eta=1.0, rho=0.05, steps=1100),
    ),
    Preset(
        "gd-digits-tanh", "GD on digits, tanh MLP: progressive sharpening",
        "The sharpness climbs from 0.5 to 2/η = 1.33 and then stays there, while the loss still "
        "falls, no longer at every step.",
        RunConfig(problem="digits-mlp", options={"activation": "tanh"}, rule="gd", eta=1.5,
                  steps=1500),
    ),
    Preset(
        "compare-digits", "GD and SAM from the same weights",
        "The same step size, the same start: GD rises to 2/η, SAM stays far below, at its own "
        "edge. Each reads 1 on the ratio chart.",
        RunConfig(problem="digits-mlp", options={"activation": "tanh"}, rule="sam", eta=1.5,
                  rho=0.05, steps=1400),
        compare=True,
    ),
    Preset(
        "gd-cnn", "GD on digits, CNN",
        "The sharpness of a convolutional network climbs to 2/η = 4 and hovers there.",
        RunConfig(problem="digits-cnn", rule="gd", eta=0.5, steps=600),
    ),
    Preset(
        "sam-cnn", "SAM on digits, CNN",
        "The SAM-edge comes down to about 2, half of 2/η = 4, and holds the sharpness there.",
        RunConfig(problem="digits-cnn", rule="sam", eta=0.5, rho=0.03, steps=600),
    ),
    Preset(
        "gd-chebyshev", "GD on a Chebyshev polynomial",
        "A tiny network on 20 points is enough: the sharpness goes to 2/η = 10 and stays.",
        RunConfig(problem="chebyshev-mlp", rule="gd", eta=0.2, steps=3000),
    ),
    Preset(
        "sam-chebyshev", "SAM on a Chebyshev polynomial",
        "The sharpness settles at the SAM-edge, about 7.5, below 2/η = 10.",
        RunConfig(problem="chebyshev-mlp", rule="sam", eta=0.2, rho=0.02, steps=3000),
    ),
    Preset(
        "sam-minibatch", "SAM with mini-batches",
        "Fifty examples a step: gradient, sharpness and edge all belong to the current batch and "
        "jump with it, yet their ratio stays near 1.",
        RunConfig(problem="digits-mlp", rule="sam", eta=1.0, rho=0.05, batch_size=50, steps=1500),
    ),
    Preset(
        "sam-deep-linear", "SAM on a deep linear network",
        "Without any activation the function is linear, the landscape is not: SAM has its edge "
        "here too.",
        RunConfig(problem="deep-linear", rule="sam", eta=1.0, rho=0.05, steps=1300),
    ),
    Preset(
        "gd-two-weights", "Two weights: GD stops at a sharp minimum",
        "GD stops at the first minimum it meets, with sharpness 5.8, just below 2/η = 6.67.",
        RunConfig(problem="two-weight", options={"a": 2.5, "b": 0.6}, rule="gd", eta=0.3,
                  steps=200),
    ),
    Preset(
        "sam-two-weights", "Two weights: SAM drifts to the flattest minimum",
        "From the same start SAM hops across the valley and drifts along it to a = b, the flattest "
        "minimum: the sharpness falls from about 6 to 2.",
        RunConfig(problem="two-weight", options={"a": 2.5, "b": 0.6}, rule="sam", eta=0.3,
                  rho=0.05, steps=2000),
    ),
    Preset(
        "sam-quadratic", "SAM on a quadratic: ||g|| moves instead",
        "The curvature of a quadratic cannot move, so the gradient norm does, until the SAM-edge "
        "lies on the top eigenvalue, 6.",
        RunConfig(problem="quadratic", rule="sam", eta=0.2, rho=0.1, steps=200),
    ),
    Preset(
        "wrong-dead-network", "What goes wrong: a dead network at ρ = 5",
        "The ratio is 1.000 and looks like a success, but the accuracy stays near 0.10: only the "
        "output biases still learn. Always look at the accuracy too.",
        RunConfig(problem="digits-mlp", rule="sam", eta=1.0, rho=5.0, steps=300),
    ),
)  # fmt: skip

PRESETS: dict[str, Preset] = {preset.name: preset for preset in _PRESETS}


def hints(config: RunConfig) -> list[str]:
    """Plain warnings for settings that are known to mislead; empty when none is known."""
    return []
