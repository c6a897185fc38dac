"""The table of problems: every entry builds, and every option reaches the builder."""

from typing import Any

import pytest

from samedge_core.fields import defaults
from samedge_core.problems.registry import PROBLEMS, build

pytestmark = pytest.mark.usefixtures("paper_files")


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_problem_builds_from_its_defaults(name, own_files):
    spec = PROBLEMS[name]
    problem = build(name, defaults(spec.options) | own_files.get(name, {}), seed=0)
    assert spec.name == name
    assert spec.title
    assert spec.summary
    batch = problem.full_batch()
    if spec.data_size is None:
        assert batch is None
        assert problem.batches(seed=0, batch_size=0) is None
    else:
        assert batch is not None
        assert len(batch.x) == defaults(spec.options)[spec.data_size]
        assert problem.batches(seed=0, batch_size=5) is not None


OTHER: dict[str, tuple[Any, ...]] = {
    "bool": (False,),
    "int": (11,),
    "float": (0.75,),
    "floats": ((1.0, 2.0),),
    "path": (),
}
SMALL = {
    "n": 12,
    "n_test": 7,
    "width": 6,
    "channels": 3,
    "length": 8,
    "heads": 2,
    "key": 3,
    "model": 6,
}

CASES = [
    (name, option.name, other)
    for name, spec in PROBLEMS.items()
    for option in spec.options
    for other in (option.choices or OTHER[option.kind])
    if other != option.default
]


@pytest.mark.parametrize(("name", "option", "other"), CASES)
def test_every_option_changes_the_problem(name, option, other, own_files):
    options = defaults(PROBLEMS[name].options) | own_files.get(name, {})
    if PROBLEMS[name].builder.startswith("samedge_core.problems.paper:"):
        options |= {k: v for k, v in SMALL.items() if k in options}
    if "width" in options:
        options["width"] = 6
    if option in ("depth", "blocks", "layers"):
        other = 3 - min(options[option], 2)
    if name == "own-images" and option in ("channels", "blocks"):
        options["network"] = "cnn"

    def start(options):
        problem = build(name, options, seed=0, dtype="float64")
        w = problem.init(seed=0)
        held_out = problem.evaluate_held_out(w).loss
        return problem.size, float(problem.loss(w, problem.full_batch())), str(held_out)

    assert start(options) != start({**options, option: other})
