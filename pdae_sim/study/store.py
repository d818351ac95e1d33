"""Results on disk: one file per finished task, written to a temporary place and renamed; only finished tasks count."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pdae_sim._checks import naming
from pdae_sim._files import replacing, sweep, whole_file, write_text, writing
from pdae_sim._seals import DamagedError, read_json, sealed, undamaged, unsealed
from pdae_sim.errors import InputError
from pdae_sim.study._execute import ExecutionResult, has_failed
from pdae_sim.study._lock import FolderInUseError, in_use, locked
from pdae_sim.study._rows import NUMBERS
from pdae_sim.study.spec import Study

if TYPE_CHECKING:
    import pyarrow as pa

_log = logging.getLogger(__name__)

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
        """Path of study.json: name, question, claim, prediction, what is expected, tasks."""
        return self.directory / "study.json"

    def locked(self) -> AbstractContextManager[None]:
        """Hold the folder for a block: one runner at a time, given back however its process ends.

        Raises:
            InputError: If another process holds it.
        """
        return locked(self.directory)

    def prepare(self, study: Study, files: Mapping[str, str]) -> None:
        """Write down what the study is, with files that declare it; a folder that holds another is refused.

        What is damaged is set aside: what the study is will be written again, and broken tasks are done again.
        """
        self.tasks.mkdir(parents=True, exist_ok=True)
        about = _about(study)
        if (held := self._held()) not in (None, study.name):
            raise InputError(f"{self.directory}: holds the study {held!r}; choose another folder for {study.name!r}")
        for path in map(self.directory.joinpath, _DECLARED):
            said = files[path.name].encode() if path.name in files else None
            if path.is_file() and path.read_bytes() != said:
                raise InputError(f"{path}: belongs to a run with other settings; choose another folder")
        sweep(self.tasks)
        for name, text in files.items():
            write_text(self.directory / name, text, force=True)
        write_text(self.about, json.dumps(sealed(about), indent=1), force=True)
        for key in study.ids:
            if self._is_there(key) and self.record(key) is None:
                _set_aside(self._path(key))

    def _held(self) -> str | None:
        """The name of the study that is here, if one is; a damaged study.json is set aside."""
        try:
            return self.read_about()["name"] if self.about.exists() else None
        except DamagedError as error:
            _log.warning("%s", error)
            _set_aside(self.about)
            return None

    def read_about(self) -> dict:
        """What the study is: name, question, claim, prediction, what it expects of its rows, and tasks with their ids.

        Raises:
            InputError: If there is none, or study.json is damaged.
        """
        fix = "run the study again into this folder, which keeps finished tasks"
        try:
            with undamaged(self.about, fix):
                about = unsealed(read_json(self.about, fix=fix), where=self.about, fix=fix, required=True)
                wrong = [key for key in _SAID if not isinstance(about[key], str)]
                ids = [task["task_id"] for task in about["tasks"]]
                if wrong or not all(isinstance(key, str) and key.isalnum() for key in ids):
                    raise TypeError(f"{', '.join(wrong) or 'task_id'} must be text")
                if not all(isinstance(expected, dict) for expected in about.setdefault("expect", [])):
                    raise TypeError("expect must hold tables")
                return about
        except FileNotFoundError:
            raise InputError(f"{self.directory}: holds no study (there is no study.json); run one into it") from None

    def study(self) -> Study:
        """The study that is here, as it was declared: to be followed and shown, not to be run."""
        about = self.read_about()
        tasks = [{key: value for key, value in task.items() if key != "task_id"} for task in about["tasks"]]
        with naming(self.about):
            return Study.said({**about, "tasks": tasks})

    def finished_ids(self) -> set[str]:
        """Ids of all tasks with a result. A file that a crash of the machine left empty is none."""
        if not self.tasks.is_dir():
            return set()
        with os.scandir(self.tasks) as entries:
            return {e.name[:-5] for e in entries if e.name[0] != "." and e.name.endswith(".json") and _full(e)}

    def record(self, key: str) -> dict | None:
        """What is written of a finished task: its rows and provenance; None, with a warning, if it is damaged."""
        fix = "run the study again, which does this task again"
        try:
            with undamaged(self._path(key), fix):
                record = unsealed(read_json(self._path(key), fix=fix), where=self._path(key), fix=fix, required=True)
                return _checked_record(record, key)
        except FileNotFoundError:
            return None
        except DamagedError as error:
            if self._is_there(key):
                _log.warning("%s", error)
            return None

    def put(self, key: str, result: ExecutionResult, *, attempts: int = 1) -> None:
        """Keep the result of a task, whole or not at all."""
        provenance = {**result.provenance, "attempts": attempts}
        self.put_record(key, {"task_id": key, "provenance": provenance, "rows": json.loads(result.rows)})

    def put_record(self, key: str, record: Mapping) -> None:
        """Keep a record as `record` reads it, with a checksum."""
        with replacing(self._path(key)) as temporary, writing(self._path(key)):
            temporary.write_text(json.dumps(sealed(record), allow_nan=False), encoding="utf-8")

    def _path(self, key: str) -> Path:
        return self.tasks / f"{key}.json"

    def _is_there(self, key: str) -> bool:
        """Whether a task has a file that is not as empty as a crash of the machine leaves it."""
        path = self._path(key)
        return path.is_dir() or (path.exists() and path.stat().st_size > 0)

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


def _about(study: Study) -> dict:
    """What study.json says."""
    about: dict = {key: getattr(study, key) for key in _SAID}
    if study.expect:
        about["expect"] = [expected.model_dump(exclude_defaults=True) for expected in study.expect]
    about["tasks"] = [{**task, "task_id": key} for key, task in zip(study.ids, study.tasks, strict=True)]
    return about


def _checked_record(record: dict, key: str) -> dict:
    """A task's record, if its entries are of their kinds."""
    rows, provenance = record["rows"], record["provenance"]
    if unknown := record.keys() - {"task_id", "provenance", "rows"}:
        raise ValueError(f"it has an entry {min(unknown)!r}")
    if record["task_id"] != key:
        raise ValueError(f"it is of task {record['task_id']!r}")
    numbers = [provenance[name] for name in ("attempts", "seconds", "peak_mib")]
    numbers += [row.get(name) for row in rows for name in NUMBERS]
    if not all(value is None or isinstance(value, (int, float)) for value in numbers):
        raise TypeError("a text stands where a number should")
    if not all(isinstance(row["status"], str) for row in rows):
        raise TypeError("a row has no status")
    return record


def _set_aside(path: Path) -> None:
    """Put what is damaged under another name, where nothing reads it."""
    aside = path.with_name(f"{path.name}.damaged")
    while aside.exists():
        aside = aside.with_name(f"{aside.name}+")
    path.rename(aside)
    _log.warning("%s: set aside as %s", path, aside.name)


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
