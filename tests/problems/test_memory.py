"""What a run needs of memory, and what there is."""

import os

import numpy as np
import pytest

from samedge_core.fields import ConfigError
from samedge_core.problems import memory
from samedge_core.problems.memory import Need, need
from samedge_core.problems.own_data import contents_of
from samedge_core.problems.registry import PROBLEMS, build
from samedge_core.training.config import RunConfig


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], 8e9),
        (["max"], 8e9),
        (["2700000000"], 2.7e9),
        (["max", "1000"], 1000),
        (["9223372036854771712"], 8e9),
    ],
)
def test_a_containers_limit_counts_where_it_is_lower(monkeypatch, tmp_path, texts, expected):
    sizes = {"SC_PAGE_SIZE": 4000, "SC_PHYS_PAGES": 2_000_000}
    monkeypatch.setattr(os, "sysconf", sizes.get)
    files = [tmp_path / str(number) for number in range(2)]
    for file, text in zip(files, texts, strict=False):
        file.write_text(f"{text}\n")
    monkeypatch.setattr(memory, "LIMITS", files)
    assert memory.memory() == expected


OPTIONS = {
    "digits-mlp": [{}, {"n": 20, "width": 7, "depth": 3}],
    "points-mlp": [{}, {"shape": "spirals-3", "width": 7, "depth": 3}],
    "deep-linear": [{"n": 20, "width": 7, "depth": 1}],
    "quadratic": [{"eigenvalues": (3.0, 2.0)}],
    "mnist-mlp": [{"n": 20, "width": 7, "depth": 2}],
    "cifar-cnn": [{"n": 5, "channels": 3, "blocks": 3, "layers": 2}],
    "shakespeare-transformer": [
        {"n": 5, "length": 9, "layers": 3, "heads": 2, "key": 5, "model": 14}
    ],
    "own-images": [
        {"n": 30, "width": 7, "depth": 2},
        {"n": 30, "network": "cnn", "channels": 3, "blocks": 2},
    ],
    "own-text": [{"n": 5, "length": 9, "layers": 3, "heads": 2, "key": 5, "model": 14}],
}


@pytest.mark.parametrize(
    ("problem", "options"), [(name, o) for name in PROBLEMS for o in OPTIONS.get(name, [{}])]
)
def test_the_number_of_parameters_is_that_of_the_problem(paper_files, own_files, problem, options):
    config = RunConfig(problem=problem, options={**options, **own_files.get(problem, {})})
    found = need(problem, config.options, contents_of(config.options))
    assert found.parameters == build(problem, config.options, seed=0).size
    assert found.setting in config.options


@pytest.mark.parametrize(
    ("shape", "options", "top_k", "megabytes"),
    # peaks of resident memory above that of an idle worker, in the first 3 to 20 steps
    [
        ((100, 28, 28), {"width": 600}, 1, 740),
        ((100, 28, 28), {"width": 600}, 5, 933),
        ((4000, 28, 28), {"width": 50, "depth": 2}, 1, 66),
        ((20000, 28, 28), {"width": 50, "depth": 2}, 1, 168),
        ((60, 40000), {"width": 100, "depth": 2}, 1, 4305),  # with 61 products in the first step
        ((100, 32, 32, 3), {"network": "cnn"}, 1, 218),
        ((400, 32, 32, 3), {"network": "cnn"}, 1, 377),
    ],
)
def test_the_bytes_are_at_most_those_that_were_measured_and_at_least_half(
    tmp_path, shape, options, top_k, megabytes
):
    file = tmp_path / "own.npz"
    np.savez_compressed(file, x=np.zeros(shape, np.uint8), y=np.arange(shape[0]) % 10)
    config = RunConfig(problem="own-images", options={"path": str(file), "n": shape[0], **options})
    found = need("own-images", config.options, contents_of(config.options), top_k=top_k)
    assert 0.5 <= found.bytes / (1e6 * megabytes) <= 1


def test_and_for_other_problems(tmp_path):
    (tmp_path / "t.txt").write_text("the quick brown fox jumps over it. " * 8000)
    text = RunConfig(problem="own-text", options={"path": str(tmp_path / "t.txt"), "n": 200})
    wide = RunConfig(options={"n": 1000, "width": 1000})
    for config, megabytes in ((text, 372), (wide, 728)):
        found = need(config.problem, config.options, contents_of(config.options))
        assert 0.5 <= found.bytes / (1e6 * megabytes) <= 1


def test_a_need_beyond_the_room_is_refused_with_both_and_a_remedy():
    wide = Need(1_198_210, 4.2e9, "width")
    wide.check(5e9)
    wide.check(float("inf"))
    with pytest.raises(
        ConfigError,
        match=r"^width must make a run that fits into 2 GB of memory, got one of 4\.2 GB at least, "
        "with 1,198,210 parameters: lower it, .* of the model or the data, or else$",
    ) as refused:
        wide.check(2e9, ", or else")
    assert refused.value.field == "width"
