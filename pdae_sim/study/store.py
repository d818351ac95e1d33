"""Results on disk: one file per finished task, written to a temporary place and renamed; only finished tasks count."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pdae_sim import io
from pdae_sim.study.spec import Study, task_id


class Store:
    """The folder of one study."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def results(self) -> Path:
        """The collected long table."""
        return self.directory / "results.parquet"

    def prepare(self, study: Study) -> None:
        """Make the folder and write down what the study is."""
        (self.directory / "tasks").mkdir(parents=True, exist_ok=True)
        about = {key: getattr(study, key) for key in ("name", "question", "claim", "prediction")}
        about["tasks"] = [dict(task) | {"task_id": task_id(study.name, task)} for task in study.tasks]
        io.write_text(self.directory / "study.json", json.dumps(about, indent=1), force=True)

    def finished(self, study: Study, task: Mapping) -> bool:
        """Whether a task has rows."""
        return self._path(study, task).is_file()

    def failed(self, study: Study, task: Mapping) -> bool:
        """Whether a task ended in failure rows."""
        return self.finished(study, task) and any(row["status"] != "ok" for row in self._read(self._path(study, task)))

    def put(self, study: Study, task: Mapping, rows: Sequence[dict]) -> None:
        """The rows of a finished task, whole or not at all."""
        common = {"study": study.name, "task_id": task_id(study.name, task)}
        text = json.dumps([{**common, **row} for row in rows], allow_nan=False)
        io.write_text(self._path(study, task), text, force=True)

    def collect(self, study: Study) -> list[dict]:
        """All rows of finished tasks in the order of the declaration, also written as `results.parquet`."""
        paths = [self._path(study, task) for task in study.tasks]
        rows = [row for path in paths if path.is_file() for row in self._read(path)]
        if rows:
            io.write_table(self.results, rows, force=True)
        return rows

    def _path(self, study: Study, task: Mapping) -> Path:
        return self.directory / "tasks" / f"{task_id(study.name, task)}.json"

    @staticmethod
    def _read(path: Path) -> list[dict]:
        return json.loads(path.read_text(encoding="utf-8"))
