"""Nothing is left to compile while a run waits."""

import subprocess
import sys

# a process of its own: here, other tests may have had it compiled
SCRIPT = """
from numba.core.registry import CPUDispatcher
from samedge_core.training.warmup import compile_all
from samedge_core.curvature import expansion, hessian_model, parity, tracker, vectors
from samedge_core.problems.compiled import conv, dense, gemm
from samedge_core.training.config import RunConfig
from samedge_core.training.loop import run
KERNELS = (expansion, hessian_model, parity, tracker, vectors, conv, dense, gemm)


def variants():
    return {
        (module.__name__, name): len(item.signatures)
        for module in KERNELS
        for name, item in vars(module).items()
        if isinstance(item, CPUDispatcher)
    }

compile_all()
before = variants()
for dtype in ("float32", "float64"):
    for rule, top_k in (("gd", 1), ("sam", 3)):
        how = dict(rule=rule, top_k=top_k, dtype=dtype, steps=60)
        run(RunConfig(options={"n": 40, "width": 8}, **how))
        run(RunConfig(options={"n": 100, "activation": "tanh"}, **{**how, "steps": 2}))
        run(RunConfig(problem="chebyshev-mlp", **how))
        run(RunConfig(problem="digits-cnn", options={"n": 20}, **{**how, "steps": 2}))
after = variants()
assert before[tracker.__name__, "go_on"] == 2, before
assert after == before, {name: (before[name], after[name]) for name in after}
"""


def test_runs_find_everything_compiled():
    subprocess.run([sys.executable, "-c", SCRIPT], check=True)
