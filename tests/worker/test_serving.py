"""What a worker says of a run that it can't take up."""

import queue
from multiprocessing.connection import Pipe

from samedge_core.curvature import kernels
from samedge_core.training.config import RunConfig
from samedge_core.training.stop import StopReason
from samedge_core.worker import serving
from samedge_core.worker.channel import Channel
from samedge_core.worker.messages import Begin, Command, Ended


def test_a_run_whose_kernels_this_machine_can_not_compile_can_go_on_elsewhere(monkeypatch):
    monkeypatch.setattr(kernels, "FOLDER", None)
    ours, theirs = Pipe()
    commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
    begin = Begin(3, RunConfig(steps=20), until=8)
    assert serving._session(Channel(theirs), commands, begin) is None
    ended = Channel(ours).receive()
    assert isinstance(ended, Ended)
    assert (ended.session, ended.stop.reason, ended.stop.step) == (3, StopReason.WORKER_LOST, 7)
    assert ended.stop.reason.resumable
    assert "there is no folder to keep compiled code in" in ended.stop.message
