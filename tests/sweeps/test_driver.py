import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from distributed import Status

from samedge_core.sweeps import driver
from samedge_core.sweeps.driver import drive
from samedge_core.sweeps.rows import Row
from samedge_core.sweeps.schedulers import SCHEDULER, Replacing, checked_address
from samedge_core.sweeps.store import PREDICTED, RecordedSweep, SweepError, Sweeps
from tests.sweeps import sleeping

ROOT = Path(__file__).parents[2]
SECONDS = 60  # until a test gives up


def rows(recorded: RecordedSweep) -> list[Row]:
    """In the order of the cells; each once."""
    found = sorted(recorded.rows(), key=lambda row: row.cell)
    assert len({row.cell for row in found}) == len(found)
    return found


def same(found: list[Row], expected: list[Row]) -> bool:
    """NaN equals NaN here."""
    return [row.to_values() for row in found] == [row.to_values() for row in expected]


def worker_processes() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def wait_for(true, what: str) -> None:
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.05)


@pytest.mark.parametrize("workers", [1, 2])
def test_one_worker_and_two_find_the_same_rows(tmp_path, workers):
    sweep = sleeping.sweep()
    recorded = Sweeps(tmp_path).create(sweep)
    told: list[Row] = []
    drive(recorded, workers=workers, on_row=told.append, compute=sleeping.compute)
    assert same(rows(recorded), sleeping.rows_of(sweep))
    assert {row.cell for row in told} == {cell.index for cell in sweep.cells}
    assert recorded.state == "finished"
    assert not worker_processes()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_the_cells_of_a_killed_worker_are_computed_again(tmp_path):
    sweep = sleeping.sweep(0.1)
    recorded = Sweeps(tmp_path).create(sweep)
    killed: list[int] = []

    def on_row(row: Row) -> None:
        if not killed:
            worker = worker_processes()[0]
            killed.append(worker.pid)
            worker.send_signal(signal.SIGKILL)

    drive(recorded, workers=2, on_row=on_row, compute=sleeping.compute)
    assert killed
    assert same(rows(recorded), sleeping.rows_of(sweep))


def test_a_cell_that_kills_its_worker_three_times_is_marked_and_left(tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "TASK_SECONDS", 0.05)
    sweep = sleeping.sweep(0.01, a=(1.0, sleeping.KILLS))
    recorded = Sweeps(tmp_path).create(sweep)
    said: list[str] = []
    drive(recorded, workers=2, say=said.append, compute=sleeping.compute)
    failed = [row for row in rows(recorded) if row.fate == "failed"]
    assert [sweep.cells[row.cell].config.eta for row in failed] == [sleeping.ETAS[2]]
    assert "killed its worker 3 times" in failed[0].what
    assert len(rows(recorded)) == len(sweep.cells)
    assert any("killed its worker" in text for text in said)


def kill_holders(client) -> None:
    """End the workers that hold an answer, as a full memory does."""
    held = client.who_has()
    addresses = {address for holders in held.values() for address in holders}
    pids = {one["pid"] for at, one in client.run(_pid).items() if at in addresses}
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def _pid() -> dict[str, int]:
    return {"pid": os.getpid()}


def dying_again(values, samples):
    """The first cell that is computed for the second time ends its worker."""
    once = Path(os.environ["SAMEDGE_TEST_MARKS"], "once")
    for one in values:
        mark = Path(os.environ["SAMEDGE_TEST_MARKS"], f"{one['eta']}-{one['options']['a']}")
        nth = len([*mark.parent.glob(f"{mark.name}-*")])
        mark.with_name(f"{mark.name}-{nth}").touch()
        if nth == 1 and not once.exists():
            once.touch()
            os._exit(1)
    return sleeping.compute(values, samples)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("moment", ["before", "meanwhile"])
