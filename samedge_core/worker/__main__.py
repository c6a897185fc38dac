"""The worker program, `python -m samedge_core.worker`: one run at a time, commands on its pipe.

Started by the registry, never by hand, or a copy of `fork_server`. It ends as soon as its pipe
does, however the server ended, and it ignores Ctrl-C, which a terminal sends to the whole
process group.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading

from samedge_core.worker.channel import Channel
from samedge_core.worker.launching import inherited
from samedge_core.worker.messages import Command, Ready

NICENESS = 5  # the page stays responsive when runs take every core


def _read_commands(channel: Channel, commands: queue.SimpleQueue[Command]) -> None:
    try:
        while True:
            commands.put(channel.receive())
    except (EOFError, OSError):
        # the server has ended: no report of the main thread can be read any more
        os._exit(0)


def main(gradient_seconds: float | None = None) -> None:
    """Serve until the pipe ends; a copy of a warm process passes the result of `warm_up`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever prints goes to the server's log
    channel = Channel(inherited())
    commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
    threading.Thread(target=_read_commands, args=(channel, commands), daemon=True).start()
    # torch takes seconds to load, in which the server may end: the thread above is listening then
    from samedge_core.worker import serving

    if gradient_seconds is None:
        gradient_seconds = serving.warm_up()
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    channel.send(Ready(os.getpid(), gradient_seconds))
    serving.serve(channel, commands)
    os._exit(0)  # the thread is still reading: taking down the interpreter under it may crash


if __name__ == "__main__":
    main()
