"""The harness of every timing: rivals that take turns, medians with quartiles, memory in a process of its own."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.benchmarks._table import Spread


@dataclass(frozen=True)
class Times:
    """Seconds of rivals that took turns.

    Args:
        rounds: By rival: a list for each round with the seconds of its calls.
        values: By rival: what its last call returned.
    """

    rounds: dict[str, list[list[float]]] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Spread:
        """Median seconds of a call, with quartiles."""
        return Spread.of([seconds for calls in self.rounds[name] for seconds in calls])

    def ratio(self, name: str, reference: str) -> Spread:
        """Seconds of a rival over those of another in the same round, so that a slow minute of the machine cancels."""
        pairs = zip(self.rounds[name], self.rounds[reference], strict=True)
        return Spread.of([statistics.median(a) / statistics.median(b) for a, b in pairs])


def alternate(
    rivals: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 7,
    calls: int = 1,
    warm: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> Times:
    """Seconds of every call of every rival; all take their turn in each round.

    Args:
        rivals: By name, what is called.
        rounds: How often each has its turn.
        calls: Calls in a turn that count.
        warm: Calls before them in each turn that do not.
        clock: Seconds: wall time, or `time.process_time`.
    """
    times = Times({name: [] for name in rivals})
    for _ in range(rounds):
        for name, act in rivals.items():
            turn = [timed(act, clock) for _ in range(warm + calls)][warm:]
            times.rounds[name].append([seconds for seconds, _ in turn])
            times.values[name] = turn[-1][1]
    return times


def timed(act: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> tuple[float, Any]:
    """Seconds of one call, and what it returned."""
    start = clock()
    value = act()
    return clock() - start, value


def apart(module: str, function: str, *arguments: object) -> Any:
    """The result (plain JSON values) of a benchmark's function in a process, and with a peak memory, of its own."""
    code = f"import json, sys\nfrom experiments.benchmarks import {module}\n"
    code += f"print(json.dumps({module}.{function}(*json.loads(sys.argv[1]))))"
    command = [sys.executable, "-c", code, json.dumps(arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def memory(name: str = "VmHWM") -> float:
    """Memory of this process in MiB (Linux): its high-water mark, or ``VmRSS`` for what is resident now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024
