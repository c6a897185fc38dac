"""`samedge_core` inside another program leaves all of that program as it was."""

import locale
import logging
import os
import random
import signal
import sys
import threading
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import samedge_core as se
from samedge_core.problems.problem import Problem

ONES = torch.ones(3, dtype=torch.float32)
SMALL = {"problem": "digits-mlp", "options": {"n": 20, "width": 4}, "steps": 3}


class Program:
    """A module and data, trained half way, in settings that are not the usual ones."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.x, self.y = (torch.randn(12, size, generator=generator) for size in (3, 2))
        self.module = nn.Sequential(
            nn.Linear(3, 4), nn.BatchNorm1d(4), nn.GELU(), nn.Linear(4, 2)
        ).eval()
        self.module[0].requires_grad_(False)
        nn.functional.mse_loss(self.module(self.x), self.y).backward()

    def tensors(self) -> dict[str, bytes]:
        named = {**self.module.state_dict(), "x": self.x, "y": self.y}
        grads = {
            f"{n}.grad": p.grad for n, p in self.module.named_parameters() if p.grad is not None
        }
        return {name: t.detach().numpy().tobytes() for name, t in (named | grads).items()}

    def state(self) -> dict[str, Any]:
        """All that a library could change in passing."""
        return {
            "tensors": self.tensors(),
            "versions": [t._version for t in (self.x, self.y, *self.module.parameters())],
            "identities": [id(p) for p in self.module.parameters()],
            "trained": [p.requires_grad for p in (*self.module.parameters(), self.x, self.y)],
            "training": [part.training for part in self.module.modules()],
            "attributes": [sorted(vars(part)) for part in self.module.modules()],
            "hooks": [len(part._forward_hooks) for part in self.module.modules()],
            "torch": torch.get_rng_state().numpy().tobytes(),
            "numpy": repr(np.random.get_state()),  # noqa: NPY002
            "python": random.getstate(),
            "dtype": torch.get_default_dtype(),
            "device": torch.get_default_device(),
            "threads": torch.get_num_threads(),
            "modes": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
            "stacks": (torch._C._len_torch_function_stack(), torch._C._len_torch_dispatch_stack()),
            "attention": (
                torch.backends.cuda.flash_sdp_enabled(),
                torch.backends.cuda.math_sdp_enabled(),
            ),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "precision": torch.get_float32_matmul_precision(),
            "anomaly": torch.is_anomaly_enabled(),
            "errors": np.geterr(),
            "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
            "warnings": list(warnings.filters),
            "logging": (logging.root.level, list(logging.root.handlers), logging.root.disabled),
            "hook": (sys.excepthook, threading.excepthook),
            "environ": dict(os.environ),
            "folder": os.getcwd(),
            "locale": locale.setlocale(locale.LC_ALL),
            "living": threading.active_count(),
        }


def recorded(program: Program, home) -> None:
    with se.open_runs(home) as runs:
        run = runs.run(se.RunConfig(**SMALL))
        run.fork(1, eta=0.5).resume(steps=5)


ENTRIES = {
    "from_module": lambda p, home: Problem.from_module(p.module, p.x, p.y),
    "run": lambda p, home: se.run(
        se.RunConfig(rule="sam", eta=0.1, steps=3), Problem.from_module(p.module, p.x, p.y)
    ),
    "mini-batches": lambda p, home: se.run(
        se.RunConfig(rule="sam", eta=0.1, steps=3, batch_size=4),
        Problem.from_module(p.module, p.x, p.y),
    ),
    "run by name": lambda p, home: se.run(se.RunConfig(**SMALL)),
    "build_problem": lambda p, home: se.build_problem(se.RunConfig(**SMALL)).init(seed=3),
    "open_runs": recorded,
    "sharpness": lambda p, home: se.sharpness(lambda w: (p.x @ w).cos().sum(), ONES),
    "dense_hessian": lambda p, home: se.dense_hessian(lambda w: (p.x @ w).cos().sum(), ONES),
    "spectrum": lambda p, home: se.spectrum(
        se.HessianOperator(lambda w: (p.x @ w).cos().sum(), ONES)
    ),
    "descend": lambda p, home: se.descend(
        se.Quadratic([5.0, 1.5]), "sam", eta=0.3, rho=0.2, start=[1.0, 0.5], steps=20
    ),
    "paper_figures": lambda p, home: se.paper_figures(se.run(se.RunConfig(**SMALL))),
    "summarise": lambda p, home: se.summarise(se.run(se.RunConfig(**SMALL))),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_leaves_the_program_as_it_was(name, tmp_path, monkeypatch):
    monkeypatch.setenv("SAMEDGE_HOME", str(tmp_path))
    program = Program()
    ENTRIES[name](program, tmp_path / "runs")  # what is loaded at the first use stays loaded
    usual = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(2)
    torch.set_default_dtype(torch.float64)
    try:
        before = program.state()
        with torch.no_grad():
            ENTRIES[name](program, tmp_path / "runs")
        after = program.state()
    finally:
        torch.set_num_threads(usual[0])
        torch.set_default_dtype(usual[1])
    assert {key for key in before if before[key] != after[key]} == set()


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.Dropout(), nn.Linear(3, 2)),
        nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 2)),
        nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2)),
        nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)), nn.Tanh()),
    ],
    ids=lambda module: type(module[0]).__name__,
)
def test_a_refused_module_is_left_as_it_was(module):
    program = Program()
    program.module = module
    before = program.state()
    with pytest.raises(ValueError, match=r"draws|leave x|buffers|symmetric"):
        Problem.from_module(program.module, program.x, program.y)
    assert program.state() == before


def test_the_modules_weights_may_occur_twice():
    """torch's `functional_call` leaves other tensors in a layer that occurs twice."""
    layer = nn.Linear(3, 3)
    module = nn.Sequential(layer, nn.Tanh(), layer)
    x = torch.eye(3)
    problem = Problem.from_module(module, x, x)
    w = problem.init(seed=0)
    assert problem.size == 12
    assert float(problem.loss(w, None)) == pytest.approx(
        float((module(x) - x).detach().square().mean()), rel=1e-6
    )
    assert isinstance(layer.weight, nn.Parameter)
