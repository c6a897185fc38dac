"""The lessons, in the order in which they build on each other, and what they add up to.

Each run takes seconds on a laptop's CPU. What it shows where its question is asked is tested.
"""

from __future__ import annotations

from samedge_core.experiments.comparisons import COMPARISONS
from samedge_core.experiments.lessons import observations
from samedge_core.experiments.lessons.lesson import Knob, Lesson
from samedge_core.experiments.lessons.sketch import Canvas
from samedge_core.experiments.presets import PRESETS, settings
from samedge_core.training.config import RunConfig
from samedge_core.training.history import Intervention
from samedge_core.training.plan import Replay

HALVED_AT, DISTURBED_AT = 500, 60
# in Float64 the iterates can be had from the record to its last digits, and are drawn
_BOWL = settings(
    "quadratic", "gd", eta=0.42, steps=200, eigenvalues=(5.0, 2.0, 0.6), dtype="float64"
)
_SAM_BOWL = _BOWL.replace(rule="sam", eta=0.3, rho=0.1)
_AT_EDGE = _BOWL.replace(eta=0.4)
_WAY_DOWN = settings("two-weight", "gd", eta=0.02, steps=600, a=1.0, b=0.0, dtype="float64")
_LAYERS = settings("deep-linear", "gd", eta=0.3, steps=300, depth=3)
_STEPPED = settings("chebyshev-mlp", "gd", eta=0.4, seed=15, steps=1500)
_LOSS = settings("digits-mlp", "sam", eta=1.0, rho=0.05, steps=300)
_VALLEY = PRESETS["sam-two-weights"].config.replace(dtype="float64")
_ADAM = settings("chebyshev-mlp", "adam", eta=0.002, beta=0.9, beta2=0.99, seed=1, steps=900)
_DRAWN = settings("chebyshev-mlp", "gd", eta=0.2, seed=5, steps=1000)
_THROWN = settings(
    "two-weight", "polyak", eta=1.238, beta=0.5, steps=300, a=1.4, b=0.3, dtype="float64"
)


def _one(config: RunConfig) -> tuple[Replay, ...]:
    return (Replay(config),)


def _both(config: RunConfig) -> tuple[Replay, ...]:
    """GD and SAM from the same weights."""
    return tuple(map(Replay, COMPARISONS["rule"].configs(config)))


def _stepped(eta: float) -> tuple[Replay, ...]:
    change = Intervention(HALVED_AT, {"eta": eta}, {"eta": _STEPPED.eta})
    return (Replay(_STEPPED, (change,)),)


def _disturbed(steps: float) -> tuple[Replay, ...]:
    """Both take these steps of GD at SAM's eta, then go on as before."""
    found = []
    for config, name, value in ((_AT_EDGE, "eta", _SAM_BOWL.eta), (_SAM_BOWL, "rho", 0.0)):
        own = getattr(config, name)
        begin = Intervention(DISTURBED_AT, {name: value}, {name: own})
        end = Intervention(DISTURBED_AT + int(steps), {name: own}, {name: value})
        found.append(Replay(config, (begin, end)))
    return tuple(found)


def _around(distance: float) -> tuple[Replay, ...]:
    """The same start at three step sizes so far apart."""
    etas = (_THROWN.eta - distance, _THROWN.eta, _THROWN.eta + distance)
    return tuple(Replay(_THROWN.replace(eta=eta)) for eta in etas)


def _halved(eta: float) -> tuple[Replay, ...]:
    """The loss, and half of it at this eta, from the same weights."""
    half = {**_LOSS.options, "loss": "half-mse"}
    return Replay(_LOSS), Replay(_LOSS.replace(options=half, eta=eta))


