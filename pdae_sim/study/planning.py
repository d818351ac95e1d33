"""What a study will take, before anything runs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pdae_sim._checks import whole
from pdae_sim.study._driving import cores
from pdae_sim.study._stopwatch import in_words
from pdae_sim.study.spec import Cost, Study
from pdae_sim.study.store import Store


@dataclass(frozen=True)
class StudyPlan:
    """What is left of a study.

    Args:
        tasks: Tasks in all.
        finished: Those that are done.
        seconds: Wall time of the rest; None where nothing is known.
        peak_mib: Memory of all workers together, at their peaks; None where nothing is known.
        workers: Workers that share the rest.
        how: Where the estimate comes from.

    Example:
        >>> StudyPlan(4, 1, 90.0, 2048.0, 1, "by the cost model").in_words().splitlines()[1]
        'time with 1 worker: about 90 s; peak memory: about 2.0 GiB (by the cost model)'
    """

    tasks: int
    finished: int
    seconds: float | None
    peak_mib: float | None
    workers: int
    how: str

    def in_words(self) -> str:
        """The plan in two lines."""
        time = "unknown" if self.seconds is None else f"about {in_words(self.seconds)}"
        memory = "unknown" if self.peak_mib is None else f"about {self.peak_mib / 1024:.1f} GiB"
        workers = "1 worker" if self.workers == 1 else f"{self.workers} workers"
        return (
            f"{self.tasks} tasks, {self.finished} finished, {self.tasks - self.finished} to run\n"
            f"time with {workers}: {time}; peak memory: {memory} ({self.how})"
        )

    def to_json(self) -> dict:
        """The plan as plain values."""
        return asdict(self)


def plan_study(study: Study, store: Store | None = None, *, workers: int | None = 1) -> StudyPlan:
    """Tasks, wall time and memory.

    Times are those of finished tasks where the store has some, else of the study's cost model. With both, the model
    says how tasks compare and the finished ones how fast this machine is. Workers are taken to share the sum evenly,
    and not to be done before the longest task is.

    Args:
        study: The study.
        store: Where results are, if there are some.
        workers: Worker processes; None takes one for each core.

    Example:
        >>> study = Study("two", "?", "none", "", [{"seed": 0}, {"seed": 1}], list, cost=lambda task: Cost(3.0, 100.0))
        >>> plan_study(study, workers=2).seconds
        3.0
    """
    workers = cores() if workers is None else whole("workers", workers)
    measured = {} if store is None else _measured(study, store)
    left = [i for i, key in enumerate(study.ids) if key not in measured]
    costs, how = _costs(study, measured, left)
    seconds = peak = None
    if costs is not None:
        each = [cost.seconds for cost in costs]
        seconds = max(sum(each) / workers, max(each, default=0.0))
        peak = sum(sorted((cost.peak_mib for cost in costs), reverse=True)[:workers])
    return StudyPlan(len(study.tasks), len(measured), seconds, peak, workers, how)


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
    peak = statistics.median(provenance["peak_mib"] for provenance in timed.values())
    if modelled is None:
        typical = Cost(statistics.median(provenance["seconds"] for provenance in timed.values()), peak)
        return [typical] * len(left), f"by the median of {len(timed)} finished tasks"
    pace = statistics.median(provenance["seconds"] / modelled[i].seconds for i, provenance in timed.items())
    memory = statistics.median(provenance["peak_mib"] / modelled[i].peak_mib for i, provenance in timed.items())
    scaled = [Cost(modelled[i].seconds * pace, modelled[i].peak_mib * memory) for i in left]
    return scaled, f"by the cost model, scaled to {len(timed)} finished tasks"
