"""TrackerSettings: each constant that is moved far loses accuracy, or costs products."""

from collections.abc import Callable
from functools import cache, partial
from typing import get_type_hints

import pytest

from samedge_core.curvature import SharpnessTracker
from samedge_core.curvature.settings import MEASURED, TrackerSettings
from tests.curvature import spectra
from tests.curvature.spectra import Outcome, Spectrum, follow

CLUSTER = [1 - 0.004 * i for i in range(12)]
CROWD = [1 - 0.001 * i for i in range(24)]
APART = [1.0, 0.93, 0.88, 0.8]
SCENES: dict[str, Callable[[], Spectrum]] = {
    "crossing slowly": partial(spectra.crossing, 0.003),
    "crossing fast": partial(spectra.crossing, 0.1),
    "rising past a still leader": spectra.rising_past_a_still_leader,
    "rising behind close ones": spectra.rising_behind_close_ones,
    "rising behind others": partial(spectra.rising_behind_close_ones, 2),
    "rising behind, known late": partial(spectra.rising_behind_close_ones, 10),
    "rising from nowhere": spectra.rising_from_nowhere,
    "appearing": spectra.appearing,
    "appearing beside one": spectra.appearing_beside_one,
    "leading in turn": spectra.leading_in_turn,
    "falling and back": spectra.falling_and_back,
    "steady": spectra.steady,
    "drifting": spectra.drifting,
    "turning": partial(spectra.turning, APART, 0.0024),
    "turning fast": partial(spectra.turning, APART, 0.01),
    "a cluster that turns": partial(spectra.turning, CLUSTER, 0.004),
    "a crowd that turns": partial(spectra.turning, CROWD, 0.004),
}
# setting, a value far from the usual one, where it shows, and what it costs there
MOVED = [
    ("error", 0.004, "rising past a still leader", "missed"),
    ("invalid", 0.008, "drifting", "products"),
    ("kept", 24, "a cluster that turns", "products"),
    ("further", 0, "a cluster that turns", "unconverged"),
    ("high", 0.99, "a crowd that turns", "missed"),
    ("slack", 12, "turning fast", "products"),
    ("search_residual", 1e-9, "a cluster that turns", "unconverged"),
    ("search_residual_further", 1e-5, "crossing fast", "products"),
    ("search_pairs", 24, "crossing fast", "products"),
    ("search_least", 80, "crossing fast", "products"),
    ("crowded", 0.999, "a crowd that turns", "missed"),
    ("unsettled", 0.05, "a crowd that turns", "missed"),
    ("learned", 0.05, "rising past a still leader", "missed"),
    ("lasting", 0.99, "falling and back", "missed"),
    ("first_error", 0.1, "rising behind close ones", "products"),
    ("error_weight", 0.04, "rising behind close ones", "products"),
    ("others_fading", 0.5, "rising behind others", "missed"),
    ("gap", 0.01, "steady", "products"),
    ("gap_forgotten", 1.0, "turning", "products"),
    ("touched", 0.1, "turning", "missed"),
    ("bulk", 0.95, "steady", "products"),
    ("refresh_every", 16, "rising behind close ones", "missed"),
    ("refresh_near", 0.7, "rising past a still leader", "missed"),
    ("probe_every", 16, "appearing", "missed"),
    ("probe_change", 0.0015, "crossing slowly", "products"),
    ("probe_residual", 0.0, "a crowd that turns", "missed"),
    ("probe_noise", 0.0, "appearing beside one", "missed"),
    ("hint_margin", 0.5, "rising behind, known late", "missed"),
    ("hint_age", 0.0, "leading in turn", "products"),
    ("new", 2.0, "rising from nowhere", "missed"),
]
MORE = 1.08  # times the usual products: what is meant by costing products


@cache
def usual(scene: str) -> Outcome:
    return follow(SCENES[scene], MEASURED, seeds=2)


@pytest.mark.parametrize(("name", "value", "scene", "cost"), MOVED, ids=[row[0] for row in MOVED])
def test_a_setting_that_is_moved_far_costs_accuracy_or_products(name, value, scene, cost):
    moved = follow(SCENES[scene], MEASURED._replace(**{name: value}), seeds=2)
    factor = MORE if cost == "products" else 1
    assert getattr(moved, cost) > factor * getattr(usual(scene), cost)


def test_a_least_gap_that_is_moved_far_leaves_the_second_eigenvalue_low():
    worst = {}
    for least_gap in (MEASURED.least_gap, MEASURED.gap):
        settings = MEASURED._replace(least_gap=least_gap)
        tracker, low = SharpnessTracker(top_k=2, settings=settings), []
        for operator, sharpness in SCENES["a cluster that turns"]():
            low.append(CLUSTER[1] - tracker.measure(operator).values[1] / sharpness)
        worst[least_gap] = max(low)
    assert worst[MEASURED.gap] > 3 * worst[MEASURED.least_gap]


def test_settings_are_numbers_of_the_kinds_that_are_compiled_for():
    # another kind would be compiled anew, while a run waits
    kinds = get_type_hints(TrackerSettings)
    assert {name: type(value) for name, value in MEASURED._asdict().items()} == kinds