def test_an_answer_that_dies_with_its_worker_is_computed_anew(tmp_path, monkeypatch, moment):
    """Before the driver has looked at it, or between its look and its fetching; computed anew, it
    kills that worker too."""
    monkeypatch.setenv("SAMEDGE_TEST_MARKS", str(tmp_path))
    sweep = sleeping.sweep(0.01)
    recorded = Sweeps(tmp_path).create(sweep)
    killed: list[str] = []
    take_in = driver._Driver._take_in

    def once_killed(self) -> None:
        if killed:
            return take_in(self)
        wait_for(lambda: not self.landed.empty(), "no answer")
        landed = [self.landed.get() for _ in range(self.landed.qsize())]
        if moment == "before":
            kill_holders(self.client)
            wait_for(lambda: landed[0].status != "finished", "the answer is still there")
            killed.append(landed[0].status)
        else:
            gather = self.client.gather

            def too_late(futures, **options):
                kill_holders(self.client)
                killed.append("finished")
                monkeypatch.setattr(self.client, "gather", gather)
                return gather(futures, **options)

            monkeypatch.setattr(self.client, "gather", too_late)
        for future in landed:
            self.landed.put(future)
        return take_in(self)

    monkeypatch.setattr(driver._Driver, "_take_in", once_killed)
    drive(recorded, workers=2, compute=dying_again)
    assert killed
    assert [*tmp_path.glob("*-2")], "none was computed for the third time"
    assert same(rows(recorded), sleeping.rows_of(sweep))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_workers_that_die_while_they_start_are_replaced(tmp_path, monkeypatch):
    """Their nannies leave them dead, all of them."""
    sweep = sleeping.sweep(0.05)
    recorded = Sweeps(tmp_path).create(sweep)
    killed: list[int] = []
    look = Replacing.look

    def kills_once(self) -> None:
        if not killed and recorded.rows():
            for nanny in self._cluster.workers.values():
                nanny.status = Status.starting
                killed.append(nanny.pid)
                os.kill(nanny.pid, signal.SIGKILL)
        look(self)

    monkeypatch.setattr(Replacing, "look", kills_once)
    drive(recorded, workers=2, compute=sleeping.compute)
    assert len(killed) == 2
    assert same(rows(recorded), sleeping.rows_of(sweep))


def raising(values, samples):
    """The first eta has no row."""
    if any(one["eta"] == sleeping.ETAS[0] for one in values):
        raise ZeroDivisionError("nothing to divide by")
    return sleeping.compute(values, samples)


def lacking(values, samples):
    """This machine lacks something."""
    raise SweepError("this machine has no device cuda")


def test_a_cell_that_raises_is_marked_with_what_it_has_raised(tmp_path):
    recorded = Sweeps(tmp_path).create(sleeping.sweep(0.01))
    drive(recorded, workers=1, compute=raising)
    failed = [row for row in rows(recorded) if row.fate == "failed"]
    assert len(failed) == 4  # one an `a`
    assert failed[0].what == "failed: ZeroDivisionError: nothing to divide by"


def test_what_a_machine_lacks_ends_the_sweep(tmp_path):
    recorded = Sweeps(tmp_path).create(sleeping.sweep(0.01))
    with pytest.raises(SweepError, match="no device cuda"):
        drive(recorded, workers=1, compute=lacking)
    assert recorded.state == "failed"
    assert recorded.error == "this machine has no device cuda"
    assert recorded.rows() == []


def test_a_budget_ends_where_fates_change_and_the_same_sweep_goes_on(tmp_path):
    sweep = sleeping.sweep(0.001)
    recorded = Sweeps(tmp_path).create(sweep)
    drive(recorded, workers=1, budget=18, compute=sleeping.compute)
    assert len(rows(recorded)) == 18
    assert recorded.state == "stopped"
    drive(recorded, workers=1, compute=sleeping.compute)
    assert same(rows(recorded), sleeping.rows_of(sweep))


def program(home: Path, id: str) -> subprocess.Popen[bytes]:
    code = "from tests.sweeps import sleeping; sleeping.main()"
    return subprocess.Popen([sys.executable, "-c", code, str(home), id], cwd=ROOT)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_predictions_come_after_the_runs_and_go_on_after_a_stop(tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "TASK_SECONDS", 0.0)  # a cell a task
    monkeypatch.setattr(driver, "LOOK_SECONDS", 0.02)
    sweep = sleeping.sweep()
    recorded = Sweeps(tmp_path).create(sweep, predict=True)

    def go_on(budget: int | None = None, stop=lambda: False) -> None:
        same = sleeping.compute
        drive(recorded, workers=1, budget=budget, stop=stop, compute=same, predict=same)

    go_on(budget=12, stop=lambda: len(recorded.rows(PREDICTED)) >= 3)
    runs, before = recorded.rows(), recorded.rows(PREDICTED)
    assert len(runs) == 12
    assert 3 <= len(before) < 12
    assert {row.cell for row in before} < {row.cell for row in runs}
    assert recorded.state == "stopped"
    go_on()
    assert same(recorded.rows(PREDICTED)[: len(before)], before)
    assert recorded.state == "finished"
    predicted = sorted(recorded.rows(PREDICTED), key=lambda row: row.cell)
    assert same(predicted, sleeping.rows_of(sweep))
    assert same(rows(recorded), sleeping.rows_of(sweep))


