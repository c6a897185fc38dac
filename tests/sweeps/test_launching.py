import math
import subprocess
import sys
import time
from pathlib import Path

import pytest

import samedge_core as se
from samedge_core.sweeps import launching
from samedge_core.sweeps.launching import run_sweep
from samedge_core.sweeps.rows import Row
from samedge_core.sweeps.schedulers import SCHEDULER
from samedge_core.sweeps.store import SweepError, Sweeps

ROOT = Path(__file__).parents[2]
SECONDS = 60
BASE = se.RunConfig(
    problem="quadratic",
    rule="gd",
    dtype="float64",
    steps=100,
    options={"eigenvalues": (6.0, 2.0, 0.6)},
)
# eta lambda is 1.8, 1.98, 2.04 and 2.4
SWEEP = se.Sweep(BASE, {"eta": (0.3, 0.33, 0.34, 0.4)}, seeds=(0, 1))


def wait_for(true, what: str) -> None:
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def test_gradient_descent_on_a_quadratic_diverges_where_eta_times_lambda_is_above_two(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("SAMEDGE_HOME", str(tmp_path))
    told: list[Row] = []
    long = se.Sweep(BASE.replace(steps=2000), {"eta": SWEEP.axes[0]}, seeds=(0, 1))
    result = run_sweep(long, workers=1, on_row=told.append)
    assert len(told) == len(result.rows) == 8
    diverged = result.grid("edge", len) * 0 + (result.fates() == "diverged")
    assert diverged.tolist() == [[0, 0, 1, 1]]
    again = run_sweep(long, workers=1, on_row=told.append)
    assert again.to_frame().equals(result.to_frame())  # nothing is computed again
    assert len(told) == 8


def test_a_driver_outlives_who_has_started_it_and_stops_when_it_is_asked_to(tmp_path):
    sweeps = Sweeps(tmp_path)
    recorded = sweeps.create(SWEEP)
    code = (
        "import sys; from pathlib import Path; from samedge_core.sweeps.launching import launch; "
        "launch(Path(sys.argv[1]), sys.argv[2])"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path), recorded.id], cwd=ROOT, check=True)
    assert recorded.state == "waiting"
    wait_for(lambda: recorded.state == "computing", recorded.log)
    recorded.ask_to_stop()
    wait_for(lambda: recorded.state in ("stopped", "finished"), recorded.log)


def test_why_it_could_not_be_computed_is_what_the_script_hears(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMEDGE_HOME", str(tmp_path))
    monkeypatch.setenv(SCHEDULER, "tcp://example.org:8786")
    with pytest.raises(SweepError, match="another machine and not encrypted"):
        run_sweep(SWEEP)
    with pytest.raises(SweepError, match="must be tcp://HOST:PORT"):
        run_sweep(SWEEP, scheduler="here")
    recorded = Sweeps(tmp_path)[SWEEP.key]
    assert recorded.state == "failed"  # at once, not when it has had time enough to start
    with pytest.raises(ZeroDivisionError), recorded.driving():
        raise ZeroDivisionError
    with pytest.raises(SweepError, match="must be tcp://HOST:PORT"):  # not what was wrong before
        run_sweep(SWEEP, scheduler="here")
    with pytest.raises(se.ConfigError, match=r"workers must be a whole number >= 1 .*, got 0"):
        run_sweep(SWEEP, workers=0)
    with pytest.raises(se.ConfigError, match=r"budget must be a whole number >= 1 .*, got -1"):
        run_sweep(SWEEP, budget=-1)


def test_workers_are_as_many_as_cores_and_memory_allow(monkeypatch):
    monkeypatch.delenv(launching.WORKERS, raising=False)
    monkeypatch.setattr(launching.os, "sched_getaffinity", lambda pid: range(8), raising=False)
    for bytes, workers in ((math.inf, 8), (4.5e9, 4), (0.5e9, 1)):
        monkeypatch.setattr(launching, "memory", lambda bytes=bytes: bytes)
        assert launching.local_workers() == workers
    monkeypatch.setenv(launching.WORKERS, "3")
    assert launching.local_workers() == 3
    monkeypatch.setenv(launching.WORKERS, "none")
    with pytest.raises(SweepError, match="must be a whole number > 0, got 'none'"):
        launching.local_workers()


def test_nothing_of_torch_or_dask_is_loaded_to_start_a_driver():
    code = (
        "import sys; import samedge_core as se; se.run_sweep, se.open_sweeps, se.SweepResult; "
        "import samedge_core.sweeps.export; "
        "print([n for n in ('torch', 'numba', 'dask', 'distributed') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
