"""Comparisons: which runs they are made of, and what a change means for each."""

import pytest

from samedge_core.experiments.comparisons import COMPARISONS, FACTORS, comparison_of
from samedge_core.fields import ConfigError
from samedge_core.training.config import RunConfig

CONFIG = RunConfig(problem="chebyshev-mlp", rule="sam", eta=0.2, rho=0.02, seed=3)


@pytest.mark.parametrize("name", COMPARISONS)
def test_the_runs_differ_in_one_setting_and_the_lead_is_as_entered(name):
    comparison = COMPARISONS[name]
    configs = comparison.configs(CONFIG)
    assert configs[comparison.lead] == CONFIG
    assert len({getattr(config, name) for config in configs}) == len(comparison.values)
    same = {name: getattr(CONFIG, name)}
    assert {config.replace(**same) for config in configs} == {CONFIG}


@pytest.mark.parametrize("eta", [0.1, 0.3, 1 / 3, 7e-5])
def test_factors_are_exact(eta):
    half, one, twice = (
        config.eta for config in COMPARISONS["eta"].configs(CONFIG.replace(eta=eta))
    )
    assert (2 * half, one, twice / 2) == (eta, eta, eta)
    assert FACTORS[COMPARISONS["eta"].lead] == 1


def test_a_change_is_that_of_each_run():
    entered = {"rule": "usam", "eta": 0.5, "rho": 0.1}
    assert COMPARISONS["rule"].settings(entered, 0) == {**entered, "rule": "gd"}
    assert COMPARISONS["eta"].settings(entered, 2) == {**entered, "eta": 1.0}
    assert COMPARISONS["rho"].settings(entered, 0) == {**entered, "rho": 0.05}
    assert COMPARISONS["rho"].settings({"eta": 0.5}, 0) == {"eta": 0.5}


def test_a_multiple_beyond_what_is_allowed_is_named():
    with pytest.raises(ConfigError, match=r"eta must be .* <= 1e\+06, got 2000000"):
        COMPARISONS["eta"].configs(CONFIG.replace(eta=1e6))


def test_without_a_radius_there_is_nothing_to_compare():
    assert COMPARISONS["rho"].fits(CONFIG)
    assert COMPARISONS["rho"].fits(CONFIG.replace(rule="usam"))
    assert not COMPARISONS["rho"].fits(CONFIG.replace(rho=0))
    assert not COMPARISONS["rho"].fits(CONFIG.replace(rho=1000))
    assert not COMPARISONS["rho"].fits(CONFIG.replace(rule="gd"))
    assert all(COMPARISONS[name].fits(CONFIG.replace(rule="gd")) for name in ("rule", "eta"))


@pytest.mark.parametrize("name", COMPARISONS)
def test_a_comparison_is_known_by_its_runs_in_their_order(name):
    configs = COMPARISONS[name].configs(CONFIG)
    assert comparison_of(configs) is COMPARISONS[name]
    assert comparison_of(configs[::-1]) is None
    assert comparison_of(configs[:1]) is None
    assert comparison_of([configs[0].replace(seed=4), *configs[1:]]) is None


def test_the_same_run_three_times_is_no_comparison():
    assert comparison_of([CONFIG] * 3) is None
    assert comparison_of([CONFIG.replace(rule="gd", rho=0)] * 3) is None