_LESSONS = (
    Lesson(
        "step-size",
        "How large may a step be?",
        "The loss is a bowl, $L(w) = \\frac{1}{2} w^\\top A w$. Its *sharpness* is the largest "
        "eigenvalue of the Hessian, $\\lambda = 5$, and the same everywhere. The eigenvector "
        "$v_1$ that belongs to it is the direction in which the bowl is steepest. Gradient descent "
        "(GD) takes steps $w \\leftarrow w - \\eta\\, g$ against the gradient $g$.",
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
            "at η = {}",
        ),
        lambda eta: _one(_BOWL.replace(eta=eta)),
        observations.growth,
        "Along $v_1$ the gradient is $\\lambda$ times the distance from the bottom, so a step "
        "multiplies that distance by $1 - \\eta\\lambda$. It shrinks as long as "
        "$|1 - \\eta\\lambda| < 1$, that is while $\\lambda < 2/\\eta$. This **2/η** is GD's "
        "*edge of stability*: on a bowl that is sharper, each step overshoots by more than the "
        "one before. At $\\lambda = 2/\\eta$ it hops from side to side for ever, no nearer and no "
        "farther.",
        log_y=True,
    ),
    Lesson(
        "way-down",
        "The way down a valley",
        "The smallest network: two weights, $L(a, b) = \\frac{1}{2}(ab - 1)^2$. All minima lie on "
        "the curve $ab = 1$, where the sharpness is $a^2 + b^2$. GD starts at $a = 1$, $b = 0$ "
        "with tiny steps: 2/η = 100 is so far above the sharpness that nothing hops.",
        "What will the sharpness do while the loss falls?",
        (
            "It falls with the loss.",
            "It stays about where it began: nothing hops, so nothing drives it.",
            "It rises, up to the minimum.",
        ),
        Knob(
            "Start a",
            (0.25, 0.5, 1.0, 1.5, 2.0),
            1.0,
            "From which starts does the sharpness rise most? Compare its end with √(c² + 4).",
            "from a = {}",
        ),
        lambda a: _one(_WAY_DOWN.replace(options={**_WAY_DOWN.options, "a": a})),
        observations.way_down,
        "To raise the product $ab$, a step makes both weights larger, and the Hessian, with "
        "$a^2$ and $b^2$ on its diagonal, grows with them. How far is known exactly: tiny steps "
        "keep $c = a^2 - b^2$, and on $ab = 1$ this makes the sharpness $\\sqrt{c^2 + 4}$. So it "
        "rises for want of anything against it, and most from a small start, where $c$ is near 0 "
        "and everything is still to grow.",
    ),
    Lesson(
        "layers",
        "One layer after another",
        "The next larger network multiplies its input by one matrix after another and has no "
        "nonlinearity: with three hidden layers it is $W_4 W_3 W_2 W_1 x$, which is *linear* in "
        "$x$. GD fits it to 500 handwritten digits with η = 0.3, so that 2/η = 6.7 is again far "
        "above the sharpness.",
        "What will the sharpness do while the loss falls?",
        (
            "It falls with the loss.",
            "It stays: for a linear function the loss is a bowl.",
            "It rises.",
        ),
        Knob(
            "Depth, in hidden layers",
            (1.0, 2.0, 3.0, 4.0),
            3.0,
            "By what factor does the sharpness change? How does that depend on the layers?",
            "at depth {}",
        ),
        lambda depth: _one(_LAYERS.replace(options={**_LAYERS.options, "depth": int(depth)})),
        observations.rise,
        "The function is linear in $x$, but not in the weights: the gradient of each layer, and "
        "the Hessian, contain the product of all *other* layers. Tiny steps keep "
        "$W_{l+1}^\\top W_{l+1} - W_l W_l^\\top$ for any two neighbours, as they keep $c$ for two "
        "weights (Du, Hu and Lee, [arXiv 1806.00900](https://arxiv.org/abs/1806.00900)): so the "
        "layers grow together, and the sharpness with their products. More layers, more factors "
        "that grow.",
    ),
    Lesson(
        "room",
        "Room to climb",
        "A tanh network learns 500 handwritten digits under GD. It begins at a sharpness of 0.5, "
        "and you know in which direction training drives it. With η = 1.75 GD is stable up to 2/η "
        "= 1.14.",
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
            "at η = {}",
        ),
        lambda eta: _one(PRESETS["gd-digits-tanh"].config.replace(eta=eta)),
        observations.progressive_sharpening,
        "The rise is called *progressive sharpening*: layers grow together here too. At 2/η GD "
        "starts to hop across the valley, as on the bowl. But the Hessian of a network differs at "
        "every $w$, and hopping pushes $w$ to where the valley is wider; so the sharpness is held "
        "about the edge (seen by Cohen et al., "
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
            "It stays where it is: GD has found its place.",
            "It goes to the new edge.",
            "It goes the other way.",
            "Nowhere: the run diverges.",
        ),
        Knob(
            f"η from step {HALVED_AT} on",
            (0.1, 0.2, 0.3, 0.5, 0.6),
            0.2,
            "A larger η lowers the edge below where the sharpness is. How far can that go?",
            f"with η = {{}} from step {HALVED_AT} on",
        ),
        _stepped,
        observations.new_edge,
        "The step size decides. The network would have become sharper all along; it was the edge "
        "that held it. Raise the edge, and the sharpness climbs on, as far as training still "
        "sharpens in the steps that are left. Lower it a little, and the hops across the valley "
        "drive the sharpness down to it; lower it by too much at once, and they grow faster than "
        "the valley widens.",
        log_y=True,
    ),
    Lesson(
        "look-uphill",
        "A look uphill",
        "Sharpness-aware minimization (SAM) looks uphill before it steps: it takes the gradient "
        "not at $w$ but at the *perturbed point* $w + \\rho\\, g / \\|g\\|$, the distance ρ away. "
        "Back to the bowl with $\\lambda = 5$, now with η = 0.3. There 2/η = 6.7, so GD would come "
        "to rest at the bottom.",
        "What will the gradient norm do under SAM with ρ = 0.1?",
        ("It falls to 0, as under GD.", "It stops falling, well above 0.", "It grows and grows."),
        Knob(
            "SAM radius ρ",
            (0.0, 0.005, 0.02, 0.05, 0.1, 0.2),
            0.1,
            "Double ρ: where does ‖g‖ settle, and what is the edge there? What is left at ρ = 0?",
            "at ρ = {}",
        ),
        lambda rho: _one(_SAM_BOWL.replace(rho=rho)),
        observations.orbit,
        "GD halves its distance from the bottom at each step here ($1 - \\eta\\lambda = -0.5$). "
        "SAM looks ρ farther uphill before each step, however near the bottom it is, and so its "
        "hops can't die out. They neither grow nor shrink where $\\lambda$ is at the **SAM-edge**, "
        "$\\frac{\\|g\\|}{2\\rho}\\big(\\sqrt{1 + 8\\rho/(\\eta\\|g\\|)} - 1\\big)$. It is below "
        "2/η and moves with $\\|g\\|$; as $\\lambda$ can't move here, $\\|g\\|$ goes to where the "
        "edge equals 5, which is at 15ρ (Long and Bartlett, "
        "[arXiv 2309.12488](https://arxiv.org/abs/2309.12488)). At a given $\\|g\\|$ the SAM-edge "
        "goes to 2/η as ρ goes to 0, and with ρ = 0 SAM *is* GD.",
        log_y=True,
    ),
    Lesson(
        "disturbed",
        "After a disturbance",
        "Two hops on the bowl: GD exactly at its edge (η = 0.4, so that 2/η = 5 = λ), and SAM (η = "
        f"0.3, ρ = 0.1) where its SAM-edge is 5. From step {DISTURBED_AT} both are disturbed: for "
        "ten steps they take GD's steps with η = 0.3, which halve the distance from the bottom "
        "each time. Then each goes on as before.",
        "Whose hop comes back to its old size?",
        ("Both.", "SAM's alone.", "GD's alone.", "Neither: both stay as small as they are."),
        Knob(
            "Steps n of the disturbance",
            (1.0, 5.0, 10.0, 20.0),
            10.0,
            "What is the SAM-edge right after the disturbance, the smaller ‖g‖ has become?",
            "at n = {}",
        ),
        _disturbed,
        observations.comes_back,
        "At its edge GD's step multiplies the distance by $-1$, whatever that distance is: a hop "
        "of any size stays, and nothing remembers the old one. SAM's factor depends on $\\|g\\|$. "
        "As $\\|g\\|$ goes to 0 the look uphill becomes long beside the distance itself, and the "
        "SAM-edge goes to 0, like $\\sqrt{2\\|g\\|/(\\eta\\rho)}$. Then $\\lambda = 5$ is above, "
        "and the hop grows; were it too large, the edge would be above 5, and it would shrink. So "
        "SAM's hop *attracts*: near it, what is missing shrinks by $|1 - \\eta\\lambda| = 0.5$ a "
        "step. This is why SAM's curves are smooth at the edge, where GD's jitter.",
        log_y=True,
    ),
    Lesson(
        "sam-on-digits",
        "SAM trains a network",
        "Now SAM trains a ReLU network on digits, with η = 1 and ρ = 0.05. The sharpness begins at "
        "0.35 and can move; the SAM-edge begins at 1.2 and moves with the gradient norm; 2/η is 2.",
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
            "at ρ = {}",
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
        "half-the-loss",
        "Half the loss",
        "Some divide the squared error by two, and some do not. Here SAM trains the same network "
        "from the same weights on both (η = 1, ρ = 0.05). 2/η has no loss in it, and is 2 for "
        "both.",
        "Before the first step, at the same weights: what has half the loss?",
        (
            "Half the sharpness, and half the SAM-edge.",
            "Half the sharpness, and the same SAM-edge.",
            "Half the sharpness, and a SAM-edge between half and the same.",
        ),
        Knob(
            "η for half the loss",
            (1.0, 1.5, 2.0),
            1.0,
            "Twice the step for half the loss: what do the two runs have in common?",
            "with η = {} for half the loss",
        ),
        _halved,
        observations.scaled,
        "A factor $s$ on the loss multiplies gradient, Hessian and sharpness by $s$. 2/η does not "
        "change: the same network has more room below it. The SAM-edge depends on the loss "
        "through $\\|g\\|$, at the same η by a factor between $\\sqrt{s}$ and 1. A step $\\eta g$ "
        "is as long whether $s$ stands in $g$ or in η, and SAM's look uphill, $g/\\|g\\|$, has no "
        "$s$ in it: with η/s the run is the same, step for step. So a sharpness says nothing "
        "without the loss and the step size that belong to it; sharpness / edge does.",
    ),
    Lesson(
        "valley",
        "Is a minimum a minimum?",
        "The two weights again: minima are all points of $ab = 1$, their sharpness is "
        "$a^2 + b^2$, and least, 2, where $a = b$. GD and SAM start from the same sharp place, "
        "with η = 0.3.",
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
            "at ρ = {}",
        ),
        lambda rho: _both(_VALLEY.replace(rho=rho)),
        observations.valley,
        "GD comes to rest at a minimum flatter than 2/η, by far not the flattest: the gradient "
        "there is 0. SAM hops across the curve, as in the bowl. Uphill, on either side, the walls "
        "are steeper where the valley is sharper: the gradients there point a little that way "
        "along the curve, and SAM's steps, against them, the other way. So it drifts, although "
        "every point of the curve has loss 0, towards the flattest.",
        log_y=True,
    ),
    Lesson(
        "held-out",
        "On digits that it has not seen",
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
            "SAM radius ρ",
            (0.05, 0.1, 0.2),
            0.1,
            "Flatter still: does the held-out loss follow?",
            "at ρ = {}",
        ),
        lambda rho: _both(PRESETS["sam-held-out"].config.replace(rho=rho)),
        observations.flatness_and_held_out,
        "Flatness is one thing, generalisation another. SAM was invented for the second "
        "(Foret et al., [arXiv 2010.01412](https://arxiv.org/abs/2010.01412)); what the edge "
        "explains is the first. How much the one buys of the other depends on data, loss, network "
        "and seed. Two runs from one seed are an example, not a rule: in the live lab you can "
        "change all of these, and repeat a comparison with other seeds.",
    ),
    Lesson(
        "ratio-of-one",
        "Reading a ratio of 1",
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
            "at ρ = {}",
        ),
        lambda rho: _one(PRESETS["wrong-dead-network"].config.replace(rho=rho)),
        observations.success,
        "ρ must be small beside the weights themselves: too long a look uphill sees another "
        "network. At ρ = 5 this one dies within a few steps. Only its output biases still move, "
        "hopping in a bowl of their own, with $\\lambda = 0.2$ and its own SAM-edge. A ratio of 1 "
        "tells where a run is, not what it has learnt. **Look at the accuracy and the loss too.**",
    ),
    Lesson(
        "what-can-happen",
        "A map of what can happen",
        "The two weights once more, now with *momentum*: a velocity keeps half of itself, "
        "$v \\leftarrow \\frac{1}{2} v + g$, and the step follows it, $w \\leftarrow w - \\eta v$. "
        "From the same start, $a = 1.4$ and $b = 0.3$, three runs differ in the step size alone: "
        "η = 1.238, and 0.01 less and more.",
        "Some step sizes let a run stay in the valley, others throw it out. And these three?",
        (
            "They do the same: they are too near to each other to differ.",
            "The smaller stay, from some η on they are thrown out.",
            "One is thrown out, and at a larger η the run stays again.",
        ),
        Knob(
            "Distance between the three η",
            (0.001, 0.003, 0.01, 0.02, 0.1),
            0.01,
            "Seen from afar, is there one border? And from near? The map follows; zoom into it.",
            "with η {} apart",
        ),
        _around,
        observations.border,
        "In the map each pixel is a run: η to the right, the start $a$ upward. An edge tells where "
        "a run *in the valley* can stay there, (2 + 2β)/η under this momentum. Which starts come "
        "to the valley is another question, and here has no simple answer: what stays and what is "
        "thrown out interlock at every scale. Twice the resolution finds 3.2 times as many pixels "
        "at the border, where a line has 2 (measured from 128 to 1,024 pixels a side: a dimension "
        "of 1.7). The border of GD, without momentum, *is* a line: there it finds 2.0 times as "
        "many. Larger networks have such borders, too (Sohl-Dickstein, "
        "[arXiv 2402.06184](https://arxiv.org/abs/2402.06184)).",
        log_y=True,
    ),
    Lesson(
        "adam",
        "Adam's edge",
        "*Adam* remembers gradients: $m$ is their running mean, with share β kept from step to "
        "step, and $\\nu$ that of their squares. Its step divides each entry by the root, "
        "$w \\leftarrow w - \\eta\\, m/P$ with $P \\approx \\sqrt{\\nu}$. So a weight with small "
        "gradients moves as far as one with large ones, and what Adam sees is not the Hessian $H$ "
        "but $P^{-1/2} H P^{-1/2}$. The first chart has its largest eigenvalue.",
        "With η = 0.002 and β = 0.9, where will that eigenvalue go?",
        (
            "Nowhere in particular: P adapts, and keeps it small.",
            "To 2/η = 1,000, as the sharpness goes under GD.",
            "Beyond 2/η, and then it stays.",
        ),
        Knob(
            "Momentum β",
            (0.0, 0.3, 0.6, 0.9),
            0.9,
            "Which level belongs to which β? And what is it at β = 0?",
            "at β = {}",
        ),
        lambda beta: _one(_ADAM.replace(beta=beta)),
        observations.adams_edge,
        "At an edge each step turns the distance along the leading eigenvector round. Gradients "
        "of alternating sign nearly cancel in the running mean: of each, $(1-\\beta)/(1+\\beta)$ "
        "is left. So the valley may be steeper by $(1+\\beta)/(1-\\beta)$ before a step goes too "
        "far: Adam's edge is at $(2+2\\beta)/(\\eta(1-\\beta))$, which is 38/η at β = 0.9 "
        "(Cohen et al., [arXiv 2207.14484](https://arxiv.org/abs/2207.14484)). The sharpness "
        "itself has no edge here: it may do what it likes, as long as P follows.",
    ),
    Lesson(
        "sam-on-adam",
        "SAM on Adam",
        "Nothing forbids Adam to take SAM's gradient, from the point ρ uphill. Its threshold, "
        "$(2+2\\beta)/(\\eta(1-\\beta))$, does not know ρ.",
        "With ρ = 0.1, how large will the curvature that Adam sees, the eigenvalue of "
        "$P^{-1/2} H P^{-1/2}$, become?",
        (
            "As large as without SAM: it goes to Adam's threshold.",
            "Somewhat smaller: more than a fifth of the threshold.",
            "Far smaller: less than a fifth of the threshold.",
        ),
        Knob(
            "SAM radius ρ",
            (0.0, 0.01, 0.05, 0.1, 0.2),
            0.1,
            "How fast does it fall with ρ? And which quantity is at the threshold in all of them?",
            "at ρ = {}",
        ),
        lambda rho: _one(_ADAM.replace(rule="sam-adam", rho=rho)),
        observations.sam_on_adam,
        "Uphill, the gradient along an eigenvector of $H$ is larger by "
        "$1 + \\rho\\lambda/\\|g\\|$: SAM multiplies the Hessian by that factor, whatever takes "
        "its gradient. What meets the threshold is then the largest eigenvalue of "
        "$P^{-1/2} H (I + \\rho H/\\|g\\|) P^{-1/2}$, the line of the first chart, at every ρ. "
        "Under plain GD steps, where P is 1, this is the SAM-edge. For Adam it is this project's "
        "own finding, not yet published: the ratio stays within some per cent of 1 here, and "
        "falls below it once the loss is tiny; try the preset that shows where.",
    ),
    Lesson(
        "draw-first",
        "Draw the curve first",
        "A tiny tanh network fits a polynomial with η = 0.2, so that 2/η = 10. The first run is "
        "GD's (ρ = 0). You have seen what drives the sharpness, and what answers. Does that say "
        "what a run will do, step by step? A theory has to, before the run.",
        "It begins at 6.5. How does the sharpness go on in 1,000 steps? Draw it.",
        (
            "It passes its edge, and is pushed back.",
            "It comes to its edge, and stays by it.",
            "It does not come to its edge.",
        ),
        Knob(
            "SAM radius ρ",
            (0.0, 0.01, 0.02, 0.05),
            0.0,
            "Draw SAM's curve, from the same weights. What does its own edge change?",
            "at ρ = {}",
        ),
        lambda rho: _one(_DRAWN.replace(rule="sam", rho=rho) if rho else _DRAWN),
        observations.meets_edge,
        "Progressive sharpening comes first: it raises the sharpness towards the edge. GD has no "
        "hop yet when it gets there; one grows from rounding alone, and by the time that it is "
        "large enough to push back, the sharpness is well above. SAM looks uphill and hops from "
        "its first steps on, so that its edge holds it all along. The *flow* knows nothing of the "
        "run: it follows the middle between two steps, which moves smoothly, and the hop around "
        "it. It is least exact where a hop grows from rounding.",
        canvas=Canvas(start=6.47, top=20.0, pace=100.0),
    ),
)

