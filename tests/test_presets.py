"""The presets are valid and show what they claim; the hints know which settings mislead."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest

from samedge_core.presets import DEFAULT, PRESETS, Preset, hints
from samedge_core.training import RunConfig, StopReason

GLOROT, TANH = {"init": "glorot"}, {"activation": "tanh"}
WRONG = "wrong-dead-network"


def history(name: str, **changes):
    from samedge_core.training.loop import run

    return run(PRESETS[name].config.replace(**changes))


def measured(name: str, **changes) -> dict[str, np.ndarray]:
    """The columns of a (cut-down) preset at its measured steps."""
    columns = history(name, **changes).columns()
    return {k: v[np.isfinite(columns["sharpness"])] for k, v in columns.items()}


def late_deviation(columns: dict[str, np.ndarray]) -> float:
    """Median of |sharpness/edge - 1| over the last half."""
    ratio = columns["ratio"]
    return float(np.median(np.abs(ratio[len(ratio) // 2 :] - 1)))


class TestTable:
    @pytest.mark.parametrize("name", PRESETS)
    def test_entry_is_complete(self, name):
        preset = PRESETS[name]
        assert preset.name == name
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
        assert preset.title
        assert preset.see.endswith(".")
        assert len(preset.see) < 260

    @pytest.mark.parametrize("name", PRESETS)
    def test_config_survives_its_saved_form(self, name):
        config = PRESETS[name].config
        assert RunConfig.from_json(config.to_json()) == config

    def test_titles_differ(self):
        assert len({preset.title for preset in PRESETS.values()}) == len(PRESETS)

    def test_default_is_sam_on_digits(self):
        config = PRESETS[DEFAULT].config
        assert config.rule == "sam"
        assert config.problem == "digits-mlp"
        assert config.rho > 0

    def test_required_ones_measure_every_step(self):
        for name in ("sam-digits-relu", "gd-digits-tanh", "gd-cnn", "sam-cnn"):
            assert PRESETS[name].config.measure_every == 1

    def test_a_comparing_preset_starts_from_sam(self):
        comparing = [preset for preset in PRESETS.values() if preset.compare]
        assert comparing
        assert all(preset.config.rule == "sam" for preset in comparing)

    def test_preset_is_frozen(self):
        assert Preset.__dataclass_params__.frozen  # pyright: ignore[reportAttributeAccessIssue]
        assert {f.name for f in fields(Preset)} == {"name", "title", "see", "config", "compare"}

    def test_imports_no_torch(self):
        code = (
            "import sys, samedge_core.presets as p; [p.hints(q.config) for q in p.PRESETS.values()]"
        )
        code += "; sys.exit('torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


MISLEADING = {
    # setting: (what the hint must say, the changes)
    "gd, small step": ("2/η = 20 is out of reach", {"rule": "gd", "eta": 0.1}),
    "gd, relu stays below 2/eta": ("rose to about 0.95", {"rule": "gd", "eta": 2}),
    "gd, tanh": ("2/η = 2 is out of reach", {"rule": "gd", "eta": 1, "options": TANH}),
    "gd, glorot": ("2/η = 1.33 is out of reach", {"rule": "gd", "eta": 1.5, "options": GLOROT}),
    "gd, half the loss": (
        "rose to about 0.47",
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
    "quadratic, sam": ("not below 2/η = 4", {"problem": "quadratic", "eta": 0.5}),
    "quadratic, usam": (
        "not below USAM-edge",
        {"problem": "quadratic", "rule": "usam", "eta": 0.3},
    ),
    "quadratic, saddle": (
        "saddle",
        {"problem": "quadratic", "rule": "gd", "eta": 0.1, "options": {"eigenvalues": "6, -1"}},
    ),
    "two weights": (
        "likely to diverge",
        {"problem": "two-weight", "rule": "gd", "eta": 0.5, "options": {"a": 3, "b": 0.2}},
    ),
}


class TestHints:
    @pytest.mark.parametrize("name", [name for name in PRESETS if name != WRONG])
    def test_good_presets_get_none(self, name):
        config = PRESETS[name].config
        rules = ("gd", "sam") if PRESETS[name].compare else (config.rule,)
        for rule in rules:
            for seed in (0, 1):
                assert hints(config.replace(rule=rule, seed=seed)) == []

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

        base = RunConfig(problem="quadratic", rule=rule, eta=1.0, rho=0.1, beta=0.5, steps=3000,
                         measure_every=3000, dtype="float64")  # fmt: skip
        (hint,) = hints(base)
        found = re.search(r"below ([\d.]+)\.$", hint)
        assert found
        limit = float(found[1])
        # the limit is printed to 3 digits, so step 2 % to either side
        for factor, diverges in ((0.98, False), (1.02, True)):
            config = base.replace(eta=factor * limit)
            assert bool(hints(config)) == diverges
            assert (run(config).stop_reason is StopReason.DIVERGED) == diverges


class TestRuns:
    """Cut-down runs: fewer steps or fewer measurements than the preset, the same claim."""

    def test_quadratic_gradient_norm_moves_until_the_edge_meets(self):
        # exact limit (MATHS.md, fact 2); float32 leaves about 1e-6
        columns = measured("sam-quadratic")
        assert abs(columns["ratio"][0] - 1) > 0.2
        assert columns["ratio"][-1] == pytest.approx(1, abs=1e-3)
        assert columns["sharpness"] == pytest.approx(6, rel=1e-5)

    def test_two_weights_sam_drifts_to_the_flattest_minimum(self):
        columns = measured("sam-two-weights", measure_every=5)
        assert columns["sharpness"][0] > 6.5
        assert np.median(columns["sharpness"][-50:]) == pytest.approx(2, abs=0.1)
        assert np.median(columns["edge"][-50:]) == pytest.approx(2, abs=0.2)

    def test_two_weights_gd_stops_at_a_sharp_minimum(self):
        columns = measured("gd-two-weights")
        assert columns["loss"][-1] < 1e-10
        # the table in PRESETS.md: 5.83 at (2.38, .42), below 2/eta = 6.67
        assert columns["sharpness"][-1] == pytest.approx(5.83, abs=0.01)

    def test_chebyshev_gd_reaches_its_edge_and_stays(self):
        columns = measured("gd-chebyshev", measure_every=10)
        assert columns["ratio"][0] < 0.5
        assert late_deviation(columns) < 0.03

    def test_chebyshev_sam_stays_at_an_edge_that_rises(self):
        columns = measured("sam-chebyshev", measure_every=10)
        assert late_deviation(columns) < 0.04
        assert columns["edge"][-1] < 0.8 * columns["gd_edge"][-1]
        assert np.median(columns["edge"][-20:]) > 1.2 * columns["edge"].min()

    def test_default_meets_its_edge_early_and_far_below_two_over_eta(self):
        columns = measured(DEFAULT, steps=150, measure_every=5)
        assert columns["ratio"][0] < 0.5
        assert columns["ratio"].max() > 0.95
        assert columns["sharpness"].max() < 0.5 * columns["gd_edge"][0]

    def test_gd_sharpens_progressively(self):
        columns = measured("gd-digits-tanh", steps=576, measure_every=25)
        reached = columns["step"][columns["ratio"] > 0.95]
        assert columns["ratio"][0] < 0.5
        assert reached.size
        # well before half of its steps, so that the last half shows the edge
        assert reached[0] < PRESETS["gd-digits-tanh"].config.steps / 2

    def test_compared_runs_part_from_the_same_weights(self):
        gd, sam = (
            measured("compare-digits", rule=rule, steps=301, measure_every=20)
            for rule in ("gd", "sam")
        )
        assert gd["loss"][0] == sam["loss"][0]
        assert gd["sharpness"][-1] > 1.5 * sam["sharpness"][-1]

    def test_dead_network_is_a_false_success(self):
        columns = measured(WRONG, measure_every=25)
        assert columns["ratio"][-1] == pytest.approx(1, abs=1e-3)
        assert columns["accuracy"][-1] < 0.2
