"""A run that needs more memory than there is ends with that reason, and takes nothing with it."""

import math
import subprocess
import sys

import pytest

from samedge_core.training.config import RunConfig
from samedge_core.training.stop import StopReason
from samedge_core.worker.limit import LIMITED, Limit
from samedge_core.worker.registry import RunRegistry
from samedge_core.worker.settings import Settings
from samedge_core.worker.view import Phase
from tests.worker.harness import until

pytestmark = pytest.mark.skipif(not LIMITED, reason="the limit is off on this system")
ENDLESS = RunConfig(problem="two-weight", rule="sam", eta=0.1, rho=0.05, steps=1_000_000)
WIDE = RunConfig(options={"n": 50, "width": 1000, "depth": 2}, steps=50)


@pytest.fixture(scope="module")
def registry():
    registry = RunRegistry(Settings(max_workers=2, spares=1, worker_mb=100))
    yield registry
    registry.close()


def stop_of(registry, run):
    stop = until(registry, run, lambda view: view.phase is Phase.ENDED).stop
    assert stop is not None
    return stop


def test_what_cannot_fit_is_refused_with_the_numbers_before_it_takes_a_worker(registry):
    run = registry.start(WIDE)
    view = registry.view(run)
    assert view.phase is Phase.ENDED
    assert view.worker_pid is None
    assert view.stop is not None
    assert view.stop.reason is StopReason.FAILED
    assert "into 100 MB of memory, got one of 583 MB at least, with 1,076,010" in view.stop.what
    assert "SAMEDGE_WORKER_MB" in view.stop.what


def test_a_run_that_meets_the_limit_says_so_and_others_go_on(registry, monkeypatch):
    small = registry.start(ENDLESS)
    monkeypatch.setattr(registry, "check_fits", lambda *_: None)
    stop = stop_of(registry, registry.start(WIDE))
    assert stop.reason is StopReason.FAILED
    assert stop.what.startswith("out of memory: the run ")
    assert "limit 100 MB (SAMEDGE_WORKER_MB)" in stop.what
    seen = registry.view(small).last_step
    until(registry, small, lambda view: view.last_step > seen)
    assert stop_of(registry, registry.start(RunConfig(steps=3))).reason is StopReason.STEP_CAP
    registry.stop(small)


ALONE = """
import sys
import numpy as np, torch
from samedge_core.worker.limit import Limit
limit = Limit(2e8)
def over(what):
    print(what); sys.stdout.flush(); import os; os._exit(0)
with limit.holds(over):
    try:
        {code}
    except Exception as error:
        print(limit.met(error))
print(float(torch.zeros(100_000_000)[0]))  # after that, there is none
"""


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("np.ones(10**9)", "the run asked for 7.45 GiB more, limit 200 MB"),
        ("torch.ones(10**9, dtype=torch.float64)", "the run asked for 8 GB more, limit 200 MB"),
        ("bytearray(10**9)", "the run asked for some more, limit 200 MB"),
        ("limit.reserve(10**10); torch.empty(10**9); print('reserved')", "reserved\n0.0"),
        ("limit.reserve(10**10); a = torch.ones(10**9)", "out of memory: the run has "),
        ("1 / 0", "None\n0.0"),
    ],
)
def test_the_limit_by_itself(code, said):
    run = [sys.executable, "-c", ALONE.format(code=code)]
    made = subprocess.run(run, capture_output=True, text=True, check=True)
    assert said in made.stdout


def test_without_a_limit_nothing_is_watched():
    for limit in (Limit(math.inf), Limit(1.0, on_cpu=False)):
        with limit.holds(pytest.fail):
            limit.reserve(0)
            assert len(bytearray(10**7)) == 10**7
