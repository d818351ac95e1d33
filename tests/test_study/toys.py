"""Studies small enough to count: every performance leaves a file, so that one too many is seen."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import uuid
from pathlib import Path

import numpy as np

from pdae_sim.study._execute import ExecutionResult
from pdae_sim.study.spec import Study, task_root


def perform(task: dict) -> list[dict]:
    """Draw numbers under the task's own root, having left a mark and slept, as the task says."""
    if "marks" in task:
        (Path(task["marks"]) / f"{task['seed']}-{uuid.uuid4().hex}").touch()
    time.sleep(task.get("sleep", 0.0))
    misbehave(task)
    root = task_root({key: task[key] for key in ("seed",)})
    values = np.random.default_rng(root).normal(size=3)
    return [
        {"scenario": "s", "estimator": "e", "seed": task["seed"], "condition": str(i), "metric": "m", "value": value}
        for i, value in enumerate(values)
    ]


def misbehave(task: dict) -> None:
    """What a task may do wrong, until it is mended."""
    if os.environ.get("PDAE_SIM_MENDED"):
        return
    if task.get("fails"):
        raise ArithmeticError("planted")
    if task.get("dies"):
        os._exit(9)


def undefined(task: dict) -> list[dict]:
    """A task whose value is not a number."""
    return [{**row, "value": float("nan")} for row in perform(task)]


def unspeakable(task: dict) -> list[dict]:
    """A task whose value no file can hold."""
    return [{**row, "value": object()} for row in perform(task)]


def swallowing(task: dict) -> list[dict]:
    """A task that never ends and catches what it can."""
    while True:
        with contextlib.suppress(Exception):
            time.sleep(0.01)


def empty(task: dict) -> list[dict]:
    """Nothing to do."""
    return [{"scenario": "s", "estimator": "e", "seed": task["seed"], "metric": "m", "value": 0.0}]


def study(n: int = 4, perform=perform, *, timeout: float | None = None, last: dict | None = None, **common) -> Study:
    """A study of n tasks; `common` goes into each task, `last` into the last."""
    tasks = [{"seed": seed, **common} for seed in range(n)]
    tasks[-1] |= last or {}
    return Study("toy", "why?", "2.4", "because", tasks, perform, timeout=timeout)


def results(tasks: list[dict]) -> list[ExecutionResult]:
    """Results of tasks that nobody performed."""
    return [ExecutionResult("[]", False, {"seconds": 1e-4}) for _ in tasks]


def marks(folder: Path) -> list[int]:
    """How often each seed was performed."""
    seeds = [int(path.name.partition("-")[0]) for path in folder.iterdir()]
    return [seeds.count(seed) for seed in range(max(seeds, default=-1) + 1)]


def digest(directory: Path) -> str:
    """The bytes of a results table, in short."""
    return hashlib.sha256((directory / "results.parquet").read_bytes()).hexdigest()
