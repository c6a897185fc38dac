"""Servers and workers are killed at random moments: the store opens, and nothing is lost.

SAMEDGE_KILLS=50 kills more often than the four times that fit into the suite.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from samedge_core.store import open_store
from samedge_core.training.history import History, Intervention
from samedge_core.training.loop import run
from tests.worker.harness import PATIENCE, still_running
from tests.worker.serving import CHANGE_STEPS, CHANGED, CONFIGS

KILLS = int(os.environ.get("SAMEDGE_KILLS", "4"))
LONGEST_WAIT = 1.0  # seconds to the kill, from the server's start or from when its runs go on
LOST_SECONDS = 1.0  # what was recorded earlier than that before a kill must be on disk
ORPHAN_SECONDS, LOADING_SECONDS = 3.0, 30.0  # a worker sees that it is alone once it has torch


@dataclass(frozen=True)
class OnDisk:
    """A run as the store had it after a kill."""

    seed: int
    status: str
    rows: bytes
    last_step: int
    changes: tuple[Intervention, ...]


class Servers:
    """One after the other, on one home."""

    def __init__(self, folder: Path) -> None:
        self.home, self.log = folder / "home", folder / "log"
        self.process: subprocess.Popen[str] | None = None
        self._said: list[tuple[float, dict[str, int]]] = []
        self._read = 0  # bytes of the log
        self._since = 0.0

    def start(self) -> subprocess.Popen[str]:
        """The server that runs, or a new one."""
        if self.process is None:
            self._since = time.time()
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.worker.serving", str(self.home), str(self.log)],
                cwd=Path(__file__).parents[2],
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            assert self.process.stdout is not None
            assert self.process.stdout.readline() == "ready\n"
        return self.process

    def kill(self, whom: str, choose: random.Random) -> float:
        """SIGKILL to the server, a worker or both; returns the moment. No process is left over."""
        server = self.start()
        workers = psutil.Process(server.pid).children(recursive=True)
        victims = [choose.choice(workers)] if workers and whom != "server" else []
        moment = time.time()
        for worker in victims:
            worker.kill()
        if whom == "worker":
            return moment
        loaded = [worker for worker in workers if has_loaded(worker)]
        server.kill()
        self.wait()
        assert still_running(loaded, ORPHAN_SECONDS) == []
        assert still_running(workers, LOADING_SECONDS) == []
        return moment

    def end(self) -> None:
        """In good order."""
        if self.process and self.process.stdin:
            self.process.stdin.close()
            assert self.process.wait(PATIENCE) == 0
            self.wait()

    def wait(self) -> None:
        """Until it has ended."""
        assert self.process is not None
        self.process.wait(PATIENCE)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
        self.process = None

    def wait_for_steps(self, more: int) -> None:
        """Until every run has taken so many more than it has now."""
        before = self.recorded()
        due = time.monotonic() + PATIENCE
        while True:
            steps = self.recorded()
            ahead = [step - before.get(name, -1) for name, step in steps.items()]
            if len(steps) == len(CONFIGS) and min(ahead) >= more:
                return
            assert time.monotonic() < due, (before, steps)
            time.sleep(0.05)

    def recorded(self) -> dict[str, int]:
        """By run of the server's, the last step that its registry had."""
        self._read_on()
        steps: dict[str, int] = {}
        for at, said in self._said:
            # a run that was killed before it was on disk is none of the next server's
            if at >= self._since:
                steps |= said
        return {name: step for name, step in steps.items() if step >= 0}

    def seconds_lost(self, moment: float, found: dict[str, OnDisk]) -> float:
        """How long before a kill the newest row came that is not on disk."""
        self._read_on()
        late = [
            at
            for at, said in self._said
            if self._since <= at <= moment
            and any(
                name not in found or step > found[name].last_step
                for name, step in said.items()
                if step >= 0
            )
        ]
        return moment - min(late) if late else 0.0

    def _read_on(self) -> None:
        new = self.log.read_bytes()[self._read :] if self.log.exists() else b""
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            if line.endswith(b"}"):  # a kill may have cut it
                said = json.loads(line)
                self._said.append((said.pop("time"), said))


def has_loaded(worker: psutil.Process) -> bool:
    """It makes way for the server as soon as it has."""
    try:
        return worker.nice() > psutil.Process().nice()
    except psutil.NoSuchProcess:
        return False


@contextmanager
def serving(folder: Path) -> Iterator[Servers]:
    servers = Servers(folder)
    try:
        yield servers
    finally:
        if servers.process:
            servers.process.kill()
            servers.wait()


def on_disk(home: Path) -> dict[str, OnDisk]:
    """By run, what a server finds that opens the store now."""
    with closing(open_store(home)) as store:
        assert store.damaged == {}
        found = {}
        for entry in store.find().entries:
            record, history = store.load(entry.id)
            changes = tuple(item for item in record.interventions if item.changes)
            rows = history.rows_after(-1).tobytes()
            found[entry.id] = OnDisk(entry.seed, entry.status, rows, history.last_step, changes)
        return found


def reference(end: OnDisk) -> History:
    """The same run without any kill."""
    config, _ = CONFIGS[end.seed]
    return run(config.replace(steps=end.last_step + 1), interventions=end.changes)


def test_runs_survive_kills_at_random_moments(tmp_path):
    choose = random.Random(KILLS)
    kills: list[tuple[str, dict[str, OnDisk]]] = []
    lost: list[float] = []
    with serving(tmp_path) as servers:
        for number in range(KILLS):
            whom = ("both", "worker", "server")[number % 3]
            servers.start()
            if choose.random() < 0.8:  # else the kill may come while the workers start
                servers.wait_for_steps(3)
            time.sleep(choose.uniform(0, LONGEST_WAIT))
            moment = servers.kill(whom, choose)
            found = on_disk(servers.home)
            kills.append((f"kill {number}, of the {whom}", found))
            lost.append(servers.seconds_lost(moment, found))
            assert lost[-1] <= LOST_SECONDS, kills[-1][0]
            if whom != "worker":
                assert {one.status for one in found.values()} <= {"interrupted"}
        servers.start()
        # enough for three changes: the first may be to what is in force, and each comes late
        servers.wait_for_steps(6 * CHANGE_STEPS)
        servers.end()
        end = on_disk(servers.home)
    assert sorted(one.seed for one in end.values()) == sorted(CONFIGS)
    assert_prefixes(kills, end)
    steps = [one.last_step + 1 for one in end.values()]
    sys.stdout.write(f"{KILLS} kills, steps {steps}, seconds lost {sorted(lost)}\n")


def assert_prefixes(kills: list[tuple[str, dict[str, OnDisk]]], end: dict[str, OnDisk]) -> None:
    """What was on disk after any kill is how the run without any begins."""
    expected = {name: reference(one).rows_after(-1).tobytes() for name, one in end.items()}
    for label, found in [*kills, ("the end", end)]:
        for name, one in found.items():
            assert expected[name].startswith(one.rows), f"{label}, run {one.seed}"
    (changed,) = [one for one in end.values() if one.seed == CHANGED]
    assert len(changed.changes) > 2
