"""Results on disk: one file per finished task, written to a temporary place and renamed; only finished tasks count."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pdae_sim._files import replacing, sweep, whole_file, write_text
from pdae_sim.errors import InputError
from pdae_sim.study._execute import Outcome
from pdae_sim.study.leases import running
from pdae_sim.study.spec import Study, task_id

COLUMNS = (
    "study",
    "task_id",
    "scenario",
    "estimator",
    "seed",
    "condition",
    "verdict",
    "metric",
    "value",
    "low",
    "high",
    "status",
    "error",
)
"""The columns of every results table, in order; what a study adds comes after them."""

_SAID = ("name", "question", "claim", "prediction")
_NUMBERS = ("value", "low", "high")


class Store:
    """The folder of one study."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.tasks = self.directory / "tasks"

    @property
    def results(self) -> Path:
        """The collected long table: no times, so that it is the same whoever made it, and in whatever order."""
        return self.directory / "results.parquet"

    @property
    def provenance(self) -> Path:
        """How each task was made: versions, device, threads, attempts, peak memory, wall time in all and by part.

        Column ``parts`` holds JSON: ``{"fit": {"pdae": 3.1}, "judge": {"pdae": 0.2}, …}`` in seconds, over all seeds of
        the task.
        """
        return self.directory / "provenance.parquet"

    @property
    def about(self) -> Path:
        """What the study is."""
        return self.directory / "study.json"

    def prepare(self, study: Study) -> None:
        """Make the folder and write down what the study is; a folder of another study is refused."""
        self.tasks.mkdir(parents=True, exist_ok=True)
        about = {key: getattr(study, key) for key in _SAID}
        if self.about.is_file() and (held := self.read_about()["name"]) != study.name:
            raise InputError(f"{self.directory}: holds the study {held!r}; choose another folder for {study.name!r}")
        sweep(self.tasks, ".*")
        about["tasks"] = [{**task, "task_id": key} for key, task in zip(study.ids, study.tasks, strict=True)]
        write_text(self.about, json.dumps(about, indent=1), force=True)

    def read_about(self) -> dict:
        """What the study is: name, question, claim, prediction, and tasks with their ids."""
        try:
            return json.loads(self.about.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"{self.directory}: holds no study (there is no study.json); run one into it") from None
        except ValueError as error:
            raise InputError(f"{self.about}: is damaged ({error}); run the study again") from None

    def study(self, perform: Callable[[dict], list[dict]]) -> Study:
        """The study that is here, as it was declared; it can be followed and shown without its files."""
        about = self.read_about()
        tasks = [{key: value for key, value in task.items() if key != "task_id"} for task in about["tasks"]]
        return Study(*(about[key] for key in _SAID), tasks, perform)

    def finished_ids(self) -> set[str]:
        """Ids of all tasks with a result. A file that a crash of the machine left empty is none."""
        if not self.tasks.is_dir():
            return set()
        with os.scandir(self.tasks) as entries:
            return {e.name[:-5] for e in entries if e.name[0] != "." and e.name.endswith(".json") and _full(e)}

    def finished(self, study: Study, task: Mapping) -> bool:
        """Whether a task has rows."""
        return self.record(task_id(study.name, task)) is not None

    def failed(self, study: Study, task: Mapping) -> bool:
        """Whether a task ended in failure rows."""
        record = self.record(task_id(study.name, task))
        return record is not None and has_failed(record)

    def record(self, key: str) -> dict | None:
        """What is written of a finished task: its rows and provenance."""
        try:
            text = (self.tasks / f"{key}.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        return json.loads(text) if text else None

    def put(self, key: str, outcome: Outcome, *, attempts: int = 1) -> None:
        """The outcome of a task, whole or not at all."""
        provenance = json.dumps({**outcome.provenance, "attempts": attempts})
        self._write(key, f'{{"task_id": "{key}", "provenance": {provenance}, "rows": {outcome.rows}}}')

    def write_record(self, key: str, record: Mapping) -> None:
        """A record as `record` reads it."""
        self._write(key, json.dumps(record, allow_nan=False))

    def _write(self, key: str, text: str) -> None:
        with replacing(self.tasks / f"{key}.json") as temporary:
            temporary.write_text(text, encoding="utf-8")

    def rows(self, study: Study) -> list[dict]:
        """All rows of finished tasks in the order of the declaration."""
        return rows_of(study.name, self._records(study.ids))

    def collect(self, study: Study) -> list[dict]:
        """All rows of finished tasks, also written as `results.parquet`, with `provenance.parquet` beside it."""
        return self.collect_ids(study.name, study.ids)

    def collect_ids(self, name: str, ids: Sequence[str]) -> list[dict]:
        """As `collect`, by the ids of the tasks.

        Where another runner finished a task meanwhile and is gone, the tables are written again; one that is still
        there will collect when it ends. So the last to write has it all.
        """
        while True:
            seen = self._stamps()
            records = list(self._records(ids))
            rows = rows_of(name, records)
            if rows:
                write_rows(self.results, rows)
                write_rows(self.provenance, provenance_of(records), first=("task_id", "attempts"))
            if self._stamps() == seen or running(self.directory):
                return rows

    def _stamps(self) -> dict[str, tuple[int, int]]:
        with os.scandir(self.tasks) as entries:
            return {e.name: (e.stat().st_mtime_ns, e.inode()) for e in entries if e.name[0] != "."}

    def _records(self, ids: Iterable[str]) -> Iterator[dict]:
        there = self.finished_ids()
        found = (self.record(key) for key in ids if key in there)
        return (record for record in found if record is not None)


def has_failed(record: Mapping) -> bool:
    """Whether a record holds a failure row."""
    return any(row["status"] != "ok" for row in record["rows"])


def rows_of(study: str, records: Iterable[Mapping]) -> list[dict]:
    """The long table of some records; every row has all of `COLUMNS`."""
    blank = dict.fromkeys(COLUMNS)
    return [
        {**blank, **row, "study": study, "task_id": record["task_id"]} for record in records for row in record["rows"]
    ]


def provenance_of(records: Iterable[Mapping]) -> list[dict]:
    """One row per record."""
    return [{"task_id": record["task_id"], **record["provenance"], "failed": has_failed(record)} for record in records]


def write_rows(path: Path, rows: Sequence[Mapping], *, first: Sequence[str] = COLUMNS) -> None:
    """Write rows as Parquet, byte for byte the same for the same rows: columns of `first`, then others as they come."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [*first, *dict.fromkeys(key for row in rows for key in row if key not in first)]
    table = pa.table({name: _column(name, [row.get(name) for row in rows]) for name in names})
    with whole_file(path, force=True) as temporary:
        pq.write_table(table, temporary)


def _column(name: str, values: list):
    """The values as an Arrow column, as text where they are of several kinds."""
    import pyarrow as pa

    if name in _NUMBERS:
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    kinds = {bool if isinstance(v, bool) else type(v) for v in values if v is not None}
    if kinds <= {int} or kinds <= {bool} or kinds <= {str}:
        return pa.array(values, None if kinds else pa.string())
    if kinds <= {int, float}:
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    return pa.array([v if v is None or isinstance(v, str) else json.dumps(v, sort_keys=True) for v in values])


def _full(entry: os.DirEntry) -> bool:
    try:
        return entry.stat().st_size > 0
    except FileNotFoundError:
        return False
