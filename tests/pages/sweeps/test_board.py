"""What a diagram is sent of a sweep's rows."""

import math
import time

import numpy as np
import pytest

from pages.parts.sweeps.board import EMPTY, RATIO, Board
from samedge_core.sweeps.rows import FATES, Row
from samedge_core.sweeps.store import PREDICTED, Sweeps
from samedge_core.sweeps.sweep import Axis, Sweep
from samedge_core.training.config import RunConfig

BASE = RunConfig(problem="quadratic", rule="sam")


@pytest.fixture
def recorded(tmp_path):
    axes = (Axis("eta", (0.1, 0.2, 0.4)), Axis("rho", (0.1, 0.2)))
    return Sweeps(tmp_path).create(Sweep(BASE, axes, seeds=(0, 1, 2)))


def row(cell: int, loss: float, fate: str = "converged", **numbers) -> Row:
    return Row(cell, fate, 10, loss=loss, **numbers)


def test_a_cell_is_the_median_of_its_seeds_between_the_least_and_the_largest(recorded):
    # cell (1, 1) of three columns is the place 4; each place has three rows
    recorded.append([row(12, 1.0), row(13, 5.0), row(14, 2.0, "diverged")])
    board = Board(recorded)
    board.read()
    news = board.news("a")
    assert news.cells.tolist() == [4]
    found = (news.columns["loss"], news.lows["loss"], news.highs["loss"])
    assert [one.tolist() for one in found] == [[2.0], [1.0], [5.0]]
    assert news.fate.tolist() == [FATES.index("converged")]
    assert board.commonest().tolist() == [EMPTY] * 4 + [FATES.index("converged"), EMPTY]
    assert board.known() == ["loss", "steps"]


def test_each_diagram_is_sent_a_cell_once_and_all_of_them_again_when_it_asks(recorded):
    board = Board(recorded)
    first = board.news("a")
    assert (first.base, first.version, len(first.cells)) == (-1, 0, 0)
    recorded.append([row(0, 1.0)])
    board.read()
    second = board.news("a")
    assert (second.base, second.version, second.cells.tolist()) == (0, 1, [0])
    board.read()
    assert len(board.news("a").cells) == 0
    recorded.append([row(1, 3.0), row(17, 4.0)])
    board.read()
    third = board.news("a")
    assert (third.base, third.cells.tolist()) == (1, [0, 5])  # one more seed changes a median
    assert third.columns["loss"].tolist() == [2.0, 4.0]
    assert board.news("b").cells.tolist() == [0, 5]
    board.forget_sent("a")
    again = board.news("a")
    assert (again.base, again.cells.tolist()) == (-1, [0, 5])


def test_the_start_is_told_by_the_rows(recorded):
    board = Board(recorded)
    assert np.isnan(board.start()).all()
    recorded.append([row(0, 1.0), row(1, 1.0, start_sharpness=6.0, start_grad_norm=0.5)])
    board.read()
    assert board.start().tolist() == [6.0, 0.5]


def test_what_is_not_finite_is_not_known(recorded):
    recorded.append([row(0, math.inf, "diverged")])
    board = Board(recorded)
    board.read()
    assert "loss" not in board.known()


def test_predictions_reach_the_diagram_after_the_runs(recorded):
    recorded.append([row(0, 1.0), row(1, 1.0), row(2, 1.0, "diverged"), row(3, 1.0, "failed")])
    board = Board(recorded)
    board.read()
    before = board.news("a")
    assert before.predicted is None
    assert RATIO not in before.columns
    recorded.want_predictions()
    said = [row(0, 1.0, ratio=0.5), row(2, 1.0, "dead", ratio=1.5), row(3, 1.0)]
    recorded.append([*said, row(1, 1.0, what="all; its centre hops at steps 1 to 2")], PREDICTED)
    board.read()
    news = board.news("a")
    assert news.cells.tolist() == [0, 1]
    assert news.predicted is not None
    assert news.wrong is not None
    assert news.predicted.tolist() == [FATES.index("converged")] * 2
    assert news.wrong.tolist() == [1, 0]  # a run that failed has no fate
    assert news.columns[RATIO].tolist()[0] == 1.0
    assert news.highs[RATIO].tolist()[0] == 1.5
    found = board.agreement()
    assert (found.right, found.compared, found.doubted) == (2, 3, 1)


def test_the_time_that_is_left_is_told_anew_when_predictions_begin(recorded, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    board = Board(recorded)
    assert board.seconds_left(20) is None
    now[0] = 10.0
    assert board.seconds_left(10) == pytest.approx(10.0)
    assert board.seconds_left(18) is None  # the first predictions are missing
    now[0] = 20.0
    assert board.seconds_left(9) == pytest.approx(10.0)
