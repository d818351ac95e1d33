"""Runners as processes that a test starts, kills and compares."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def started(folder: Path, *options: object) -> subprocess.Popen:
    """A runner of the toy study in a process group of its own."""
    command = [sys.executable, "-m", "tests.test_study", folder, *options]
    return subprocess.Popen(
        [str(word) for word in command], cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True
    )


def ended(*runners: subprocess.Popen, seconds: float = 120) -> list[int]:
    """Exit statuses, once all have ended."""
    return [runner.wait(timeout=seconds) for runner in runners]


def killed(runner: subprocess.Popen) -> None:
    """The whole group, with SIGKILL."""
    os.killpg(runner.pid, signal.SIGKILL)
    runner.wait()


def finished(folder: Path) -> int:
    """Tasks with a result."""
    return len(list((folder / "tasks").glob("*.json")))


def until_more_than(folder: Path, n: int, runner: subprocess.Popen, seconds: float = 60) -> None:
    """Until there are more than n results, or the runner has ended."""
    deadline = time.monotonic() + seconds
    while finished(folder) <= n and runner.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
