"""Modules as people bring them: taken, and right against a dense Hessian, or refused in words."""

import copy
import math
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import samedge_core as se
from samedge_core.curvature.operator import HessianOperator
from samedge_core.problems.problem import ModuleProblem, Problem


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def classes(*shape: int, count: int = 3) -> torch.Tensor:
    return torch.randint(0, count, shape, generator=torch.Generator().manual_seed(4))


X, Y, C = noise(12, 4), noise(12, 2), classes(12)
WORDS, SERIES, IMAGES = classes(12, 3, count=5), noise(12, 5, 4), noise(12, 1, 6, 6)


class Through(nn.Module):
    """Linear layers around a function, or around a module."""

    def __init__(self, inner, inputs: int = 4, outputs: int = 2) -> None:
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(4, inputs), inner, nn.LazyLinear(outputs)

    def forward(self, x):
        inner = self.inner(self.first(x))
        return self.last((inner[0] if isinstance(inner, tuple) else inner).flatten(1))


class OnImages(nn.Module):
    def __init__(self, *inner: nn.Module) -> None:
        super().__init__()
        self.first, self.inner = nn.Conv2d(1, 2, 3, padding=1), nn.Sequential(*inner)
        self.last = nn.LazyLinear(2)

    def forward(self, x):
        return self.last(self.inner(self.first(x)).flatten(1))


class Attention(nn.Module):
    def __init__(self, **options) -> None:
        super().__init__()
        self.project, self.options = nn.Linear(4, 12), options

    def forward(self, x):
        query, key, value = self.project(x).chunk(3, -1)
        heads = (t.unflatten(-1, (2, 2)).transpose(1, 2) for t in (query, key, value))
        return F.scaled_dot_product_attention(*heads, **self.options)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, words):
        return self.head(torch.tanh(self.embedding(words)))


class InSingle(nn.Linear):
    """Computes in float32 whatever its precision."""

    def forward(self, input):
        return super().forward(input.float())


class Remembering(nn.Linear):
    seen: torch.Tensor

    def forward(self, input):
        self.seen = super().forward(input)
        return torch.tanh(self.seen)


def with_generator(module: nn.Module) -> nn.Module:
    setattr(module, "examples", (x for x in X))  # noqa: B010
    return module


def frozen(module: nn.Module, *names: str) -> nn.Module:
    for name, p in module.named_parameters():
        p.requires_grad_(name not in names)
    return module


def with_integers(module: nn.Module) -> nn.Module:
    module.register_parameter("q", nn.Parameter(torch.ones(3, dtype=torch.int8), False))
    return module


MASK = torch.tensor([[True, False, True, True, False]] * 5) | torch.eye(5, dtype=torch.bool)
MLP = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))

