"""The program that workers are copies of, `python -m samedge_core.worker.fork_server`.

It loads torch, then forks on request. Its standard input is a socket: a message is the
pid of a worker to end, or, with the end of a pipe, the environment for a new one, or WARM. It
has one thread when it forks, and has computed with one: what others held would stay locked in a
copy. Like a worker it ends as soon as its standard input does, and ignores Ctrl-C.
"""

from __future__ import annotations

import gc
import os
import pickle
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from samedge_core.worker import __main__ as worker
from samedge_core.worker.launching import OWN, WARM

LONGEST = 2**16  # bytes of a message
LOOK_SECONDS = 0.2


@contextmanager
def _listening(requests: socket.socket) -> Iterator[None]:
    """End the program when the server ends meanwhile."""
    done, over = threading.Event(), select.poll()
    over.register(requests, 0)  # hang-ups alone, which are always reported

    def listen() -> None:
        while not done.wait(LOOK_SECONDS):
            if over.poll(0):
                os._exit(0)

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        yield
    finally:  # what goes wrong while torch loads ends the program, and whoever waits hears of it
        done.set()
        listener.join()


def main() -> None:
    """Fork until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    with _listening(requests):
        from samedge_core.worker import serving  # torch takes seconds to load

        gradient_seconds = serving.warm_up()
    children = set[int]()
    while True:
        gc.freeze()  # a collection would write to, and so copy, every object in every worker
        message, handles, _, _ = socket.recv_fds(requests, LONGEST, 1)
        if not message:
            return
        request = pickle.loads(message)
        if request == WARM:
            gradient_seconds = serving.warm_up()
        elif isinstance(request, dict):
            children.add(_fork(requests, handles[0], request, gradient_seconds))
        elif request in children:
            children.remove(request)
            os.kill(request, signal.SIGKILL)
            os.waitpid(request, 0)


def _fork(
    requests: socket.socket, pipe: int, environ: dict[str, str], gradient_seconds: float
) -> int:
    """The pid of a new worker."""
    pid = os.fork()
    if pid == 0:
        try:
            requests.close()
            os.dup2(pipe, sys.stdin.fileno())
            os.close(pipe)
            for name in [name for name in os.environ if name.startswith(OWN)]:
                del os.environ[name]
            os.environ.update(environ)
            worker.main(gradient_seconds)
        except BaseException:  # noqa: BLE001 - a failed child must not run the server's loop
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(pipe)
    return pid


if __name__ == "__main__":
    main()
