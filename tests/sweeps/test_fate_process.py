"""The process that computes maps: started when asked, told of when it crashes, ended when idle."""

import threading
import time

import numpy as np
import psutil
import pytest

from samedge_core.sweeps import fate_process
from samedge_core.sweeps.fate_map import Plane, alone, picture
from samedge_core.sweeps.fate_process import FateProcess, FateProcessError

PLANE = Plane()


@pytest.fixture
def process():
    process = FateProcess()
    yield process
    process.close()


def until(holds, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def draw(process: FateProcess) -> np.ndarray:
    return picture(PLANE, PLANE.whole, 4, process.follow_all)


def test_no_process_until_one_is_asked_for_and_then_one_for_all(process):
    assert process.pid is None
    draw(process)
    first = process.pid
    assert first is not None
    found = []
    threads = [threading.Thread(target=lambda: found.append(draw(process))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert process.pid == first
    xs, ys = PLANE.points(PLANE.whole, 4)
    expected = [[alone(PLANE.at(x, y))[0] for x in xs] for y in ys]
    for values in found:
        assert values.tolist() == expected
    assert len(found) == 4


def test_a_crash_is_told_and_the_next_request_starts_another(process):
    draw(process)
    first = process.pid
    with pytest.raises(FateProcessError, match="ended with code 1 before it had answered"):
        process.follow_all("no request")
    assert draw(process).shape == (4, 4)
    assert process.pid != first


def test_one_that_was_killed_between_two_requests_is_replaced(process):
    draw(process)
    first = process.pid
    assert first
    psutil.Process(first).kill()
    until(lambda: process.pid is None)
    assert draw(process).shape == (4, 4)


def test_one_that_does_not_answer_in_time_is_ended(process, monkeypatch):
    draw(process)
    monkeypatch.setattr(fate_process, "LONGEST_SECONDS", 0.2)
    with pytest.raises(FateProcessError, match="ended with code -9"):
        picture(Plane(rule="sam", x="a", y="b"), PLANE.whole, 4000, process.follow_all)
    assert process.pid is None


def test_it_ends_when_it_has_been_idle(process, monkeypatch):
    monkeypatch.setattr(fate_process, "IDLE_SECONDS", 0.1)
    draw(process)
    until(lambda: process.pid is None)
    assert draw(process).shape == (4, 4)


def test_it_ends_with_the_one_who_started_it(process):
    draw(process)
    program = psutil.Process(process.pid)
    assert process._process is not None
    assert process._process.stdin is not None
    process._process.stdin.close()  # as where the server is killed
    assert program.wait(20) == 0
