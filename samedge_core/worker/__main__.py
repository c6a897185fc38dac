"""The worker program, `python -m samedge_core.worker`: one run at a time, commands on its pipe.

Started by the registry, never by hand. It ends as soon as its standard input does, however the
server ended, and it ignores Ctrl-C, which a terminal sends to the whole process group.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
import traceback

import torch

from samedge_core.training.config import RunConfig
from samedge_core.training.loop import build_problem, run
from samedge_core.training.stop import Stop, StopReason
from samedge_core.worker.channel import Channel
from samedge_core.worker.examine import examine, examine_moment
from samedge_core.worker.messages import Begin, Command, Ended, Examine, ExamineMoment, Ready
from samedge_core.worker.session import Session

NICENESS = 5  # the page stays responsive when runs take every core
TIMED = 10  # gradients, some milliseconds each


def _read_commands(channel: Channel, commands: queue.SimpleQueue[Command]) -> None:
    try:
        while True:
            commands.put(channel.receive())
    except EOFError:
        # the server is gone; nobody is left to report to, whatever the main thread is doing
        os._exit(0)


def _warm_up() -> float:
    """Load what a first run would otherwise wait for: the digits and torch's autograd engine.
    Returns the least of some timings of a gradient, in seconds."""
    config = RunConfig(steps=1)
    run(config)
    problem = build_problem(config)
    w, times = problem.init(seed=0), []
    for _ in range(TIMED):
        began = time.perf_counter()
        problem.gradient(w, None)
        times.append(time.perf_counter() - began)
    return min(times)


def _serve(channel: Channel, commands: queue.SimpleQueue[Command]) -> None:
    begin: Begin | None = None
    while True:
        command = begin or commands.get()
        if not isinstance(command, Begin | Examine | ExamineMoment):
            continue  # meant for a session that has just ended
        try:
            if isinstance(command, Examine):
                examine(channel, command)
                continue
            if isinstance(command, ExamineMoment):
                examine_moment(channel, command)
                continue
            begin = Session(channel, commands, command).run()
        except OSError:
            return
        except Exception as error:  # noqa: BLE001 - the run failed, not the worker: say so and stay
            traceback.print_exc()
            begin = None
            what = f"the run failed: {type(error).__name__}: {error}"
            channel.send(Ended(command.session, Stop(StopReason.FAILED, 0, what)))


def main() -> None:
    """Serve until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # keep the pipe for messages alone: whatever prints goes to the server's log
    outgoing = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    channel = Channel(sys.stdin.buffer, outgoing)
    commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
    threading.Thread(target=_read_commands, args=(channel, commands), daemon=True).start()
    torch.set_num_threads(1)  # runs share the cores, and one thread keeps a replay exact
    gradient_seconds = _warm_up()
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    channel.send(Ready(gradient_seconds))
    _serve(channel, commands)


if __name__ == "__main__":
    main()
