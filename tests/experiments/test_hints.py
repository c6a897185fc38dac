"""The hints know which settings mislead, and leave the others alone."""

import re
import subprocess
import sys

import pytest

from samedge_core.experiments.comparisons import COMPARISONS
from samedge_core.experiments.hints import hints
from samedge_core.experiments.paper import ALL_PRESETS as PRESETS
from samedge_core.theory.rules import RULES
from samedge_core.training import RunConfig, StopReason

GLOROT, TANH = {"init": "glorot"}, {"activation": "tanh"}
WRONG = "wrong-dead-network"

MISLEADING = {
    # setting: (what the hint must say, the changes)
    "a warm-up without an end": (
        "η ends at 0.26, not at 2.5. Try a warm-up of 52",
        {"rule": "gd", "eta": 2.5, "schedule": "linear-warmup", "warmup": 1000, "steps": 104},
    ),
    "gd, small step": ("2/η = 20 is out of reach", {"rule": "gd", "eta": 0.1}),
    "gd, relu stays below 2/eta": ("rose to at most about 0.95", {"rule": "gd", "eta": 2}),
    "gd, tanh": ("2/η = 2 is out of reach", {"rule": "gd", "eta": 1, "options": TANH}),
    "gd, glorot": ("2/η = 1.33 is out of reach", {"rule": "gd", "eta": 1.5, "options": GLOROT}),
    "gd, half the loss": (
        "rose to at most about 0.475",
        {"rule": "gd", "eta": 2.5, "options": {"loss": "half-mse"}},
    ),
    "gd, catapult": ("catapult", {"rule": "gd", "eta": 6}),
    "gd, breaks": ("η = 20 is too large", {"rule": "gd", "eta": 20}),
    "sam, breaks": ("η = 20 is too large", {"eta": 20}),
    "sam, small step": ("η = 0.1 is too small", {"eta": 0.1}),
    "sam, tiny radius": ("ρ = 0.001 is so small", {"rho": 0.001}),
    "sam, no radius": ("out of reach", {"rho": 0, "eta": 1}),
    "sam, large radius": ("ρ = 1 is too large", {"rho": 1}),
    "sam, dead": ("ρ = 5 is too large", {"rho": 5}),
    "sam, small batches": ("With 50 examples", {"batch_size": 50}),
    "few examples in the Hessian": ("With 0.1 % of the examples", {"hessian_share": 0.001}),
    "cross-entropy": ("cross-entropy", {"options": {"loss": "cross-entropy"}}),
    "cross-entropy, cnn": (
        "cross-entropy",
        {"problem": "digits-cnn", "rule": "gd", "options": {"loss": "cross-entropy"}},
    ),
    "cnn, small step": (
        "2/η = 20 is out of reach",
        {"problem": "digits-cnn", "rule": "gd", "eta": 0.1},
    ),
    "cnn, starts above": ("catapult", {"problem": "digits-cnn", "rule": "sam", "eta": 2}),
    "cnn, large radius": (
        "ρ = 0.3 is too large",
        {"problem": "digits-cnn", "eta": 0.5, "rho": 0.3},
    ),
    "deep linear": ("out of reach", {"problem": "deep-linear", "rule": "gd", "eta": 1}),
    "chebyshev, breaks": (
        "η = 1 is too large",
        {"problem": "chebyshev-mlp", "rule": "gd", "eta": 1},
    ),
    "chebyshev, small step": (
        "2/η = 40 is out of reach",
        {"problem": "chebyshev-mlp", "rule": "gd", "eta": 0.05},
    ),
    "points, breaks": ("η = 1 is too large", {"problem": "points-mlp", "rule": "gd", "eta": 1}),
    "points, starts above": (
        "sharpness at the start, about 5.1",
        {"problem": "points-mlp", "rule": "gd", "eta": 0.5},
    ),
    "points, small step": (
        "2/η = 40 is out of reach",
        {"problem": "points-mlp", "rule": "gd", "eta": 0.05},
    ),
    "points, large radius": (
        "ρ = 0.3 is too large",
        {"problem": "points-mlp", "eta": 0.2, "rho": 0.3},
    ),
    "quadratic, sam": ("not below 2/η = 4", {"problem": "quadratic", "eta": 0.5}),
    "quadratic, usam": (
        "not below USAM-edge",
        {"problem": "quadratic", "rule": "usam", "eta": 0.3},
    ),
    "quadratic, saddle": (
        "saddle",
        {"problem": "quadratic", "rule": "gd", "eta": 0.1, "options": {"eigenvalues": "6, -1"}},
    ),
    "paper's mlp, small step": (
        "rose to at most about 3.3",
        {"problem": "mnist-mlp", "rule": "gd", "eta": 0.3},
    ),
    "paper's mlp, dead": ("ρ = 1 is too large", {"problem": "mnist-mlp", "rho": 1}),
    "paper's cnn, breaks": ("η = 0.01 is too large", {"problem": "cifar-cnn", "eta": 0.01}),
    "paper's cnn, small step": (
        "fell by itself to about 430",
        {"problem": "cifar-cnn", "rule": "gd", "eta": 0.004},
    ),
    "transformer, dead": (
        "ρ = 0.5 is too large",
        {"problem": "shakespeare-transformer", "eta": 0.02, "rho": 0.5, "batch_size": 64},
    ),
    "two weights": (
        "likely to diverge",
        {"problem": "two-weight", "rule": "gd", "eta": 0.5, "options": {"a": 3, "b": 0.2}},
    ),
}


