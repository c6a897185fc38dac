"""The lessons, in the order in which they build on each other.

Each run takes seconds on a laptop's CPU. What it shows where its question is asked is tested.
"""

from __future__ import annotations

from samedge_core.experiments.comparisons import COMPARISONS
from samedge_core.experiments.lessons import observations
from samedge_core.experiments.lessons.lesson import Knob, Lesson
from samedge_core.experiments.presets import PRESETS, settings
from samedge_core.training.config import RunConfig
from samedge_core.training.history import Intervention
from samedge_core.training.plan import Replay

HALVED_AT = 500
_BOWL = settings("quadratic", "gd", eta=0.42, steps=200, eigenvalues=(5.0, 2.0, 0.6))
_STEPPED = settings("chebyshev-mlp", "gd", eta=0.4, seed=15, steps=1500)


def _one(config: RunConfig) -> tuple[Replay, ...]:
    return (Replay(config),)


def _both(config: RunConfig) -> tuple[Replay, ...]:
    """GD and SAM from the same weights."""
    return tuple(map(Replay, COMPARISONS["rule"].configs(config)))


def _stepped(eta: float) -> tuple[Replay, ...]:
    change = Intervention(HALVED_AT, {"eta": eta}, {"eta": _STEPPED.eta})
    return (Replay(_STEPPED, (change,)),)


