"""Settings that show the phenomenon in a minute; importable without torch.

What each preset reaches is measured by `benchmarks/preset_accuracy.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from samedge_core.training.config import FIELDS, RunConfig

_IGNORED = ("steps", "cadence", "measure_every", "sharpness_every", "top_k", "dtype", "device")


@dataclass(frozen=True)
class Preset:
    """A run worth seeing.

    Attributes:
        name: slug, for links and the command line.
        see: what one should see, and where to look.
        config: what the run starts with.
        comparison: start several runs from the same weights, side by side: the name of one of
            `samedge_core.experiments.comparisons.COMPARISONS`.
    """

    name: str
    title: str
    see: str
    config: RunConfig
    comparison: str | None = None

    def describes(self, config: RunConfig) -> bool:
        """Whether `see` is true of a run from `config`: how long and how often is measured, and
        what computes it, make no difference.

        >>> preset = PRESETS["gd-cnn"]
        >>> preset.describes(preset.config.replace(steps=50, top_k=3))
        True
        >>> preset.describes(preset.config.replace(eta=0.4))
        False
        """
        ignored = {name: getattr(self.config, name) for name in _IGNORED}
        return config.replace(**ignored) == self.config


DEFAULT = "sam-digits-relu"

COMPARED = {DEFAULT: "compare-digits"}
"""By preset that shows SAM at its edge where GD never reaches 2/η: the one in which both do."""


def settings(problem: str, rule: str, **values: Any) -> RunConfig:
    """Return the configuration with these values of settings and of the problem's own options."""
    own = {name: values.pop(name) for name in list(values) if name not in FIELDS}
    return RunConfig(problem=problem, options=own, rule=rule, **values)


