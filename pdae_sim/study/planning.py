"""What a study will take, before anything runs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pdae_sim._checks import whole
from pdae_sim.study.spec import Cost, Study
from pdae_sim.study.store import Store


@dataclass(frozen=True)
class Plan:
    """What is left of a study.

    Args:
        tasks: Tasks in all.
        finished: Those that are done.
        seconds: Wall time of the rest; None where nothing is known.
        peak_mib: Memory of all workers together, at their peaks; None where nothing is known.
        workers: Workers that share the rest.
        how: Where the estimate comes from.
    """

    tasks: int
    finished: int
    seconds: float | None
    peak_mib: float | None
    workers: int
    how: str


def plan(study: Study, store: Store | None = None, *, workers: int = 1) -> Plan:
    """Tasks, wall time and memory.

    Times are those of finished tasks where the store has some, else of the study's cost model. With both, the model
    says how tasks compare and the finished ones how fast this machine is.
    """
    whole("workers", workers)
    measured = {} if store is None else _measured(study, store)
    left = [i for i, key in enumerate(study.ids) if key not in measured]
    costs, how = _costs(study, measured, left)
    seconds = peak = None
    if costs is not None:
        seconds = _makespan([cost.seconds for cost in costs], workers)
        peak = sum(sorted((cost.peak_mib for cost in costs), reverse=True)[:workers])
    return Plan(len(study.tasks), len(measured), seconds, peak, workers, how)


def _measured(study: Study, store: Store) -> dict[str, dict]:
    there = store.finished_ids()
    records = {key: store.record(key) for key in study.ids if key in there}
    return {key: record["provenance"] for key, record in records.items() if record is not None}


def _costs(study: Study, measured: dict[str, dict], left: Sequence[int]) -> tuple[list[Cost] | None, str]:
    timed = {i: measured[key] for i, key in enumerate(study.ids) if key in measured and measured[key]["seconds"]}
    modelled = None if study.cost is None else [study.cost(task) for task in study.tasks]
    if not timed:
        how = "nothing is known of it; a first task will tell" if modelled is None else "by the cost model"
        return (None if modelled is None else [modelled[i] for i in left]), how
    peak = statistics.median(found["peak_mib"] for found in timed.values())
    if modelled is None:
        typical = Cost(statistics.median(found["seconds"] for found in timed.values()), peak)
        return [typical] * len(left), f"by the median of {len(timed)} finished tasks"
    pace = statistics.median(found["seconds"] / modelled[i].seconds for i, found in timed.items())
    memory = statistics.median(found["peak_mib"] / modelled[i].peak_mib for i, found in timed.items())
    scaled = [Cost(modelled[i].seconds * pace, modelled[i].peak_mib * memory) for i in left]
    return scaled, f"by the cost model, scaled to {len(timed)} finished tasks"


def _makespan(seconds: Sequence[float], workers: int) -> float:
    """The time until the last of some workers is done, each taking the next task when it is free."""
    busy = [0.0] * workers
    for each in seconds:
        first = min(range(workers), key=busy.__getitem__)
        busy[first] += each
    return max(busy)
