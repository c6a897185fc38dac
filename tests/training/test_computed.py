"""Predicted classes as bytes, and how they are read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samedge_core.training.computed import encoded, inside


@pytest.mark.parametrize("classes", [2, 3])
def test_class_and_lead_come_back(classes):
    scores = np.random.default_rng(0).normal(0.3, 0.4, (500, classes))
    codes, levels = encoded(scores), 256 // classes
    np.testing.assert_array_equal(codes // levels, scores.argmax(axis=1))
    ordered = np.sort(scores, axis=1)
    lead = np.clip(ordered[:, -1] - ordered[:, -2], 0, 1)
    # one of `levels` values, rounded
    np.testing.assert_allclose(codes % levels / (levels - 1), lead, atol=0.5 / (levels - 1) + 1e-9)


@given(st.lists(st.floats(-1e30, 1e30), min_size=3, max_size=3))
def test_no_score_leaves_its_class(scores):
    (code,) = encoded(np.array([scores]))
    assert code // 85 == np.argmax(scores)


@pytest.mark.parametrize("classes", [2, 3])
def test_inside_crosses_the_middle_at_the_border_of_a_class_alone(classes):
    codes = np.arange(256 // classes * classes, dtype=np.uint8)
    for label in range(classes):
        found = inside(codes, label, classes).astype(float)
        np.testing.assert_array_equal(found > 127.5, codes // (256 // classes) == label)
    # two classes that are level are as far from the middle on either side
    first, second = 0, 256 // classes
    level = [inside(np.array([code], np.uint8), 0, classes)[0] for code in (first, second)]
    assert level == [128, 127]