TAKEN = {
    "linear": (lambda: nn.Linear(4, 2), X, Y),
    "relu": (lambda: Through(nn.ReLU()), X, Y),
    "leaky relu": (lambda: Through(nn.LeakyReLU()), X, Y),
    "rrelu": (lambda: Through(nn.RReLU()).eval(), X, Y),
    "inplace": (lambda: Through(nn.ReLU(inplace=True)), X, Y),
    "gelu": (lambda: Through(nn.GELU()), X, Y),
    "silu": (lambda: Through(nn.SiLU()), X, Y),
    "softmax": (lambda: Through(nn.Softmax(1)), X, Y),
    "dropout": (lambda: Through(nn.Dropout()).eval(), X, Y),
    "layer norm": (lambda: Through(nn.LayerNorm(4)), X, Y),
    "batch norm": (lambda: Through(nn.BatchNorm1d(4)).eval(), X, Y),
    "sorted": (lambda: Through(lambda t: t.sort(1).values ** 2), X, Y),
    "singular values": (lambda: Through(lambda t: torch.linalg.svdvals(t.view(-1, 2, 2))), X, Y),
    "max-pool": (lambda: OnImages(nn.ReLU(), nn.MaxPool2d(2)), IMAGES, Y),
    "batch norm, max-pool": (
        lambda: OnImages(nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2)).eval(),
        IMAGES,
        Y,
    ),
    "average pool": (lambda: OnImages(nn.GELU(), nn.AdaptiveAvgPool2d(2)), IMAGES, Y),
    "rnn": (lambda: Through(nn.RNN(4, 3, batch_first=True)), SERIES, Y),
    "gru": (lambda: Through(nn.GRU(4, 3, batch_first=True)), SERIES, Y),
    "lstm": (lambda: Through(nn.LSTM(4, 2, 2, batch_first=True, bidirectional=True)), SERIES, Y),
    "attention": (lambda: Through(Attention()), SERIES, Y),
    "causal attention": (lambda: Through(Attention(is_causal=True)), SERIES, Y),
    "masked attention": (lambda: Through(Attention(attn_mask=MASK)), SERIES, Y),
    "biased attention": (lambda: Through(Attention(attn_mask=noise(5, 5), scale=0.3)), SERIES, Y),
    "transformer": (
        lambda: Through(nn.TransformerEncoderLayer(4, 2, 6, batch_first=True)).eval(),
        SERIES,
        Y,
    ),
    "tied": (Tied, WORDS, WORDS.flip(0)),
    "tied layers": (lambda: (lambda a: nn.Sequential(a, nn.Tanh(), a))(nn.Linear(4, 4)), X, C),
    "spectral norm": (
        lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3))).eval(),
        X,
        C,
    ),
    "partly frozen": (lambda: frozen(copy.deepcopy(MLP), "0.weight", "0.bias"), X, Y),
    "frozen integers": (lambda: with_integers(nn.Linear(4, 2)), X, Y),
    "targets in double": (lambda: copy.deepcopy(MLP), X, Y.double()),
    "one class shown": (lambda: nn.Linear(4, 3), X, torch.zeros(12, dtype=torch.int64)),
}


def made(make, x) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = make()
        parameters = module.parameters() if isinstance(module, nn.Module) else ()
        if any(isinstance(p, nn.UninitializedParameter) for p in parameters):
            module(x)
    return module


def by_differences(module: nn.Module, x: torch.Tensor, y: torch.Tensor, step=1e-6) -> torch.Tensor:
    """The Hessian in float64, from gradients of the module's own backward pass at both sides."""
    module, x = copy.deepcopy(module).double(), x.double() if x.is_floating_point() else x
    trained = [p for p in module.parameters() if p.requires_grad]
    w = nn.utils.parameters_to_vector(trained).detach()

    def gradient(at: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            for p, part in zip(trained, at.split([p.numel() for p in trained]), strict=True):
                p.copy_(part.view_as(p))
        outputs = module(x)
        if y.is_floating_point():
            value = F.mse_loss(outputs, y.double())
        else:
            value = F.cross_entropy(outputs.flatten(0, -2), y.flatten())
        return torch.cat([g.flatten() for g in torch.autograd.grad(value, trained)])

    units = step * torch.eye(len(w), dtype=torch.float64)
    rows = [(gradient(w + unit) - gradient(w - unit)) / (2 * step) for unit in units]
    return torch.stack(rows)


@pytest.mark.parametrize("name", TAKEN)
def test_ordinary_modules_are_taken_and_their_curvature_is_right(name):
    make, x, y = TAKEN[name]
    module = made(make, x)
    loss = "mse" if y.is_floating_point() else "cross-entropy"
    problem = Problem.from_module(module, x, y, loss)
    assert problem.size == sum(p.numel() for p in module.parameters() if p.requires_grad)
    frame = se.run(se.RunConfig(rule="sam", eta=0.01, rho=0.01, steps=2), problem).columns()
    dense, v = by_differences(module, x, y), noise(problem.size).double()
    # a thousandth is promised of the sharpness; the products are in float32
    sharpness = float(torch.linalg.matrix_norm(dense, 2))
    assert frame["sharpness"][0] == pytest.approx(sharpness, rel=1e-3)
    assert frame["converged"][0]
    operator = HessianOperator(problem.terms(None), problem.init(seed=0))
    error = operator.matvec(v.float()) - dense @ v
    assert float(error.norm()) <= 1e-3 * float((dense @ v).norm())


# --- what is refused ----------------------------------------------------------------------------


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):  # pyright: ignore[reportIncompatibleMethodOverride]
        (x,) = ctx.saved_tensors
        return g * (x > 0)


