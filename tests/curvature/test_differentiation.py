"""Derivatives are the same whatever torch's modes are where they are asked for."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import samedge_core as se
from samedge_core.curvature.differentiation import PlainAttention
from samedge_core.problems.problem import Problem
from samedge_core.problems.quadratic import TwoWeight

MODES = {"no_grad": torch.no_grad, "inference_mode": torch.inference_mode}


def quartic(w: torch.Tensor) -> torch.Tensor:
    return (w**4).sum()  # the Hessian is diag(12 w^2)


def point() -> torch.Tensor:
    return torch.tensor([1.0, 2.0, -0.5])


def module(**options) -> Problem:
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randn(20, size, generator=generator) for size in (3, 2))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2))
    return Problem.from_module(layers, x, y, **options)


def product(operator) -> torch.Tensor:
    return operator.matvec(torch.ones(operator.size))


def trained(own: Problem | None = None, **settings) -> torch.Tensor:
    config = se.RunConfig(rule="sam", eta=0.1, steps=4, **settings)
    columns = se.run(config, own).columns()
    return torch.tensor([columns[name].tolist() for name in ("loss", "grad_norm", "sharpness")])


SMALL = {"problem": "digits-mlp", "options": {"n": 20, "width": 4}}
DIFFERENTIATE = {
    "sharpness": lambda: torch.tensor(se.sharpness(quartic, point(), top_k=2).values),
    "dense_hessian": lambda: se.dense_hessian(quartic, point()),
    "HessianOperator": lambda: se.HessianOperator(quartic, point()).g,
    "matvec": lambda: product(se.HessianOperator(quartic, point())),
    "matvec of terms": lambda: product(se.HessianOperator([quartic, quartic], point(), retained=1)),
    "spectrum": lambda: torch.tensor(se.spectrum(se.HessianOperator(quartic, point())).nodes),
    "an estimated spectrum": lambda: torch.tensor(
        se.spectrum(se.HessianOperator(quartic, point()), exact_below=0).nodes
    ),
    "SharpnessTracker": lambda: torch.tensor(
        se.SharpnessTracker(seed=0).measure(se.HessianOperator(quartic, point())).values
    ),
    "gradient": lambda: TwoWeight(2.0, 3.0, torch.float32).gradient(torch.tensor([2.0, 3.0]), None),
    "from_module": lambda: module().gradient(module().init(seed=0), None),
    "a run of a module": lambda: trained(module()),
    "mini-batches": lambda: trained(module(), batch_size=5),
    "a fixed batch": lambda: trained(module(), batch_size=5, measure_on="fixed"),
    "a run by name": lambda: trained(**SMALL),
    "a plain run": lambda: trained(se.build_problem(se.RunConfig(**SMALL), "plain")),
    "a run of two weights": lambda: trained(TwoWeight(2.0, 0.3, torch.float32)),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", DIFFERENTIATE)
def test_the_same_inside_every_mode(name, mode):
    expected = DIFFERENTIATE[name]()
    with MODES[mode]():
        ours = DIFFERENTIATE[name]()
        assert not torch.is_grad_enabled()
        assert torch.is_inference_mode_enabled() == (mode == "inference_mode")
    assert expected.abs().max() > 0
    assert torch.equal(ours, expected)


def test_a_module_made_in_inference_mode_is_trained_outside():
    with torch.inference_mode():
        problem = module()
    assert torch.equal(trained(problem), trained(module()))


def test_a_loss_that_torch_does_not_record_is_no_constant():
    with pytest.raises(ValueError, match=r"changes with w .* recorded no derivative"):
        se.sharpness(torch.no_grad()(quartic), point())
    assert se.sharpness(lambda w: torch.ones(()), point()).value == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("measure", [se.sharpness, se.HessianOperator])
def test_other_precisions_are_refused_with_the_remedy(measure, dtype):
    with pytest.raises(ValueError, match=r"float32 or float64, got b?float16: call w.float\(\)"):
        measure(quartic, point().to(dtype))


# --- attention ----------------------------------------------------------------------------------


def attention(w: torch.Tensor, mask=None, causal: bool = False) -> torch.Tensor:
    query, key, value = w.view(3, 1, 2, 4, 3)
    return F.scaled_dot_product_attention(query, key, value, mask, is_causal=causal).sin().sum()


MASK = torch.tensor([[True, False, False, True], [True, True, False, False]] * 2)


@pytest.mark.parametrize(
    "options", [{}, {"mask": MASK}, {"mask": MASK.double()}, {"causal": True}], ids=str
)
def test_attention_has_second_derivatives(options):
    w = torch.randn(72, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def gradient(w: torch.Tensor) -> torch.Tensor:  # by torch's own kernel
        w = w.detach().requires_grad_()
        return torch.autograd.grad(attention(w, **options), w)[0]

    v = torch.ones(72, dtype=torch.float64)
    expected = (gradient(w + 1e-6 * v) - gradient(w - 1e-6 * v)) / 2e-6
    operator = se.HessianOperator(lambda w: attention(w, **options), w)
    torch.testing.assert_close(operator.matvec(v), expected, rtol=0, atol=1e-8)
    dense = se.dense_hessian(lambda w: attention(w, **options), w)
    torch.testing.assert_close(dense @ v, expected, rtol=0, atol=1e-8)


def test_plain_attention_ends_with_its_block():
    w = torch.ones(72, requires_grad=True)
    with PlainAttention() as plain:
        value = attention(w)
    assert plain.used
    assert "Flash" not in str(backward_of(value))
    assert "Flash" in str(backward_of(attention(w)))


def backward_of(value: torch.Tensor) -> list[str]:
    waiting, names = [value.grad_fn], []
    while waiting:
        node = waiting.pop()
        if node is not None:
            names.append(node.name())
            waiting += [before for before, _ in node.next_functions]
    return names


def test_the_dense_hessian_of_a_layer_norm_is_right():
    """What `torch.func` has of it is off by a tenth."""
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def loss(w: torch.Tensor) -> torch.Tensor:
        scale, shift, matrix = w[:4], w[4:8], w[8:].view(4, 4)
        return F.layer_norm(x @ matrix, (4,), scale, shift).square().mean()

    def by_hand(w: torch.Tensor) -> torch.Tensor:
        scale, shift, z = w[:4], w[4:8], x @ w[8:].view(4, 4)
        z = z - z.mean(1, keepdim=True)
        z = z / (z.square().mean(1, keepdim=True) + 1e-5).sqrt()
        return (z * scale + shift).square().mean()

    w = torch.randn(24, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(
        se.dense_hessian(loss, w), torch.func.hessian(by_hand)(w), rtol=0, atol=1e-12
    )


def test_a_dense_hessian_that_is_not_symmetric_is_refused():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(6, 4, generator=generator)
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
    names = [name for name, _ in layer.named_parameters()]
    sizes = [p.shape for p in layer.parameters()]
    w = nn.utils.parameters_to_vector(layer.parameters()).detach()

    def loss(w: torch.Tensor) -> torch.Tensor:
        parts = w.split([size.numel() for size in sizes])
        tensors = {n: p.view(s) for n, p, s in zip(names, parts, sizes, strict=True)}
        return torch.func.functional_call(layer, tensors, (x,)).tanh().square().sum()

    with pytest.raises(ValueError, match=r"must be symmetric, but torch's is off by"):
        se.dense_hessian(loss, w)
