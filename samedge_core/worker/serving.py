"""A worker once torch is loaded: runs sessions, inspections and predictions, one at a time. Needs
torch."""

from __future__ import annotations

import os
import queue
import time
import traceback

import torch

from samedge_core.curvature import kernels
from samedge_core.curvature.kernels import KernelsError
from samedge_core.problems.data import DataError
from samedge_core.training.config import RunConfig
from samedge_core.training.loop import build_problem, run
from samedge_core.training.stop import Stop, StopReason
from samedge_core.training.warmup import compile_all
from samedge_core.worker.channel import Channel
from samedge_core.worker.inspecting import inspect
from samedge_core.worker.limit import Limit
from samedge_core.worker.messages import Begin, Command, Ended, InspectStep, Predict
from samedge_core.worker.predicting import predict
from samedge_core.worker.session import Session

TIMED = 10  # gradients, some milliseconds each


def warm_up() -> float:
    """Load what a first run would wait for: the digits, torch's autograd engine, and the kernels,
    where they are compiled. Returns the least of TIMED timings of a gradient, in seconds."""
    torch.set_num_threads(1)  # runs share the cores, and one thread keeps a replay exact
    config = RunConfig(steps=1)
    arithmetic = kernels.at_hand(config.dtype)
    run(config, arithmetic=arithmetic)
    if arithmetic == "compiled":
        compile_all([config.dtype])
    problem = build_problem(config, arithmetic)
    w, times = problem.init(seed=0), []
    for _ in range(TIMED):
        began = time.perf_counter()
        problem.gradient(w, None)
        times.append(time.perf_counter() - began)
    return min(times)


def serve(channel: Channel, commands: queue.SimpleQueue[Command]) -> None:
    """Carry out commands until the server has ended."""
    begin: Begin | None = None
    while True:
        command = begin or commands.get()
        try:
            if isinstance(command, Begin):
                begin = _session(channel, commands, command)
            elif isinstance(command, InspectStep):
                inspect(channel, command, _limit(command))
            elif isinstance(command, Predict):
                predict(channel, command, _limit(command))
            # any other command belongs to a session that has just ended
        except OSError:
            return


def _limit(task: Begin | InspectStep | Predict) -> Limit:
    """The limit of a task; none on a GPU."""
    device = task.config.device
    on_cpu = device == "cpu" or not (torch.cuda.is_available() or torch.backends.mps.is_available())
    return Limit(task.room, on_cpu=on_cpu)


def _session(channel: Channel, commands: queue.SimpleQueue[Command], begin: Begin) -> Begin | None:
    """Run a session; returns the Begin of the next one, where that ended it."""
    limit = _limit(begin)

    def over(what: str) -> None:
        channel.send(Ended(begin.session, Stop(StopReason.FAILED, 0, what)))
        os._exit(1)

    try:
        with limit.holds(over):
            return Session(channel, commands, begin, limit).run()
    except OSError:
        raise
    except KernelsError as error:  # of this machine, not of the run: elsewhere it can go on
        stop = Stop(StopReason.WORKER_LOST, max(begin.until - 1, 0), str(error))
        channel.send(Ended(begin.session, stop))
        return None
    except DataError as error:  # a run that has rows can go on with them, once its file is back
        reason = StopReason.INTERRUPTED if begin.until else StopReason.FAILED
        stop = Stop(reason, max(begin.until - 1, 0), str(error))
        channel.send(Ended(begin.session, stop))
        return None
    except Exception as error:  # noqa: BLE001 - the run failed, not the worker: say so and stay
        traceback.print_exc()
        what = limit.met(error) or f"the run failed: {type(error).__name__}: {error}"
        channel.send(Ended(begin.session, Stop(StopReason.FAILED, 0, what)))
        return None
