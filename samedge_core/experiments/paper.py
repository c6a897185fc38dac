"""The paper's three tasks: reduced to minutes on a laptop, and at full size; importable without
torch.

Source: Long and Bartlett, arXiv 2309.12488, and its code, google-deepmind/sam_edge. How closely the
reduced ones follow their edge is written down in benchmarks/results/paper.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from samedge_core.analysis.summary import Summary
from samedge_core.experiments.presets import PRESETS, Preset, settings
from samedge_core.training.config import RunConfig


@dataclass(frozen=True)
class Task:
    """One of the paper's tasks.

    Attributes:
        data: the data set of `samedge_core.problems.downloads`.
        paper: what the paper did; `here`: what runs here, and how it is scaled down.
        band: a run passes when it hops at its edge, and the median of |sharpness/edge - 1| over
            its edge phase is at most this.
        reduced: names of the presets to run side by side: GD, then SAM at two radii.
        minutes: what they took side by side on two cores of an AMD EPYC, with the page open.
        full: names of the presets of the paper's own size; `cost` says what they take.
        offline: names of presets on the embedded digits, for when the data can't be downloaded.
    """

    name: str
    title: str
    short: str
    data: str
    paper: str
    here: str
    band: float
    reduced: tuple[str, ...]
    minutes: float
    full: tuple[str, ...]
    cost: str
    offline: tuple[str, ...]

    def verdict(self, summary: Summary, *, going: bool) -> str:
        """Whether a run is at its edge, and keeps to it as closely as `band` asks, in words."""
        when = " so far" if going else ""
        if summary.edge_phase_start is None:
            return f"edge not reached{when}"
        if not summary.at_edge:
            return f"✗ does not hop{when}"
        kept = summary.deviation <= self.band
        return f"{'✓ within' if kept else '✗ outside'} {self.band:g}{when}"


_MEASURED: dict[str, Any] = {"measure_every": 10, "top_k": 2}  # the paper draws more than λ₁


def _mnist(rule: str, **values: Any) -> RunConfig:
    return settings("mnist-mlp", rule, **_MEASURED, **values)


def _cifar(rule: str, **values: Any) -> RunConfig:
    return settings("cifar-cnn", rule, **_MEASURED, **values)


def _text(rule: str, batch_size: int = 64, **values: Any) -> RunConfig:
    return settings("shakespeare-transformer", rule, **_MEASURED, batch_size=batch_size, **values)


_FULL: dict[str, Any] = {"steps": 20_000, "device": "auto"}
_FULL_MNIST = {**_FULL, "n": 60_000, "n_test": 10_000, "width": 1000}
_FULL_CIFAR = {**_FULL, "n": 1000, "n_test": 10_000, "steps": 5000}
_FULL_TEXT = {**_FULL, "n": 13_000, "n_test": 2500, "length": 64, "batch_size": 128}
_FULL_TEXT |= {"layers": 6, "heads": 8, "key": 32, "model": 128}

_PRESETS = (
    Preset(
        "paper-mnist-small-gd",
        "Paper, MNIST: GD",
        "The sharpness of the paper's MLP, reduced, climbs from 1.8 to 2/η = 2.5 in some hundred "
        "steps and stays there, with the gradient along v₁.",
        _mnist("gd", eta=0.8, steps=1500),
    ),
    Preset(
        "paper-mnist-small",
        "Paper, MNIST: SAM, ρ = 0.03",
        "The SAM-edge falls with ||g|| from 1.7 to 0.8 and takes the sharpness down with it, far "
        "below 2/η = 2.",
        _mnist("sam", eta=1.0, rho=0.03, steps=900),
    ),
    Preset(
        "paper-mnist-small-more-rho",
        "Paper, MNIST: SAM, ρ = 0.05",
        "With a larger radius the edge falls further, to 0.6, under a third of 2/η = 2, and takes "
        "the sharpness with it.",
        _mnist("sam", eta=1.0, rho=0.05, steps=900),
    ),
    Preset(
        "paper-cifar-small-gd",
        "Paper, CIFAR-10: GD",
        "The CNN starts sharp, at 500: GD comes down to 2/η = 333 within some steps and stays.",
        _cifar("gd", eta=0.006, steps=600),
    ),
    Preset(
        "paper-cifar-small",
        "Paper, CIFAR-10: SAM, ρ = 0.01",
        "The SAM-edge comes down onto the sharpness within 20 steps; both then stay together, at "
        "0.4 of 2/η = 1000.",
        _cifar("sam", eta=0.002, rho=0.01, steps=400),
    ),
    Preset(
        "paper-cifar-small-more-rho",
        "Paper, CIFAR-10: SAM, ρ = 0.03",
        "Sharpness and SAM-edge fall together from 370 to 130, a quarter of 2/η = 500.",
        _cifar("sam", eta=0.004, rho=0.03, steps=400),
    ),
    Preset(
        "paper-shakespeare-small-gd",
        "Paper, Shakespeare: GD",
        "Mini-batches: the sharpness of the current batch jumps by some 10 %, about 2/η = 133.",
        _text("gd", eta=0.015, steps=1000),
    ),
    Preset(
        "paper-shakespeare-small",
        "Paper, Shakespeare: SAM, ρ = 0.03",
        "Gradient, sharpness and edge all belong to the current batch; the sharpness falls from "
        "120 to 45, under half of 2/η = 100, with the edge.",
        _text("sam", eta=0.02, rho=0.03, steps=500),
    ),
    Preset(
        "paper-shakespeare-small-more-rho",
        "Paper, Shakespeare: SAM, ρ = 0.1",
        "The same step size at three times the radius: sharpness and edge end at 20, a fifth of "
        "2/η. The SAM gradient is twice as well aligned with v₁ as g.",
        _text("sam", eta=0.02, rho=0.1, steps=500),
    ),
    Preset(
        "paper-mnist-gd",
        "Paper, MNIST, full size: GD",
        "With η = 0.4, so that 2/η = 5 can be reached; the default of the paper's code, 0.01, puts "
        "it at 200. Not tried here to its end.",
        _mnist("gd", eta=0.4, **_FULL_MNIST),
    ),
    Preset(
        "paper-mnist",
        "Paper, MNIST, full size: SAM",
        "The defaults of the paper's code, and the ρ of its example: look for the sharpness at the "
        "SAM-edge, far below 2/η = 200. Not tried here to its end.",
        _mnist("sam", eta=0.01, rho=0.1, **_FULL_MNIST),
    ),
    Preset(
        "paper-cifar-gd",
        "Paper, CIFAR-10, 1,000 images: GD",
        "The step size of the reduced run, on ten times the images: look for the sharpness at 2/η "
        "= 333. Not tried here to its end.",
        _cifar("gd", eta=0.006, **_FULL_CIFAR),
    ),
    Preset(
        "paper-cifar",
        "Paper, CIFAR-10, 1,000 images: SAM",
        "The settings of the reduced run, on ten times the images: look for sharpness and SAM-edge "
        "to fall together, far below 2/η = 500. Not tried here to its end.",
        _cifar("sam", eta=0.004, rho=0.03, **_FULL_CIFAR),
    ),
    Preset(
        "paper-shakespeare-gd",
        "Paper, Shakespeare, full size: GD",
        "The defaults of the paper's code, with 2/η = 20. Not tried here to its end.",
        _text("gd", eta=0.1, **_FULL_TEXT),
    ),
    Preset(
        "paper-shakespeare",
        "Paper, Shakespeare, full size: SAM",
        "The defaults of the paper's code and the ρ of its example: look for mini-batch SAM at its "
        "edge, below 2/η = 20. Not tried here to its end.",
        _text("sam", eta=0.1, rho=0.1, **_FULL_TEXT),
    ),
)

PAPER_PRESETS: dict[str, Preset] = {preset.name: preset for preset in _PRESETS}

ALL_PRESETS: dict[str, Preset] = PRESETS | PAPER_PRESETS
"""These, after those of the live lab."""

_TASKS = (
    Task(
        "mnist",
        "MLP on MNIST",
        "MNIST",
        "mnist",
        "A ReLU network with three hidden layers of 1,000 units on all 60,000 images, squared "
        "error, full batch: four to eight hours on a V100 GPU.",
        "The first 1,000 images, hidden layers of 200 units; all else as in the paper. Sharpness "
        "at every tenth step.",
        0.05,
        ("paper-mnist-small-gd", "paper-mnist-small", "paper-mnist-small-more-rho"),
        2.8,
        ("paper-mnist-gd", "paper-mnist"),
        "Takes 4 GB. On one CPU core a step takes 10 to 20 s and a measurement minutes, so weeks: "
        "made for a GPU.",
        ("gd-digits-tanh", "sam-digits-relu"),
    ),
    Task(
        "cifar",
        "CNN on CIFAR-10",
        "CIFAR-10",
        "cifar10",
        "Two blocks of 3x3 convolution, ReLU and LayerNorm, with 16 and 32 channels, on 1,000 "
        "images, squared error, full batch: 12 hours on a V100 GPU.",
        "The same network on the first 100 images. Sharpness at every tenth step.",
        0.08,
        ("paper-cifar-small-gd", "paper-cifar-small", "paper-cifar-small-more-rho"),
        3.1,
        ("paper-cifar-gd", "paper-cifar"),
        "On one CPU core a step takes half a second and a measurement 10 to 20 s: 2 to 3 hours.",
        ("gd-cnn", "sam-cnn"),
    ),
    Task(
        "shakespeare",
        "Transformer on Shakespeare",
        "Shakespeare",
        "shakespeare",
        "A language model with 6 layers of 8 heads on sequences of 64 characters, cross-entropy, "
        "batches of 128: gradient, Hessian and edge all on the current batch.",
        "2 layers of 4 heads, model size 64, sequences of 32 characters, batches of 64. Sharpness "
        "at every tenth step.",
        0.15,
        (
            "paper-shakespeare-small-gd",
            "paper-shakespeare-small",
            "paper-shakespeare-small-more-rho",
        ),
        3.8,
        ("paper-shakespeare-gd", "paper-shakespeare"),
        "On one CPU core a step takes 3 s and a measurement 30 s, so two days: made for a GPU.",
        ("sam-minibatch",),
    ),
)

TASKS: dict[str, Task] = {task.name: task for task in _TASKS}
