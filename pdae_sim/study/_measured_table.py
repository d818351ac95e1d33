"""Measured tables in the place of simulated worlds: read with checks, known by a digest of their content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pdae_sim._checks import naming, near_misses
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.io import read_table
from pdae_sim.labels import LabelSpace

SUFFIXES = (".h5ad", ".csv", ".parquet")

Stamp = tuple[str, int, int]
"""A file as it is now: its path, size and time of change."""


class MeasuredTable(BaseModel):
    """A table of cells and how to read it.

    Args:
        path: An `.h5ad`, `.csv` or `.parquet` file, relative to the folder of the declaration.
        test: Conditions to hold out, as the table writes them, beside those that `split` marks.
        condition, split, control, separator: As in `io.read_data` and `io.read_table`.
        dose: As in `io.read_data`; tables write doses in their conditions.
        transform: As in `io.read_table`; an `.h5ad` file is taken as it is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(min_length=1)
    test: list[str] = []
    condition: str = "condition"
    split: str = "split"
    dose: str = "dose"
    control: str = "ctrl"
    separator: str = "+"
    transform: str = "none"

    def described(self, folder: str | Path) -> dict:
        """What a task says of the table: how it is read, and the digest of what is in it."""
        return {**self.model_dump(), "digest": digest(_stamp(Path(folder) / self.path))}

    def read(self, folder: str | Path) -> PerturbationData:
        """The cells, held-out conditions marked.

        Raises:
            InputError: One line with the file, the field and the fix.
        """
        return _read(self.model_dump_json(), _stamp(Path(folder) / self.path))


def read_described(described: Mapping, folder: str | Path) -> PerturbationData:
    """The cells of a table as a task describes it.

    Raises:
        InputError: If there is no such file, or its content is not what it was when the task was declared.
    """
    table = MeasuredTable(**{key: value for key, value in described.items() if key != "digest"})
    path = Path(folder) / table.path
    found, declared = digest(_stamp(path)), described["digest"]
    if found != declared:
        raise InputError(
            f"{path}: its content has changed since the study was declared (SHA-256 {found[:12]}…, then "
            f"{declared[:12]}…); plan the study anew, or put the file back"
        )
    return table.read(folder)


def identity(described: Mapping) -> dict:
    """What a table is, wherever it lies."""
    return {key: value for key, value in described.items() if key != "path"}


@lru_cache(maxsize=64)
def digest(stamp: Stamp) -> str:
    """SHA-256 of the content of a file."""
    with open(stamp[0], "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stamp(path: Path) -> Stamp:
    """Raises an InputError where there is no such file."""
    if not path.is_file():
        raise InputError(f"table.path: {os.path.normpath(path)}: no such file; put the table there or change the path")
    about = path.stat()
    return os.path.abspath(path), about.st_size, about.st_mtime_ns


@lru_cache(maxsize=2)
def _read(settings: str, stamp: Stamp) -> PerturbationData:
    table, path = MeasuredTable.model_validate_json(settings), Path(stamp[0])
    with naming("table"):
        if path.suffix not in SUFFIXES:
            raise InputError(f"{path}: expected a file that ends in {', '.join(SUFFIXES)}")
        data = _dataset(table, path) if path.suffix == ".h5ad" else _converted(table, path)
        with naming(f"{path}: test"):
            return replace(data, held_out=data.held_out | _named(table, data))


def _dataset(table: MeasuredTable, path: Path) -> PerturbationData:
    if table.transform != "none":
        raise InputError(f"{path}: transform is for .csv and .parquet tables; remove it, or transform the file")
    columns = table.model_dump(include={"condition", "dose", "split", "control", "separator"})
    return PerturbationData.read(path, **columns)


def _converted(table: MeasuredTable, path: Path) -> PerturbationData:
    if table.dose != "dose":
        raise InputError(f"{path}: dose is for .h5ad files; write doses in the conditions (A:0.5+B)")
    return read_table(path, **table.model_dump(include={"condition", "split", "control", "separator", "transform"}))


def _named(table: MeasuredTable, data: PerturbationData) -> np.ndarray:
    """(E,) whether an environment is among the conditions to hold out."""
    space = LabelSpace(data.names, control=data.control, separator=table.separator)
    rows = [_row(space.vector(condition), condition, data) for condition in table.test]
    return np.isin(np.arange(len(data.labels)), rows)


def _row(label: np.ndarray, condition: str, data: PerturbationData) -> int:
    found = np.flatnonzero((data.labels == label).all(1))
    if not found.size:
        raise InputError(f"no cell has the condition {condition!r}; {near_misses(condition, data.conditions)}")
    return int(found[0])