_LESSONS = (
    Lesson(
        "step-size",
        "How large a step may be",
        "The loss is a bowl, $L(w) = \\frac{1}{2} w^\\top A w$. Its *sharpness* is the largest "
        "eigenvalue of the Hessian, here $\\lambda = 5$, and the same everywhere. Gradient "
        "descent (GD) takes steps $w \\leftarrow w - \\eta\\, g$ along the gradient $g$.",
        "At η = 0.42, what will the loss do?",
        (
            "It falls to nothing: downhill is downhill.",
            "It grows and grows.",
            "It falls to some level, and stays there.",
        ),
        Knob(
            "Step size η",
            (0.3, 0.38, 0.4, 0.42, 0.5),
            0.42,
            "At which η does the loss stop falling? Compare 2/η with the sharpness.",
        ),
        lambda eta: _one(_BOWL.replace(eta=eta)),
        observations.growth,
        "In the sharpest direction $v_1$ the gradient is $\\lambda$ times the distance from the "
        "bottom, so a step multiplies that distance by $1 - \\eta\\lambda$. It shrinks as long as "
        "$|1 - \\eta\\lambda| < 1$, that is while $\\lambda < 2/\\eta$. This **2/η** is GD's "
        "*edge of stability*: on a bowl that is sharper, each step overshoots by more than the "
        "one before. At $\\lambda = 2/\\eta$ it jumps from side to side for ever, no nearer and no "
        "farther.",
        log_y=True,
    ),
    Lesson(
        "sharpening",
        "Training sharpens",
        "A tanh network learns 500 handwritten digits under GD. Unlike that of a bowl, its "
        "Hessian differs at every $w$. It begins at a sharpness of 0.5, and with η = 1.75 GD is "
        "stable up to 2/η = 1.14, so there is room.",
        "What will the sharpness do in 1,200 steps?",
        (
            "It falls, as the loss does.",
            "It stays about where it began.",
            "It climbs to 2/η, and hovers there.",
            "It climbs through 2/η, and the run diverges.",
        ),
        Knob(
            "Step size η",
            (1.5, 1.75, 2.0, 2.5),
            1.75,
            "Does the sharpness end at another place for another η?",
        ),
        lambda eta: _one(PRESETS["gd-digits-tanh"].config.replace(eta=eta)),
        observations.progressive_sharpening,
        "This is *progressive sharpening*: while it can, GD moves to ever sharper places. At 2/η "
        "it starts to jump across the valley, as on the bowl. But here jumping pushes $w$ to where "
        "the valley is wider, and so the sharpness is held about the edge (seen by Cohen et al., "
        "[arXiv 2103.00065](https://arxiv.org/abs/2103.00065), explained by Damian et al., "
        "[arXiv 2209.15594](https://arxiv.org/abs/2209.15594)). The loss goes on falling, though "
        "not at every step.",
    ),
    Lesson(
        "new-step",
        "Who decides how sharp it gets?",
        "A tiny network fits a polynomial under GD with η = 0.4. After a rough start it is at its "
        f"edge, 2/η = 5. At step {HALVED_AT} the step size is halved, and nothing else: 2/η jumps "
        "to 10.",
        "Where will the sharpness go?",
        (
            "It stays at 5: GD has found a flat place.",
            "It goes to the new edge.",
            "It falls: small steps find flatter ground.",
            "Nowhere: the run diverges.",
        ),
        Knob(
            f"η from step {HALVED_AT} on",
            (0.1, 0.2, 0.3, 0.5, 0.6),
            0.2,
            "A larger η lowers the edge below where the sharpness is. How far can that go?",
        ),
        _stepped,
        observations.new_edge,
        "The step size decides. The network would have become sharper all along; it was the edge "
        "that held it. Raise the edge, and the sharpness climbs on, as far as training still "
        "sharpens in the steps that are left. Lower it a little, and the jumps across the valley "
        "drive the sharpness down to it; lower it by too much at once, and they grow faster than "
        "the valley widens.",
        log_y=True,
    ),
    Lesson(
        "sam-orbit",
        "SAM never comes to rest",
        "Sharpness-aware minimization (SAM) looks uphill before it steps: it takes the gradient "
        "not at $w$ but at $w + \\rho\\, g / \\|g\\|$. Back to the bowl with $\\lambda = 5$, now "
        "with η = 0.3. There 2/η = 6.7, so that GD would run down to the bottom.",
        "What will the gradient norm do under SAM with ρ = 0.1?",
        ("It falls to 0, as under GD.", "It stops falling, well above 0.", "It grows and grows."),
        Knob(
            "SAM radius ρ",
            (0.02, 0.05, 0.1, 0.2),
            0.1,
            "Double ρ: where does ‖g‖ settle now? And does the edge there change?",
        ),
        lambda rho: _one(_BOWL.replace(rule="sam", eta=0.3, rho=rho)),
        observations.orbit,
        "GD's jumps across the bowl halve each time here ($1 - \\eta\\lambda = -0.5$). SAM looks "
        "$\\rho$ farther uphill before each, however near the bottom it is, and so its hops can't "
        "die out. They neither grow nor shrink where $\\lambda$ equals the **SAM-edge**, "
        "$\\frac{\\|g\\|}{2\\rho}\\big(\\sqrt{1 + 8\\rho/(\\eta\\|g\\|)} - 1\\big)$. It is below "
        "2/η and moves with $\\|g\\|$: here $\\lambda$ can't move, and so $\\|g\\|$ goes to where "
        "the edge equals 5, which is at 15ρ (Long and Bartlett, "
        "[arXiv 2309.12488](https://arxiv.org/abs/2309.12488)).",
        log_y=True,
    ),
    Lesson(
        "moving-edge",
        "An edge that moves",
        "Now SAM trains a network on digits, with η = 1 and ρ = 0.05. The sharpness begins at "
        "0.35, and can move; the SAM-edge begins at 1.2, and moves with the gradient norm. 2/η is "
        "2.",
        "Where will the sharpness be at the end?",
        (
            "At 2/η.",
            "At the SAM-edge, wherever that is by then.",
            "Below both: nothing drives it up.",
        ),
        Knob(
            "SAM radius ρ",
            (0.02, 0.05, 0.1, 0.2),
            0.05,
            "A larger radius: is the end flatter? Does the loss suffer?",
        ),
        lambda rho: _one(PRESETS["sam-digits-relu"].config.replace(rho=rho)),
        observations.edge_followed,
        "Progressive sharpening raises the sharpness until it meets the SAM-edge. From there on "
        "SAM hops, and most of $\\|g\\|$ is these hops. They push $w$ to flatter places; flatter "
        "valleys mean smaller hops, smaller hops a smaller $\\|g\\|$, and that a lower edge: so "
        "sharpness and edge go down together, and training ends in ever flatter places. Neither "
        "comes near 2/η, the edge of GD, which stands still.",
    ),
    Lesson(
        "flattest",
        "Is a minimum a minimum?",
        "Two weights: $L(a, b) = \\frac{1}{2}(ab - 1)^2$. All minima lie on the curve $ab = 1$; "
        "on it the sharpness is $a^2 + b^2$, and least, 2, where $a = b$. GD and SAM start from "
        "the same sharp place, with η = 0.3.",
        "Both come to the curve soon, far from its flattest point. And then?",
        (
            "Both stay where they came to it.",
            "GD stays, SAM goes on to flatter places.",
            "Both go on to flatter places.",
        ),
        Knob(
            "SAM radius ρ",
            (0.02, 0.05, 0.1),
            0.05,
            "How does the radius change the pace, and where SAM ends?",
        ),
        lambda rho: _both(PRESETS["sam-two-weights"].config.replace(rho=rho)),
        observations.valley,
        "GD comes to rest at a minimum flatter than 2/η, by far not the flattest: the gradient "
        "there is 0. SAM hops across the curve, as in the bowl. Uphill, on either side, the walls "
        "are steeper where the valley is sharper: the gradients there point a little that way "
        "along the curve, and SAM's steps, against them, the other way. So it drifts, although "
        "every point of the curve has loss 0, and ends hopping beside the flattest. The page "
        "*Quadratic intuition* has this as a picture.",
        log_y=True,
    ),
    Lesson(
        "held-out",
        "Does flat generalise?",
        "GD and SAM train the same network from the same weights on 100 digits, with η = 2; SAM's "
        "radius is 0.1. Another 797 digits are held out: no step sees them. You know by now which "
        "of the two will end flatter.",
        "Which does better on the held-out digits?",
        (
            "SAM, by far: at most half the loss.",
            "SAM by a little, with the same accuracy.",
            "GD's held-out loss is lower, or they tie.",
        ),
        Knob(
            "SAM radius ρ", (0.05, 0.1, 0.2), 0.1, "Flatter still: does the held-out loss follow?"
        ),
        lambda rho: _both(PRESETS["sam-held-out"].config.replace(rho=rho)),
        observations.flatness_and_held_out,
        "Flatness is one thing, generalisation another. SAM was invented for the second "
        "(Foret et al., [arXiv 2010.01412](https://arxiv.org/abs/2010.01412)); what the edge "
        "explains is the first. Here three times flatter buys a tenth of the held-out loss and no "
        "accuracy, and flatter still buys nothing more. In the live lab you can change data, loss "
        "and seed, and see how that depends on them.",
    ),
    Lesson(
        "success",
        "A success?",
        "The digits again, under SAM with a hundred times the radius: ρ = 5. Within 20 steps "
        "sharpness / edge reads 1.00, and there it stays: the run is at its SAM-edge.",
        "Is this a success?",
        (
            "Yes: at its edge, and it has learnt.",
            "No: at its edge, but nothing is learnt.",
            "No: it is not at its edge.",
        ),
        Knob(
            "SAM radius ρ",
            (0.05, 0.2, 0.5, 5.0),
            5.0,
            "Which of these radii leave the network alive? And at its edge?",
        ),
        lambda rho: _one(PRESETS["wrong-dead-network"].config.replace(rho=rho)),
        observations.success,
        "ρ must be small beside the weights themselves: too long a look uphill sees another "
        "network. At ρ = 5 this one dies within a few steps. Only its output biases still move, "
        "hopping in a bowl of their own, with $\\lambda = 0.2$ and its own SAM-edge. A ratio of 1 "
        "tells where a run is, not what it has learnt. **Look at the accuracy and the loss too.**",
    ),
)

LESSONS: dict[str, Lesson] = {lesson.name: lesson for lesson in _LESSONS}