class TestHints:
    def test_the_start_is_no_matter_of_a_run_under_way(self):
        for setting in ("gd, catapult", "cnn, starts above", "two weights"):
            config = RunConfig(**MISLEADING[setting][1])
            assert hints(config)
            assert hints(config, from_start=False) == []
        for setting in ("gd, small step", "sam, large radius", "quadratic, sam"):
            config = RunConfig(**MISLEADING[setting][1])
            assert hints(config, from_start=False) == hints(config) != []

    def test_a_share_of_the_data_matters_where_there_is_data(self):
        assert hints(RunConfig(hessian_share=0.25)) == []
        assert hints(RunConfig(problem="quadratic", eta=0.1, hessian_share=0.001)) == []

    def test_imports_no_torch(self):
        code = "import sys, samedge_core.experiments.hints; sys.exit('torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    @pytest.mark.parametrize("name", [name for name in PRESETS if name != WRONG])
    def test_good_presets_get_none(self, name):
        config = PRESETS[name].config
        # of step sizes and radii, the page asks about those in the middle
        rules = PRESETS[name].comparison == "rule"
        for one in COMPARISONS["rule"].configs(config) if rules else [config]:
            for seed in (0, 1):
                assert hints(one.replace(seed=seed)) == []

    def test_the_wrong_one_gets_one(self):
        (hint,) = hints(PRESETS[WRONG].config)
        assert "ρ = 5" in hint

    @pytest.mark.parametrize("setting", MISLEADING)
    def test_misleading_setting_is_named_and_answered(self, setting):
        expected, changes = MISLEADING[setting]
        found = hints(RunConfig(**changes))
        assert any(expected in hint for hint in found), found
        assert all("Try " in hint and hint.endswith(".") for hint in found)

    @pytest.mark.parametrize("eta", [0.05, 1.0, 2.0, 2.5, 6.0, 20.0])
    @pytest.mark.parametrize("rule", ["gd", "sam"])
    def test_half_the_loss_is_half_the_step(self, rule, eta):
        # exact: (L/2, 2 eta) and (L, eta) take the same steps, so both deserve the same warnings
        whole = hints(RunConfig(rule=rule, eta=eta))
        half = hints(RunConfig(rule=rule, eta=2 * eta, options={"loss": "half-mse"}))
        assert len(whole) == len(half)

    @pytest.mark.parametrize("rule", ["gd", "sam"])
    def test_following_the_advice_ends_the_warning(self, rule):
        for _, changes in MISLEADING.values():
            config = RunConfig(**{"rule": "sam", **changes})
            if config.problem in ("quadratic", "two-weight") or config.rule != rule:
                continue
            for hint in hints(config):
                advice = re.search(r"Try (η|ρ) = ([\d.]+)\.", hint)
                if advice:
                    name = {"η": "eta", "ρ": "rho"}[advice[1]]
                    followed = hints(config.replace(**{name: float(advice[2])}))
                    assert hint[:12] not in " ".join(followed)

    def test_other_sizes_are_warned_only_far_out(self):
        narrow = {"width": 50}
        assert hints(RunConfig(rule="gd", eta=2, options=narrow)) == []
        assert hints(RunConfig(rule="gd", eta=0.1, options=narrow))

    @pytest.mark.parametrize("rule", ["usam", "polyak", "nesterov"])
    def test_rules_that_were_not_measured_get_none_on_networks(self, rule):
        assert hints(RunConfig(rule=rule, eta=0.1)) == []

    @pytest.mark.parametrize("rule", ["gd", "sam", "usam", "polyak", "nesterov"])
    def test_quadratic_divergence_is_foretold_exactly(self, rule):
        from samedge_core.training.loop import run

        base = RunConfig(
            problem="quadratic",
            rule=rule,
            eta=1.0,
            rho=0.1,
            beta=0.5,
            steps=3000,
            measure_every=3000,
            dtype="float64",
        )
        (hint,) = hints(base)
        found = re.search(r"below ([\d.]+)\.$", hint)
        assert found
        limit = float(found[1])
        # the limit is printed to 3 digits, so step 2 % to either side
        for factor, diverges in ((0.98, False), (1.02, True)):
            config = base.replace(eta=factor * limit)
            assert bool(hints(config)) == diverges
            assert (run(config).stop_reason is StopReason.DIVERGED) == diverges


@pytest.mark.parametrize("rule", list(RULES))
def test_the_step_size_of_gd_is_too_large_where_the_gradient_is_divided_by_its_size(rule):
    large = [h for h in hints(RunConfig(rule=rule, eta=1.0)) if "far too large" in h]
    assert len(large) == RULES[rule].preconditioned
    assert all("Try η = 0.002." in hint for hint in large)
    assert not [h for h in hints(RunConfig(rule=rule, eta=0.002)) if "far too large" in h]