def test_a_driver_that_was_killed_goes_on_with_what_is_missing(tmp_path):
    sweep = sleeping.sweep(0.3)
    recorded = Sweeps(tmp_path).create(sweep)
    with program(tmp_path, recorded.id) as first:
        wait_for(lambda: len(recorded.rows()) >= 4, "no rows")
        assert recorded.state == "computing"
        assert recorded.running()
        assert recorded.workers == 2
        with pytest.raises(SweepError, match="being computed"):
            drive(recorded, workers=1, compute=sleeping.compute)
        with pytest.raises(SweepError, match="stop it first"):
            Sweeps(tmp_path).delete(recorded.id)
        children = psutil.Process(first.pid).children(recursive=True)
        first.kill()
    wait_for(lambda: not any(child.is_running() for child in children), "workers are left")
    assert recorded.state == "stopped"
    before = recorded.rows()
    assert 4 <= len(before) < len(sweep.cells)
    computed: list[Row] = []
    drive(recorded, workers=2, on_row=computed.append, compute=sleeping.compute)
    assert not {row.cell for row in before} & {row.cell for row in computed}
    assert same(rows(recorded), sleeping.rows_of(sweep))


def test_one_driver_of_a_home_computes_and_the_next_one_waits(tmp_path):
    sweeps = Sweeps(tmp_path)
    first, second = (sweeps.create(sleeping.sweep(seconds)) for seconds in (0.3, 0.31))
    with program(tmp_path, first.id), program(tmp_path, second.id):
        wait_for(lambda: {first.state, second.state} == {"computing", "waiting"}, "no turns")
        second.ask_to_stop()
        first.ask_to_stop()
    assert {first.state, second.state} == {"stopped"}


@contextmanager
def dask_programs(workers: int):
    """A scheduler and workers as programs of their own; yields its address and processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address, processes = f"tcp://127.0.0.1:{port}", []

    def start(module: str, *arguments: str) -> None:
        command = [sys.executable, "-m", f"distributed.cli.{module}", *arguments]
        nowhere = subprocess.DEVNULL
        processes.append(
            subprocess.Popen([*command, "--no-dashboard"], cwd=ROOT, stdout=nowhere, stderr=nowhere)
        )

    start("dask_scheduler", "--host=127.0.0.1", f"--port={port}")
    for _ in range(workers):
        start("dask_worker", address, "--nthreads=1", "--no-nanny")
    try:
        yield address, processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_a_scheduler_and_workers_started_as_separate_programs(tmp_path, monkeypatch):
    sweep = sleeping.sweep()
    recorded = Sweeps(tmp_path).create(sweep)
    with dask_programs(2) as (address, processes):
        monkeypatch.setenv(SCHEDULER, address)
        wait_for(lambda: _answers(address), "no scheduler")
        drive(recorded, compute=sleeping.compute)
        assert same(rows(recorded), sleeping.rows_of(sweep))
        slow = Sweeps(tmp_path).create(sleeping.sweep(0.3))
        with pytest.raises(SweepError, match="scheduler is lost"):
            drive(slow, on_row=lambda row: processes[0].kill(), compute=sleeping.compute)
        assert slow.state == "failed"
        assert slow.rows()


def _answers(address: str) -> bool:
    host, port = address.removeprefix("tcp://").split(":")
    with socket.socket() as tried:
        return tried.connect_ex((host, int(port))) == 0


@pytest.mark.parametrize(
    ("address", "insecure", "message"),
    [
        ("host:8786", False, "must be tcp://HOST:PORT or tls://HOST:PORT, got 'host:8786'"),
        ("http://127.0.0.1:8786", False, "must be tcp://"),
        ("tcp://127.0.0.1", False, "must be tcp://"),
        ("tcp://127.0.0.1.example.org:8786", False, "on another machine and not encrypted"),
        ("tcp://0.0.0.0:8786", False, "ssh -L"),
        ("tls://host:8786", True, "needs certificates: set DASK_DISTRIBUTED__COMM__TLS__CA_FILE"),
    ],
)
def test_an_address_that_is_not_allowed_is_refused(address, insecure, message):
    with pytest.raises(SweepError) as refused:
        checked_address(address, insecure=insecure)
    assert message in str(refused.value)


def test_loopback_is_allowed_and_another_machine_on_demand(monkeypatch):
    monkeypatch.delenv(SCHEDULER, raising=False)
    assert checked_address(None) == ""
    for address in ("tcp://localhost:8786", "tcp://127.0.0.1:1", "tcp://[::1]:8786"):
        assert checked_address(address) == address
    assert checked_address("tcp://node7:8786", insecure=True) == "tcp://node7:8786"


def test_where_no_scheduler_answers_the_sweep_has_failed(tmp_path, monkeypatch):
    monkeypatch.setattr("samedge_core.sweeps.schedulers._CONNECT_SECONDS", 0.5)
    recorded = Sweeps(tmp_path).create(sleeping.sweep())
    with pytest.raises(SweepError, match="no scheduler answers at"):
        drive(recorded, scheduler="tcp://127.0.0.1:9", compute=sleeping.compute)
    assert "no scheduler answers" in recorded.error