_PRESETS = (
    Preset(
        "sam-digits-relu",
        "SAM on digits, ReLU MLP: the edge moves",
        "The SAM-edge comes down onto the sharpness within 100 steps; then both fall together, "
        "from 0.8 to 0.5, far below 2/η = 2. The ratio sharpness/edge stays at 1.",
        settings("digits-mlp", "sam", eta=1.0, rho=0.05, steps=1100),
    ),
    Preset(
        "gd-digits-tanh",
        "GD on digits, tanh MLP: progressive sharpening",
        "The sharpness climbs from 0.5 to 2/η = 1.14, reaches it near step 500 and then stays "
        "there. The loss goes on falling, but no longer at every step.",
        settings("digits-mlp", "gd", eta=1.75, steps=1200, activation="tanh"),
    ),
    Preset(
        "compare-digits",
        "GD and SAM from the same weights",
        "Same weights, same step size: GD sits at 2/η = 1, SAM at its own edge, which falls to "
        "0.4. In the ratio chart both read 1.",
        settings("digits-mlp", "sam", eta=2.0, rho=0.05, steps=800, init="glorot"),
        comparison="rule",
    ),
    Preset(
        "sam-held-out",
        "Does flat generalise? GD and SAM on 100 digits",
        "SAM ends three times flatter than GD, at 0.3 where GD is at 2/η = 1. On 797 digits that "
        "no step sees (last chart) its loss ends a tenth lower; its accuracy is the same.",
        settings("digits-mlp", "sam", eta=2.0, rho=0.1, steps=800, n=100, n_test=797),
        comparison="rule",
    ),
    Preset(
        "gd-cnn",
        "GD on digits, CNN",
        "The sharpness of a small convolutional network climbs from 1.7 past 2/η = 4 in 60 steps, "
        "overshoots, and comes back to stay at 4.",
        settings("digits-cnn", "gd", eta=0.5, steps=600),
    ),
    Preset(
        "sam-cnn",
        "SAM on digits, CNN",
        "The same network and step size under SAM: the SAM-edge falls from 2.9 to 1.9 and holds "
        "the sharpness there, at half of 2/η = 4.",
        settings("digits-cnn", "sam", eta=0.5, rho=0.03, steps=600),
    ),
    Preset(
        "compare-spirals",
        "GD and SAM on two spirals: watch what they learn",
        "From step 500 on the regions wind around the spirals, under both. GD's sharpness passes "
        "2/η = 6.7 near step 250 and comes to stay within some 4 % of it; SAM's stays at its own "
        "edge, near 4.",
        settings("points-mlp", "sam", eta=0.3, rho=0.02, steps=1800, shape="spirals"),
        comparison="rule",
    ),
    Preset(
        "sam-circles",
        "SAM on two circles: the edge follows what is learnt",
        "While the network learns the inner circle, from step 20 to 180, ||g|| grows and the "
        "SAM-edge doubles to 8; then both fall. The sharpness goes with the edge, within 6 %.",
        settings("points-mlp", "sam", eta=0.2, rho=0.02, steps=1300),
    ),
    Preset(
        "gd-chebyshev",
        "GD on a Chebyshev polynomial",
        "A tiny network on 20 points is enough: the sharpness climbs from 4 to 2/η = 10 by step "
        "750 and then stays within some 5 % of it.",
        settings("chebyshev-mlp", "gd", eta=0.2, seed=1, steps=2000),
    ),
    Preset(
        "sam-chebyshev",
        "SAM on a Chebyshev polynomial: the edge rises too",
        "The SAM-edge follows ||g|| both ways: it drops in the first steps, then rises again to "
        "6.7, and the sharpness goes with it, well below 2/η = 10.",
        settings("chebyshev-mlp", "sam", eta=0.2, rho=0.02, seed=1, steps=2000),
    ),
    Preset(
        "gd-step-sizes",
        "GD at three step sizes: each has its edge",
        "The same start at η = 0.1, 0.2 and 0.4: the sharpness goes to 2/η = 20, 10 and 5 and "
        "stays there. Where it starts above its edge, it comes down; in the ratio chart all read "
        "1.",
        settings("chebyshev-mlp", "gd", eta=0.2, seed=15, steps=2500),
        comparison="eta",
    ),
    Preset(
        "sam-radii",
        "SAM at three radii: the larger ρ, the lower the edge",
        "The same start and step size at ρ = 0.01, 0.02 and 0.04: the sharpness ends at 7.8, 6.8 "
        "and 5.7, each at its own SAM-edge, where GD would take all of them to 2/η = 10.",
        settings("chebyshev-mlp", "sam", eta=0.2, rho=0.02, seed=1, steps=2000),
        comparison="rho",
    ),
    Preset(
        "gd-warmup",
        "GD with a warm-up: the edge comes down",
        "η rises to 0.4 over 1,000 steps, so that 2/η comes down from 5,000 to 5. Where it meets "
        "the sharpness, near step 500, the run is thrown to flatter ground, and then rides on the "
        "edge all the way.",
        settings("chebyshev-mlp", "gd", eta=0.4, schedule="linear-warmup", warmup=1000, steps=2000),
    ),
    Preset(
        "gd-weight-decay",
        "GD with weight decay: kept from the edge",
        "A decay of 0.005 hardly moves the edge, 2/η − 0.005 = 9.995, where GD alone would end. "
        "But it keeps the weights small, and the sharpness with them: at step 2,000 it is at some "
        "half of the edge.",
        settings("chebyshev-mlp", "gd", eta=0.2, weight_decay=0.005, steps=2000),
    ),
    Preset(
        "adam-edge",
        "Adam: at 38/η, on its own Hessian",
        "The edge value, the largest eigenvalue of the Hessian as Adam divides it, climbs to "
        "38/η = 19,000 within some 600 steps and stays within 10 % of it.",
        settings("chebyshev-mlp", "adam", eta=0.002, beta2=0.99, steps=1500, sharpness_every=10),
    ),
    Preset(
        "rmsprop-edge",
        "RMSProp: at 2/η, on its own Hessian",
        "Adam without momentum: the edge value is at 2/η = 1,000 from the first steps on, hopping "
        "some 5 % above it.",
        settings("chebyshev-mlp", "rmsprop", eta=0.002, beta2=0.99, steps=1000, sharpness_every=10),
    ),
    Preset(
        "sam-adam-radii",
        "SAM on Adam at three radii: one operator for all",
        "At ρ = 0.05, 0.1 and 0.2 the edge value goes to the same 38/η, within some 20 %. Without "
        "SAM's factor the curvature is 4, 2.6 and 1.5 % of that: the factor explains the rest.",
        settings("chebyshev-mlp", "sam-adam", eta=0.002, rho=0.1, beta2=0.99, steps=1500),
        comparison="rho",
    ),
    Preset(
        "sam-adam-unexplained",
        "SAM on Adam at ρ = 0.02: where the ratio leaves 1",
        "Up to step 1,500 the ratio is near 1. Then the loss falls to 1e-5 and ||g|| with it, and "
        "the ratio dips to 0.5 and comes back. Nobody knows why.",
        settings("chebyshev-mlp", "sam-adam", eta=0.002, rho=0.02, beta2=0.99, seed=1, steps=3000),
    ),
    Preset(
        "sam-minibatch",
        "SAM with mini-batches",
        "A hundred examples a step: gradient, sharpness and edge all belong to the current batch "
        "and jump with it, yet from step 120 on their ratio stays within 25 % of 1.",
        settings("digits-mlp", "sam", eta=1.0, rho=0.1, batch_size=100, steps=1000),
    ),
    Preset(
        "batch-sharpness",
        "SGD, ten images a step: the batch sharpness goes to 2/η",
        "The batches' curvature along their own gradients (green) climbs to 2/η = 0.5 by step "
        "3,000; the sharpness of all the data stays a fifth below. There, twice η or half the "
        "batch throws the run out of its valley, as the edge test shows.",
        settings(
            "digits-mlp",
            "gd",
            eta=4.0,
            batch_size=10,
            steps=4000,
            measure_every=50,
            measure_on="all",
            batch_sharpness_every=50,
            n=100,
            activation="tanh",
        ),
    ),
    Preset(
        "sam-deep-linear",
        "SAM on a deep linear network",
        "Without activations the network is linear in its input, but not in its weights: SAM has "
        "its edge here too, and holds the sharpness at 0.5, a quarter of 2/η = 2.",
        settings("deep-linear", "sam", eta=1.0, rho=0.05, steps=1000),
    ),
    Preset(
        "gd-two-weights",
        "Two weights: GD stops at a sharp minimum",
        "GD comes to rest at a minimum whose sharpness, 5.8, is below 2/η = 6.67, although one of "
        "sharpness 2 exists.",
        settings("two-weight", "gd", eta=0.3, steps=200, a=2.5, b=0.6),
    ),
    Preset(
        "sam-two-weights",
        "Two weights: SAM drifts to the flattest minimum",
        "From the same start SAM hops from side to side and drifts along the valley to a = b, the "
        "flattest minimum: the sharpness falls from 6.9 to about 2.",
        settings("two-weight", "sam", eta=0.3, rho=0.05, steps=1500, a=2.5, b=0.6),
    ),
    Preset(
        "sam-quadratic",
        "SAM on a quadratic: ||g|| moves instead",
        "The curvature of a quadratic can't move, so the gradient norm does: it settles where the "
        "SAM-edge equals the top eigenvalue, 6, exactly.",
        settings("quadratic", "sam", eta=0.2, rho=0.1, steps=200),
    ),
    Preset(
        "wrong-dead-network",
        "What goes wrong: a dead network at ρ = 5",
        "Within 20 steps the ratio reads 1.000 and looks like a success, but the accuracy "
        "stays near 0.1: only the output biases still learn. Always look at the accuracy too.",
        settings("digits-mlp", "sam", eta=1.0, rho=5.0, steps=300),
    ),
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in _PRESETS}
