"""Results on disk: one file per finished task, written to a temporary place and renamed; only finished tasks count."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pdae_sim._files import replacing, sweep, whole_file, write_text
from pdae_sim.errors import InputError
from pdae_sim.study._execute import ExecutionResult, has_failed
from pdae_sim.study._lock import FolderInUseError, in_use, locked
from pdae_sim.study._rows import NUMBERS
from pdae_sim.study.spec import Study

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS = (
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
"""Columns of every results table, in order; what a study adds comes after them."""

_SAID = ("name", "question", "claim", "prediction")
_DECLARED = ("declaration.toml", "settings.json")


@dataclass(frozen=True)
class Tally:
    """Tasks of a study by state.

    Args:
        total: Tasks in all.
        finished: Those with a result.
        failed: Those of them whose result holds failure rows.
        running: Whether a runner is at work in the folder now.

    Example:
        >>> Tally(total=4, finished=3, failed=1).in_words()
        '3 of 4 tasks finished, 1 with failures'
    """

    total: int
    finished: int
    failed: int
    running: bool = False

    def in_words(self) -> str:
        """The counts in a sentence."""
        running = ", a runner is at work" if self.running else ""
        return f"{self.finished} of {self.total} tasks finished, {self.failed} with failures{running}"

    def to_json(self) -> dict:
        """The counts by name."""
        return asdict(self)


class Store:
    """The folder of one study: a file per finished task, and the tables collected from them.

    Args:
        directory: The folder; made when a study is run into it.

    Example:
        >>> Store("results").results == Path("results") / "results.parquet"
        True
    """

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
        """Path of study.json: name, question, claim, prediction, tasks."""
        return self.directory / "study.json"

    def locked(self) -> AbstractContextManager[None]:
        """Hold the folder for a block: one runner at a time, given back however its process ends.

        Raises:
            InputError: If another process holds it.
        """
        return locked(self.directory)

    def prepare(self, study: Study, files: Mapping[str, str]) -> None:
        """Write down what the study is, with files that declare it; a folder that holds another is refused."""
        self.tasks.mkdir(parents=True, exist_ok=True)
        about = {key: getattr(study, key) for key in _SAID}
        if self.about.is_file() and (held := self.read_about()["name"]) != study.name:
            raise InputError(f"{self.directory}: holds the study {held!r}; choose another folder for {study.name!r}")
        for path in map(self.directory.joinpath, _DECLARED):
            if path.is_file() and path.read_text(encoding="utf-8") != files.get(path.name):
                raise InputError(f"{path}: belongs to a run with other settings; choose another folder")
        sweep(self.tasks, ".*")
        for name, text in files.items():
            write_text(self.directory / name, text, force=True)
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

    def study(self) -> Study:
        """The study that is here, as it was declared: to be followed and shown, not to be run."""
        about = self.read_about()
        tasks = [{key: value for key, value in task.items() if key != "task_id"} for task in about["tasks"]]
        return Study(**{key: about[key] for key in _SAID}, tasks=tasks, perform=_not_to_be_run)

    def finished_ids(self) -> set[str]:
        """Ids of all tasks with a result. A file that a crash of the machine left empty is none."""
        if not self.tasks.is_dir():
            return set()
        with os.scandir(self.tasks) as entries:
            return {e.name[:-5] for e in entries if e.name[0] != "." and e.name.endswith(".json") and _full(e)}

    def record(self, key: str) -> dict | None:
        """What is written of a finished task: its rows and provenance."""
        try:
            text = (self.tasks / f"{key}.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        return json.loads(text) if text else None

    def put(self, key: str, result: ExecutionResult, *, attempts: int = 1) -> None:
        """Keep the result of a task, whole or not at all."""
        provenance = json.dumps({**result.provenance, "attempts": attempts})
        self._write(key, f'{{"task_id": "{key}", "provenance": {provenance}, "rows": {result.rows}}}')

    def put_record(self, key: str, record: Mapping) -> None:
        """Keep a record as `record` reads it."""
        self._write(key, json.dumps(record, allow_nan=False))

    def _write(self, key: str, text: str) -> None:
        with replacing(self.tasks / f"{key}.json") as temporary:
            temporary.write_text(text, encoding="utf-8")

    def rows(self, study: str, ids: Iterable[str]) -> list[dict]:
        """The long table of finished tasks, in the order of their ids; every row has all of `_COLUMNS`."""
        return _rows(study, self._records(ids))

    def collect(self, study: str, ids: Iterable[str]) -> list[dict]:
        """Write the rows as `results.parquet`, with `provenance.parquet` beside it, while the folder is held."""
        records = list(self._records(ids))
        rows = _rows(study, records)
        if rows:
            _write_rows(self.results, rows)
            _write_rows(self.provenance, _provenance(records), first=("task_id", "attempts"))
        return rows

    def collect_if_free(self, study: str, ids: Sequence[str]) -> list[dict]:
        """Rows of finished tasks, collected too unless a runner is at work: it collects them itself when it ends."""
        try:
            with locked(self.directory, wait=0.0):
                return self.collect(study, ids)
        except FolderInUseError:
            return self.rows(study, ids)

    def tally(self, ids: Sequence[str]) -> Tally:
        """How far a study with tasks of these ids is."""
        records = list(self._records(ids))
        return Tally(len(ids), len(records), sum(map(has_failed, records)), in_use(self.directory))

    def _records(self, ids: Iterable[str]) -> Iterator[dict]:
        there = self.finished_ids()
        records = (self.record(key) for key in ids if key in there)
        return (record for record in records if record is not None)


def _not_to_be_run(task: dict) -> list[dict]:
    raise InputError("a study read from its folder cannot be run; run its declaration")


def _rows(study: str, records: Iterable[Mapping]) -> list[dict]:
    blank = dict.fromkeys(_COLUMNS)
    return [
        {**blank, **row, "study": study, "task_id": record["task_id"]} for record in records for row in record["rows"]
    ]


def _provenance(records: Iterable[Mapping]) -> list[dict]:
    return [{"task_id": record["task_id"], **record["provenance"], "failed": has_failed(record)} for record in records]


def _write_rows(path: Path, rows: Sequence[Mapping], *, first: Sequence[str] = _COLUMNS) -> None:
    """Write rows as Parquet, byte for byte the same for the same rows: columns of `first`, then others as they come."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [*first, *dict.fromkeys(key for row in rows for key in row if key not in first)]
    table = pa.table({name: _column(name, [row.get(name) for row in rows]) for name in names})
    with whole_file(path, force=True) as temporary:
        pq.write_table(table, temporary)


def _column(name: str, values: list) -> pa.Array:
    """The values as an Arrow column, as text where they are of several kinds."""
    import pyarrow as pa

    if name in NUMBERS:
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
