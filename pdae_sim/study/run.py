"""Run the tasks of a study that are not finished, here or in several worker processes, with the same results."""

from __future__ import annotations

import logging
import math
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import joblib

from pdae_sim._checks import whole
from pdae_sim.study.spec import Study
from pdae_sim.study.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tally:
    """Tasks of a study by state."""

    total: int
    finished: int
    failed: int


def run(study: Study, store: Store, *, workers: int = 1, retry: bool = False) -> Tally:
    """Run what is not finished, then collect the results.

    Args:
        study: The study.
        store: Where finished tasks go; tasks found there are not run again.
        workers: Worker processes; each computes with one thread, so that results do not depend on their number.
        retry: Run again tasks that ended in failure rows.
    """
    whole("workers", workers)
    store.prepare(study)
    pending = [t for t in study.tasks if not store.finished(study, t) or (retry and store.failed(study, t))]
    log.info("%s: %d tasks, %d to run", study.name, len(study.tasks), len(pending))
    start, failed = time.monotonic(), 0
    jobs = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")
    results = jobs(joblib.delayed(attempt)(study.perform, dict(task), number) for number, task in enumerate(pending))
    for done, (number, rows) in enumerate(results, 1):
        store.put(study, pending[number], rows)
        failed += any(row["status"] != "ok" for row in rows)
        left = (time.monotonic() - start) / done * (len(pending) - done)
        log.info("%s: %d/%d done, %d with failures, about %.0f s left", study.name, done, len(pending), failed, left)
    store.collect(study)
    return tally(study, store)


def tally(study: Study, store: Store) -> Tally:
    """How far a study is."""
    finished = [task for task in study.tasks if store.finished(study, task)]
    return Tally(len(study.tasks), len(finished), sum(store.failed(study, task) for task in finished))


def attempt(perform: Callable[[dict], list[dict]], task: dict, number: int) -> tuple[int, list[dict]]:
    """Perform a task on one thread; a failure is a row with its traceback and seed."""
    import torch

    torch.set_num_threads(1)
    start = time.perf_counter()
    try:
        rows = [_checked({"status": "ok", "error": None, **row}) for row in perform(task)]
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        rows = [{"metric": None, "value": None, "seed": task.get("seed"), "status": "failed", "error": text}]
    seconds = round(time.perf_counter() - start, 3)
    return number, [{**row, "task_seconds": seconds} for row in rows]


def _checked(row: dict) -> dict:
    """The row, or a failure row in its place where a number is not finite."""
    wrong = [key for key, value in row.items() if isinstance(value, float) and not math.isfinite(value)]
    if not wrong:
        return row
    return row | dict.fromkeys(wrong) | {"status": "failed", "error": f"{', '.join(wrong)} not finite"}