class Rarely(nn.Module):
    """Draws at each call, and uses it at one in a thousand."""

    def __init__(self, draw) -> None:
        super().__init__()
        self.draw = draw
        self.generator = np.random.default_rng(0)
        self.own = torch.Generator()

    def forward(self, x):
        return -x if self.draw(self) < 1e-3 else x


class Unregistered(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers, self.last = [nn.Linear(4, 3)], nn.Linear(3, 2)

    def forward(self, x):
        return self.last(self.layers[0](x))


class Bound(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 3), nn.Linear(3, 2)
        self.body = lambda x: self.first(x)

    def forward(self, x):
        return self.last(self.body(x))


class Detached(nn.Linear):
    @torch.no_grad()
    def forward(self, input):
        return super().forward(input)


class Recomputed(nn.Linear):
    def forward(self, input):
        return checkpoint(
            lambda x: torch.tanh(F.linear(x, self.weight)), input, use_reentrant=False
        )


def straight_through(t: torch.Tensor) -> torch.Tensor:
    return t + (t.sign() - t).detach()


def rarely(draw) -> nn.Module:
    return Through(Rarely(draw))


EMBEDDED = lambda **options: nn.Sequential(  # noqa: E731
    nn.Embedding(5, 4, **options), nn.Flatten(), nn.Linear(12, 2)
)
WEIGHT_NORM = nn.utils.parametrizations.weight_norm

REFUSED = {
    "no module": (lambda: MLP.state_dict, X, Y, "must be a torch.nn.Module, got method"),
    "lazy": (lambda: nn.LazyLinear(2), X, Y, "lazy layers without weights: call it once"),
    "frozen": (lambda: frozen(nn.Linear(4, 2), "weight", "bias"), X, Y, "all 2 have requires_grad"),
    "half": (lambda: nn.Linear(4, 2).half(), X, Y, "float32 or float64, got torch.float16"),
    "bfloat": (lambda: nn.Linear(4, 2).bfloat16(), X, Y, "float32 or float64, got torch.bfloat16"),
    "complex": (lambda: nn.Linear(4, 2, dtype=torch.complex64), X, Y, "got torch.complex64"),
    "sparse x": (lambda: nn.Linear(4, 2), X.to_sparse(), Y, "x must be dense"),
    "no examples": (lambda: nn.Linear(4, 2), torch.tensor(1.0), Y, r"x must be dense.* shape \(\)"),
    "bytes": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(4, 2)),
        X.byte(),
        Y,
        r"take x of shape \(12, 4\) and torch.uint8, got RuntimeError .* from 1 \(Linear\)",
    ),
    "can't be copied": (
        lambda: with_generator(nn.Linear(4, 2)),
        X,
        Y,
        "one that copy.deepcopy copies, got TypeError",
    ),
    "a tuple": (lambda: nn.GRU(4, 2), SERIES, Y, "'mse', got tuple: hand in a function .*mse_loss"),
    "one output": (lambda: nn.Linear(4, 1), X, C * 0, "at least 2 outputs, .* got 1"),
    "other targets": (
        lambda: nn.Linear(4, 1),
        X,
        Y[:, 0],
        r"outputs \(12, 1\) and targets \(12,\)",
    ),
    "draws rarely": (
        lambda: rarely(lambda part: torch.rand(())),
        X,
        Y,
        r"inner \(Rarely\) draws anew at each call: call module.eval\(\)",
    ),
    "draws by Python": (lambda: rarely(lambda part: random.random()), X, Y, "draws anew"),
    "draws by NumPy": (lambda: rarely(lambda part: np.random.rand()), X, Y, "draws anew"),  # noqa: NPY002
    "draws by its own": (lambda: rarely(lambda part: part.generator.random()), X, Y, "draws anew"),
    "draws by torch's": (
        lambda: rarely(lambda part: torch.rand((), generator=part.own)),
        X,
        Y,
        "draws anew",
    ),
    "writes into x": (
        lambda: nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 2)),
        X,
        Y,
        "must leave x as it is, but Sequential writes into it",
    ),
    "writes into weights": (
        lambda: EMBEDDED(max_norm=0.5),
        WORDS,
        Y,
        r"0 \(Embedding\) changes its weights at each call: take out max_norm",
    ),
    "sparse gradient": (lambda: EMBEDDED(sparse=True), WORDS, Y, "its gradient fails"),
    "embedding bag": (
        lambda: nn.Sequential(nn.EmbeddingBag(5, 4), nn.Linear(4, 2)),
        WORDS,
        Y,
        "its Hessian-vector product fails: NotImplementedError",
    ),
    "distances": (lambda: Through(lambda t: torch.cdist(t, t)), X, Y, "product fails"),
    "once": (lambda: Through(Once.apply), X, Y, "Hessian must be symmetric, but <u, Hv> is"),
    "weight norm": (lambda: nn.Sequential(WEIGHT_NORM(nn.Linear(4, 2)), nn.Tanh()), X, Y, "symm"),
    "weight norm, relu": (
        lambda: Through(WEIGHT_NORM(nn.Linear(4, 50)), outputs=2),
        X,
        Y,
        "Hessian must be symmetric",
    ),
    "detached": (lambda: Through(torch.Tensor.detach), X, Y, "gradient must be that of the loss"),
    "detached outputs": (lambda: Detached(4, 2), X, Y, "must depend on the weights, but torch"),
    "straight through": (lambda: Through(straight_through), X, Y, "gradient must be that"),
    "recomputed": (
        lambda: Through(Recomputed(4, 4)),  # in the backward pass, from weights that aren't w
        X,
        Y,
        "gradient must be that of the loss",
    ),
    "in a list": (Unregistered, X, Y, r"no parameters of the module, of shapes .*\(3, 4\)"),
    "bound to itself": (Bound, X, Y, "through self instead of a lambda"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_wrong_or_fail_is_refused_in_words(name):
    make, x, y, message = REFUSED[name]
    loss = "mse" if y.is_floating_point() else "cross-entropy"
    kind = TypeError if name in ("no module", "a tuple") else ValueError
    with pytest.raises(kind, match=message) as refused:
        Problem.from_module(make() if name == "lazy" else made(make, x), x, y, loss)
    assert len(str(refused.value)) < 500


def test_jitted_modules_are_refused():
    with pytest.warns(DeprecationWarning, match="script"):
        module = torch.jit.script(nn.Linear(4, 2))
    with pytest.raises(ValueError, match=r"must not be compiled by torch\.jit"):
        Problem.from_module(module, X, Y)


LOSSES = {
    "targets of another type": (nn.CrossEntropyLoss(), C.int(), ValueError, "got RuntimeError"),
    "no scalar": (nn.MSELoss(reduction="none"), Y, ValueError, r"got shape \(12, 2\) of torch.flo"),
    "no tensor": (lambda outputs, y: 1.0, Y, TypeError, "must return a torch.Tensor, got float"),
    "writes into y": (lambda o, y: (o - y.add_(1)).sum(), Y, ValueError, "leave y as it is"),
    "no second derivative": (nn.MultiMarginLoss(), C % 2, ValueError, "product fails"),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_that_would_fail_are_refused_in_words(name):
    loss, y, kind, message = LOSSES[name]
    with pytest.raises(kind, match=message):
        Problem.from_module(nn.Linear(4, 2), X, y, loss)


def test_a_loss_takes_outputs_that_are_no_tensor():
    module = made(lambda: nn.GRU(4, 2, batch_first=True), SERIES)
    problem = Problem.from_module(module, SERIES, C % 2, lambda o, y: F.cross_entropy(o[1][0], y))
    expected = float(F.cross_entropy(module(SERIES)[1][0], C % 2).detach())
    assert se.run(se.RunConfig(rule="gd", eta=0.1, steps=2), problem).columns()["loss"][
        0
    ] == pytest.approx(expected, rel=1e-6)
    # which of the outputs are scores of the classes, only the loss knows
    assert problem.classes == 0
    assert math.isnan(problem.evaluate(problem.init(seed=0)).accuracy)


@pytest.mark.parametrize(
    ("y", "known"), [(C, True), (torch.where(C == 0, -100, C), False), (C + 9, False)]
)
def test_an_accuracy_is_given_where_the_outputs_are_scores_of_the_classes(y, known):
    def loss(outputs, y):
        return F.cross_entropy(outputs, y.clamp(max=2))

    problem = Problem.from_module(made(lambda: nn.Linear(4, 3), X), X, y, loss)
    assert math.isnan(problem.evaluate(problem.init(seed=0)).accuracy) != known


# --- the module of the caller -------------------------------------------------------------------


def test_what_the_caller_does_later_changes_nothing():
    module, x, y = (
        made(lambda: OnImages(nn.BatchNorm2d(2)).eval(), IMAGES),
        IMAGES.clone(),
        Y.clone(),
    )
    problem = Problem.from_module(module, x, y)
    w = problem.init(seed=0)
    before = problem.loss_and_gradient(w, None)
    module.train()
    module(x + 1)
    x.zero_()
    y.zero_()
    with torch.no_grad():
        for p in module.parameters():
            p.zero_()
    after = problem.loss_and_gradient(problem.init(seed=0), None)
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_frozen_parameters_stay_and_count_for_nothing():
    module = frozen(copy.deepcopy(MLP), "0.weight", "0.bias")
    problem = Problem.from_module(module, X, Y)
    head = Problem.from_module(MLP[2], torch.tanh(MLP[0](X)).detach(), Y)
    w = problem.init(seed=0)
    assert problem.size == head.size == 12
    for ours, expected in zip(
        problem.loss_and_gradient(w, None), head.loss_and_gradient(w, None), strict=True
    ):
        torch.testing.assert_close(ours, expected)


def test_more_examples_than_are_checked():
    x, y = noise(200, 4), classes(200)
    problem = Problem.from_module(
        made(lambda: Through(nn.ReLU(), outputs=3), X), x, y, "cross-entropy"
    )
    assert problem.full_batch().x.shape == (200, 4)

    class Fixed(nn.Linear):
        """Takes 200 examples and no other number."""

        def forward(self, input):
            return super().forward(input.view(200, 4))

    assert Problem.from_module(Fixed(4, 3), x, y, "cross-entropy").size == 15


def test_a_module_may_remember_a_history():
    module = made(lambda: Remembering(4, 2), X)
    module(X)
    problem = Problem.from_module(module, X, Y)
    assert float(problem.loss(problem.init(seed=0), None)) == pytest.approx(
        float(F.mse_loss(module(X), Y).detach()), rel=1e-6
    )


def test_a_module_may_compute_in_float32_within():
    module = nn.Sequential(InSingle(4, 5), nn.ReLU(), nn.Linear(5, 2))
    plain = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    plain.load_state_dict(module.state_dict())
    ours, expected = (Problem.from_module(m, X, Y) for m in (module, plain))
    w = ours.init(seed=0)
    # the plain one has its formulas written out, in another order
    torch.testing.assert_close(ours.gradient(w, None), expected.gradient(w, None))


def test_a_module_may_begin_on_kinks():
    module = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    with torch.no_grad():
        for p in module.parameters():
            p.zero_()
    assert isinstance(Problem.from_module(module, X, Y), ModuleProblem)
    assert isinstance(Problem.from_module(module, X * 0, Y), ModuleProblem)
