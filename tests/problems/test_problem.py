"""Problem.from_module: any module on one flat vector, and clear refusals."""

import math

import pytest
import torch
from torch import nn

from samedge_core.problems.problem import Batch, ModuleProblem, Problem


class TwoOutputs(nn.Module):
    """Parameters that a flat vector must keep apart: a matrix, a vector and a scalar."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
        self.shift = nn.Parameter(torch.tensor([7.0, 8.0]))
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return self.scale * (x @ self.matrix.T + self.shift)


X = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
Y = torch.zeros(2, 2)
LABELS = torch.tensor([1, 0])


def test_w_is_the_parameters_in_their_order():
    problem = Problem.from_module(TwoOutputs(), X, Y)
    w = problem.init(seed=0)
    assert problem.size == 9
    assert w.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 2]
    # x = e1 and e2 pick the first and second columns; then the shift, then the scale
    assert problem.predict(w, X).tolist() == [[16.0, 24.0], [18.0, 26.0]]
    assert float(problem.loss(w, None)) == (16**2 + 24**2 + 18**2 + 26**2) / 4


def test_the_modules_own_weights_are_the_start_and_stay_untouched():
    module = TwoOutputs()
    before = [p.detach().clone() for p in module.parameters()]
    problem = Problem.from_module(module, X, Y)
    w = problem.init(seed=0)
    assert torch.equal(problem.init(seed=1), w)
    w -= problem.gradient(w, None)  # what a caller does to his copy stays his
    problem.loss_and_gradient(w, problem.full_batch())
    assert problem.init(seed=0).tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 2]
    for now, then in zip(module.parameters(), before, strict=True):
        assert torch.equal(now, then)
        assert now.grad is None


def test_gradient_agrees_with_the_modules_own_backward_pass():
    module = TwoOutputs()
    nn.functional.mse_loss(module(X), Y).backward()
    expected = torch.cat([p.grad.reshape(-1) for p in module.parameters() if p.grad is not None])
    problem = Problem.from_module(module, X, Y)
    # sums of four terms in float32
    torch.testing.assert_close(
        problem.gradient(problem.init(seed=0), None), expected, rtol=1e-6, atol=0
    )


def test_named_losses_and_a_function_of_ones_own():
    labels = torch.tensor([1, 0])
    w = Problem.from_module(TwoOutputs(), X, Y).init(seed=0)

    def value(loss, y):
        return float(Problem.from_module(TwoOutputs(), X, y, loss=loss).loss(w, None))

    squares = 16**2 + 23**2 + 17**2 + 26**2  # against the rows (0, 1) and (1, 0)
    assert value("mse", labels) == squares / 4
    assert value("half-mse", labels) == squares / 8
    # log(e^16 + e^24) - 24 and log(e^18 + e^26) - 18, both in float32 near 26
    expected = (math.log1p(math.exp(-8)) + 8 + math.log1p(math.exp(-8))) / 2
    assert value("cross-entropy", labels) == pytest.approx(expected, abs=4e-6)
    assert value(lambda outputs, y: (outputs - y).abs().sum(), Y) == 16 + 24 + 18 + 26


def test_accuracy_counts_the_largest_output():
    problem = Problem.from_module(TwoOutputs(), X, torch.tensor([1, 0]))
    assert problem.evaluate(problem.init(seed=0)).accuracy == 0.5
    regression = Problem.from_module(TwoOutputs(), X, Y)
    assert math.isnan(regression.evaluate(regression.init(seed=0)).accuracy)


def test_inputs_take_the_modules_precision_and_integers_stay_integers():
    single = Problem.from_module(TwoOutputs(), X.double(), Y)
    assert single.full_batch().x.dtype == torch.float32
    words = torch.tensor([[0, 1], [2, 1]])
    module = nn.Sequential(nn.Embedding(3, 2), nn.Flatten(), nn.Linear(4, 2))
    problem = Problem.from_module(module, words, torch.tensor([0, 1]), loss="cross-entropy")
    assert problem.full_batch().x.dtype == torch.int64
    assert problem.gradient(problem.init(seed=0), None).shape == (6 + 10,)


def test_batches_only_when_they_are_smaller_than_the_data():
    problem = Problem.from_module(TwoOutputs(), X, Y)
    assert problem.batches(seed=0, batch_size=0) is None
    assert problem.batches(seed=0, batch_size=2) is None
    source = problem.batches(seed=0, batch_size=1)
    assert source is not None
    assert source.next().x.shape == (1, 3)


def test_an_initialiser_draws_fresh_weights():
    def normal(module):
        for p in module.parameters():
            nn.init.normal_(p)

    problem = ModuleProblem(TwoOutputs(), X, Y, "mse", normal)
    assert torch.equal(problem.init(seed=4), problem.init(seed=4))
    assert not torch.equal(problem.init(seed=4), problem.init(seed=5))


class MixedPrecision(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.zeros(1))
        self.b = nn.Parameter(torch.zeros(1, dtype=torch.float64))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((nn.ReLU(), X, Y), "no parameters"),
        ((MixedPrecision(), X, Y), r"one dtype, got \['torch.float32', 'torch.float64'\]"),
        ((TwoOutputs(), X, Y[:1]), "same length > 0, got 2 and 1"),
        ((TwoOutputs(), X[:0], Y[:0]), "same length > 0, got 0 and 0"),
        ((TwoOutputs(), X / 0, Y), "x must be finite in float32, got 6 other entries"),
        ((TwoOutputs(), X.double() + 1e300, Y), "x must be finite in float32, got 6 other"),
        ((TwoOutputs(), X, Y * math.nan), "y must be finite in float32, got 4 other entries"),
        ((TwoOutputs(), X, LABELS - 1), "classes from 0 to 1, .* has 2 outputs, got -1 to 0"),
        ((TwoOutputs(), X, LABELS + 1, "cross-entropy"), "classes from 0 to 1, .* got 1 to 2"),
        ((TwoOutputs(), X, LABELS > 0), "integer classes or float values, got torch.bool"),
        ((TwoOutputs(), X, LABELS[:, None]), r"y must have shape \(2,\), .* got \(2, 1\)"),
        ((TwoOutputs(), X, Y, "cross-entropy"), "integer classes for cross-entropy, got torch.fl"),
        ((TwoOutputs(), X, Y, "hinge"), "mse, half-mse, cross-entropy or a function, got 'hinge'"),
    ],
)
def test_refusals_show_what_came(arguments, message):
    with pytest.raises(ValueError, match=message):
        Problem.from_module(*arguments)


@pytest.mark.parametrize(("name", "x", "y"), [("x", X.numpy(), Y), ("y", X, LABELS.tolist())])
def test_what_is_no_tensor_is_named(name, x, y):
    with pytest.raises(TypeError, match=rf"{name} must be a torch\.Tensor, got (ndarray|list)"):
        Problem.from_module(TwoOutputs(), x, y)


@pytest.mark.parametrize("loss", ["mse", "cross-entropy"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_classes_may_be_integers_of_any_size(loss, dtype):
    value, expected = (
        (problem := Problem.from_module(TwoOutputs(), X, labels, loss)).loss(
            problem.init(seed=0), None
        )
        for labels in (LABELS.to(dtype), LABELS)
    )
    assert value == expected


class Noisy(nn.Linear):
    """Draws where no layer says so."""

    def forward(self, input):
        return nn.functional.dropout(super().forward(input))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.BatchNorm1d(3), r"but 0 \(BatchNorm1d\) changes its buffers .* call module\.eval\(\)"),
        (nn.Dropout(1e-9), r"but 0 \(Dropout\) draws anew at each call: call module\.eval\(\)"),
        (nn.GRU(3, 3, 2, dropout=0.1), r"0 \(GRU\) draws anew"),
        (Noisy(3, 3), r"0 \(Noisy\) draws anew at each call"),
    ],
)
def test_what_is_no_function_of_w_is_refused_and_left_as_it_was(layer, message):
    module = nn.Sequential(layer, nn.Linear(3, 2))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    random = torch.get_rng_state()
    with pytest.raises(ValueError, match=message):
        Problem.from_module(module, X.repeat(32, 1) + 1, Y.repeat(32, 1))
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_in_evaluation_mode_such_layers_are_taken_and_left_as_they_were():
    module = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(), nn.Linear(3, 2))
    problem = Problem.from_module(module.eval(), X, Y)
    w = problem.init(seed=0)
    assert problem.loss(w, None) == problem.loss(w, None)
    assert module.get_buffer("1.num_batches_tracked") == 0
    assert torch.equal(module.get_buffer("1.running_mean"), torch.zeros(3))


def test_outputs_and_targets_of_different_shapes_do_not_broadcast():
    with pytest.raises(ValueError, match=r"outputs \(2, 1\) and targets \(2,\) differ in shape"):
        Problem.from_module(nn.Linear(3, 1), X, torch.zeros(2))


# --- chunks -------------------------------------------------------------------------------------


def in_chunks(chunk: int | None, loss: str, *, held_out: bool = False) -> ModuleProblem:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(11, 3, generator=generator, dtype=torch.float64)
    y = torch.arange(11) % 2
    other = Batch(x[:5] + 1, y[:5]) if held_out else None
    return ModuleProblem(TwoOutputs().double(), x, y, loss, chunk=chunk, held_out=other)


@pytest.mark.parametrize("loss", ["mse", "half-mse", "cross-entropy"])
@pytest.mark.parametrize("chunk", [1, 4, 10, 11, 50])
def test_chunks_add_up_to_the_whole(loss, chunk):
    whole, cut = in_chunks(None, loss, held_out=True), in_chunks(chunk, loss, held_out=True)
    w = whole.init(seed=0) / 5
    assert len(cut.terms(None)) == math.ceil(11 / chunk)
    # sums of 22 terms in float64, in two orders
    for ours, expected in zip(
        cut.loss_and_gradient(w, None), whole.loss_and_gradient(w, None), strict=True
    ):
        torch.testing.assert_close(ours, expected, rtol=1e-13, atol=1e-14)
    for evaluate in ("evaluate", "evaluate_held_out"):
        ours, expected = (getattr(problem, evaluate)(w) for problem in (cut, whole))
        assert ours.loss == pytest.approx(expected.loss, rel=1e-13)
        assert ours.accuracy == expected.accuracy


def test_one_chunk_is_the_loss_itself_bit_for_bit():
    problem = in_chunks(11, "mse")
    w = problem.init(seed=0)
    loss, g = problem.loss_and_gradient(w, None)
    leaf = w.clone().requires_grad_()
    value = problem.loss(leaf, None)
    assert loss == value.detach()
    assert torch.equal(g, torch.autograd.grad(value, leaf)[0])


def test_evaluate_looks_at_the_first_examples_only():
    whole = in_chunks(None, "mse")
    x, y = whole.full_batch()
    part = ModuleProblem(TwoOutputs().double(), x, y, "mse", evaluated=4)
    w = whole.init(seed=0)
    assert part.evaluate(w).loss == float(whole.loss(w, Batch(x[:4], y[:4])))
    assert part.evaluate(w).loss != whole.evaluate(w).loss


def test_cross_entropy_of_sequences_is_the_mean_over_all_tokens():
    words = torch.tensor([[0, 1, 2], [2, 1, 0]])
    problem = Problem.from_module(nn.Embedding(3, 3), words, words.flip(1), loss="cross-entropy")
    w = problem.init(seed=0)
    logits = w.view(3, 3).log_softmax(-1)
    expected = -sum(logits[a, b] for a, b in ((0, 2), (1, 1), (2, 0))) / 3
    assert float(problem.loss(w, None)) == pytest.approx(float(expected), rel=1e-6)
    right = sum(int(logits[a].argmax()) == b for a, b in ((0, 2), (1, 1), (2, 0)))
    assert problem.evaluate(w).accuracy == right / 3


def test_buffers_of_a_module_are_used():
    class Scaled(nn.Linear):
        factor: torch.Tensor

        def __init__(self) -> None:
            super().__init__(3, 2)
            self.register_buffer("factor", torch.tensor(3.0))

        def forward(self, input):
            return self.factor * super().forward(input)

    problem = Problem.from_module(Scaled(), X, Y).to(torch.device("cpu"))
    w = problem.init(seed=0)
    plain = Problem.from_module(nn.Linear(3, 2), X, Y)
    torch.testing.assert_close(problem.predict(w, X), 3 * plain.predict(w, X))
