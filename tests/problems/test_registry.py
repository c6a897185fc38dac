"""The table of problems: every entry builds, and every option reaches the builder."""

import pytest

from samedge_core.fields import defaults
from samedge_core.problems.registry import PROBLEMS, build


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_problem_builds_from_its_defaults(name):
    spec = PROBLEMS[name]
    problem = build(name, defaults(spec.options), seed=0)
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


CASES = [
    (name, option.name, other)
    for name, spec in PROBLEMS.items()
    for option in spec.options
    for other in (
        option.choices
        or {"bool": (False,), "int": (11,), "float": (0.75,), "floats": ((1.0, 2.0),)}[option.kind]
    )
    if other != option.default
]


@pytest.mark.parametrize(("name", "option", "other"), CASES)
def test_every_option_changes_the_problem(name, option, other):
    options = defaults(PROBLEMS[name].options)
    if "width" in options:
        options["width"] = 6
    if option == "depth":
        other = 3

    def start(options):
        problem = build(name, options, seed=0, dtype="float64")
        w = problem.init(seed=0)
        return problem.size, float(problem.loss(w, problem.full_batch()))

    assert start(options) != start({**options, option: other})