LESSONS: dict[str, Lesson] = {lesson.name: lesson for lesson in _LESSONS}

FORMER = {
    "sharpening": "room",
    "sam-orbit": "look-uphill",
    "moving-edge": "sam-on-digits",
    "flattest": "valley",
    "success": "ratio-of-one",
}
"""Names of before, which gave the answer away, and today's: old links still open."""

LEARNT: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "A step of GD multiplies the distance from the bottom of a valley of curvature λ by "
        "1 − ηλ, so GD is stable only where the sharpness is below **2/η**.",
        ("step-size",),
    ),
    (
        "Training sharpens for as long as nothing stops it, because layers grow together and the "
        "Hessian grows with their products.",
        ("way-down", "layers"),
    ),
    (
        "At 2/η the network starts to hop, hopping pushes it to flatter ground, and the sharpness "
        "hovers at the edge: so the step size decides how sharp it gets.",
        ("room", "new-step"),
    ),
    (
        "SAM takes its gradient at a point that is ρ uphill, and this gives it an edge of its own, "
        "below 2/η, that moves with the gradient norm.",
        ("look-uphill",),
    ),
    (
        "As ρ goes to 0 the SAM-edge goes to 2/η; as ‖g‖ goes to 0 the SAM-edge goes to 0, and so "
        "SAM never comes to rest in a valley.",
        ("look-uphill", "disturbed"),
    ),
    (
        "SAM's hop attracts, since its edge answers to ‖g‖; GD's hop is neutral, and keeps "
        "whatever size it has.",
        ("disturbed",),
    ),
    (
        "On a network sharpness, hops and SAM-edge go down together, so SAM ends flatter than GD "
        "could.",
        ("sam-on-digits",),
    ),
    (
        "A factor on the loss multiplies the sharpness, leaves 2/η alone and moves the SAM-edge "
        "through ‖g‖: compare ratios, not sharpnesses.",
        ("half-the-loss",),
    ),
    (
        "Along a curve of minima GD stops at the first that is flat enough for its step, and SAM "
        "drifts on to the flattest.",
        ("valley",),
    ),
    (
        "Flat is not the same as good: a flatter run may do no better on new data, and a ratio of "
        "1 may come from a network that is dead.",
        ("held-out", "ratio-of-one"),
    ),
    (
        "An edge says where a run in a valley can stay. Which step sizes bring a start there may "
        "have no single border, but one that is fractal.",
        ("what-can-happen",),
    ),
    (
        "Adam and RMSProp have their edge on the Hessian divided by P, and SAM multiplies that by "
        "its factor, too: one operator, of which GD's and SAM's edges are cases.",
        ("adam", "sam-on-adam"),
    ),
    (
        "The middle between two steps moves smoothly though the steps hop: a flow of that middle "
        "and of the hop draws the curve before the run.",
        ("draw-first",),
    ),
)
"""What the course adds up to: sentences, and the lessons that show each of them."""


def lesson_of(named: str) -> Lesson | None:
    """The lesson of this name, name of before, or number from 1; None where there is none."""
    if named in map(str, range(1, len(_LESSONS) + 1)):
        return _LESSONS[int(named) - 1]
    return LESSONS.get(FORMER.get(named, named))
