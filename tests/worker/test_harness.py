"""The tests' own eyes."""

import subprocess
import sys

import psutil

from tests.worker.harness import still_running


def test_a_zombie_has_ended_and_a_sleeper_has_not():
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:  # not waited for: a zombie
        assert still_running([psutil.Process(ended.pid)], 30) == []
    sleep = [sys.executable, "-c", "input()"]
    with subprocess.Popen(sleep, stdin=subprocess.PIPE) as sleeper:
        process = psutil.Process(sleeper.pid)
        assert still_running([process], 0.1) == [process]
        sleeper.kill()
