"""Connections to Dask's schedulers: one on a cluster, or one of this process's own."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask.config
from distributed import CancelledError, Client, LocalCluster
from distributed.comm.core import CommClosedError
from distributed.security import Security

from samedge_core.fields import abridged
from samedge_core.sweeps import tasks
from samedge_core.sweeps.launching import local_workers
from samedge_core.sweeps.store import SweepError

SCHEDULER = "SAMEDGE_SCHEDULER"
LOST = "the scheduler is lost; what is computed is kept: start the sweep again to go on"
_CONNECT_SECONDS = 10
_DEAD_SECONDS = 3.0  # without a process; one that is started again has it within one
_HERE = r"localhost|127(\.\d{1,3}){3}|\[::1\]"

_CONFIG = {
    "distributed.scheduler.allowed-failures": 0,  # the driver counts, and splits a task
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.worker.profile.enabled": False,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    # each process looks at its clock and its memory for a dashboard that there is not
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.tick.limit": "60s",
    "distributed.admin.system-monitor.interval": "10s",
    # on a busy machine a worker needs more than 15 s to come back; see `Replacing`
    "distributed.deploy.lost-worker-timeout": "1h",
}


def checked_address(address: str | None, *, insecure: bool = False) -> str:
    """The address, or that of SAMEDGE_SCHEDULER: of this machine, or encrypted, because whoever
    reaches a scheduler can run code on its workers. Empty where there is neither.

    Raises:
        SweepError: it is none, or is not allowed; the message says what is.
    """
    address = address or os.environ.get(SCHEDULER) or ""
    if not address:
        return ""
    shown = abridged(address)
    known = re.fullmatch(r"(tcp|tls)://(\[[0-9a-f:]+\]|[\w.-]+):\d{1,5}", address)
    if not known:
        allowed = "tcp://HOST:PORT or tls://HOST:PORT"
        raise SweepError(f"the address of a scheduler must be {allowed}, got {shown}")
    scheme, host = known.groups()
    if scheme == "tcp" and not re.fullmatch(_HERE, host) and not insecure:
        raise SweepError(
            f"{shown} is on another machine and not encrypted: whoever can reach it can run code "
            "there. Use tls://HOST:PORT, a tunnel (ssh -L 8786:localhost:8786 HOST, then "
            "tcp://localhost:8786) or, in a network that you trust, --insecure-scheduler"
        )
    if scheme == "tls" and not Security().tls_client_cert:
        variables = "DASK_DISTRIBUTED__COMM__TLS__CA_FILE and DASK_DISTRIBUTED__COMM__TLS__CLIENT__"
        raise SweepError(f"{shown} needs certificates: set {variables}CERT and ...__KEY")
    return address


class Replacing:
    """Starts workers of a cluster of this process's own anew that have no process any more.

    Each has a nanny that does so, but not where it dies while it still starts, of the task that it
    is given at once. When that was the last one, a sweep would wait for workers for ever.
    """

    def __init__(self, client: Client) -> None:
        self._cluster: Any = client.cluster  # None where others start the workers
        self._dead: dict[Any, float] = {}  # since when, by name

    def look(self) -> None:
        """Call this about twice a second."""
        if self._cluster is None:
            return
        now, nannies = time.monotonic(), self._cluster.workers
        dead = [name for name, nanny in [*nannies.items()] if not nanny.is_alive()]
        self._dead = {name: self._dead.get(name, now) for name in dead}
        gone = [name for name, since in self._dead.items() if now - since >= _DEAD_SECONDS]
        for name in gone:
            self._cluster.loop.add_callback(nannies.pop(name).close)
        if gone:
            self._cluster.scale(len(self._cluster.worker_spec))


@contextmanager
def connected(address: str | None, *, insecure: bool, workers: int | None) -> Iterator[Client]:
    """A client of the scheduler at the address, or at SAMEDGE_SCHEDULER, or else of one of its own
    with so many workers on this machine, by default `local_workers`.

    Raises:
        SweepError: an address that is not allowed, where no scheduler answers, or one that is lost
            within the block.
    """
    address = checked_address(address, insecure=insecure)
    with dask.config.set(_CONFIG), _client(address, workers) as client:
        try:
            yield client
        except (CommClosedError, CancelledError) as error:
            raise SweepError(LOST) from error


@contextmanager
def _client(address: str, workers: int | None) -> Iterator[Client]:
    if address:
        try:
            client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, TimeoutError) as error:
            raise SweepError(f"no scheduler answers at {abridged(address)} ({error})") from None
        with client:
            yield client
        return
    with (
        LocalCluster(
            n_workers=workers or local_workers(),
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",  # without any routes
            scheduler_kwargs={"dashboard": False},
            silence_logs=50,  # what a lost worker says: the driver tells what comes of it
            preload=[tasks.__name__],
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client
