"""Integer codes of repeated values: what is repeated over cells is kept once, and each cell keeps a number."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any, Protocol, TypeVar

import numpy as np
from scipy import sparse

from pdae_sim.errors import InputError

_BLOCK = 2**21
"""Values looked at in one go: 16 MiB in float64."""

Value = TypeVar("Value", bound=Hashable)


class Table(Protocol):
    """A matrix in memory, dense or sparse, or on disk."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""

    def __getitem__(self, rows: Any, /) -> Any:
        """Some of its rows."""


def as_text(value: object) -> str:
    """A value as text; bytes are read as UTF-8."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def plain_labels(labels: Any) -> Any:
    """Labels as an array of numbers or of Python strings, whatever kind of text they are; sparse ones as they are."""
    table = labels if hasattr(labels, "tocsr") else np.asarray(labels)
    if isinstance(labels, (list, tuple)) and table.ndim == 1 and table.dtype.kind in "SU":
        others = [value for value in labels if not isinstance(value, (str, bytes))]
        if others:  # numpy would have written NaN as a name
            raise InputError(f"labels must all be texts, or all doses; received {others[0]!r} among texts")
    if table.dtype.kind in "ST":
        return np.array([as_text(value) for value in table.ravel().tolist()], dtype=object).reshape(table.shape)
    if table.dtype == object and table.ndim == 1 and any(isinstance(value, bytes) for value in table):
        return np.array([as_text(value) for value in table], dtype=object)
    return table


def factorize(values: Iterable[Value]) -> tuple[list[Value], np.ndarray]:
    """The distinct values in order of first appearance, and the (n,) code of each: its position among them."""
    codes: dict[Value, int] = {}
    numbers = [codes.setdefault(value, len(codes)) for value in values]
    return list(codes), np.array(numbers, dtype=np.intp)


def factorize_rows(table: Table) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows (E, K) of a table of numbers in order of first appearance, and the code (n,) of each row.

    The table is read block by block; what is held is one key a distinct row.
    """
    rows: Any = table
    if sparse.issparse(rows):
        _, codes = factorize(_sparse_keys(rows))
        first = np.unique(codes, return_index=True)[1]
        return np.asarray(rows.tocsr()[first].toarray(), dtype=np.float64) + 0.0, codes
    keys, codes = factorize(_dense_keys(table))
    distinct = np.frombuffer(b"".join(keys), dtype=np.float64)
    return distinct.reshape(len(keys), table.shape[1]).copy(), codes


def row_keys(table: Table, precision: type[np.floating] = np.float64) -> Iterator[bytes]:
    """A short key of each row of a table of numbers, read block by block: equal rows have one key, others another.

    Values are equal that are so in this precision.
    """
    step = max(_BLOCK // max(table.shape[1], 1), 1)
    for start in range(0, table.shape[0], step):
        block = table[start : start + step]
        rows = np.asarray(block.toarray() if sparse.issparse(block) else block, dtype=precision) + precision(0.0)
        yield from (blake2b(row.tobytes(), digest_size=16).digest() for row in rows)


def by_appearance(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The codes in use, in order of first appearance, and (n,) the position of each code among them."""
    used, first, position = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return used[order], np.argsort(order)[position.ravel()]


def marks_by_code(marks: np.ndarray, codes: np.ndarray, n_codes: int) -> np.ndarray:
    """(C,) whether cells of a code are held out, from one boolean per cell.

    Raises:
        InputError: If there is not one boolean per cell, or the cells of a code differ.
    """
    if marks.shape != codes.shape:
        raise InputError(f"held_out must have one boolean per row of x ({len(codes)}); received {marks.shape}")
    total = np.bincount(codes, minlength=n_codes)
    marked = np.bincount(codes, weights=marks, minlength=n_codes)
    mixed = np.flatnonzero((marked > 0) & (marked < total))
    if mixed.size:
        raise InputError(f"environment {int(mixed[0])} has both train and test samples; a test condition is unseen")
    return marked > 0


def _dense_keys(table: Table) -> Iterator[bytes]:
    """The bytes of each row in float64; −0 is 0."""
    n, width = table.shape
    step = max(_BLOCK // max(width, 1), 1)
    for start in range(0, n, step):
        block = np.ascontiguousarray(np.asarray(table[start : start + step], dtype=np.float64) + 0.0)
        yield from (row.tobytes() for row in block)


def _sparse_keys(table: Any) -> Iterator[tuple[bytes, bytes]]:
    """Columns and values of the entries of each row that are not zero."""
    rows = sparse.csr_array(table, dtype=np.float64, copy=True)
    rows.sum_duplicates()
    rows.eliminate_zeros()
    for start, stop in zip(rows.indptr[:-1], rows.indptr[1:], strict=True):
        yield rows.indices[start:stop].tobytes(), rows.data[start:stop].tobytes()


def separators(options: Mapping[str, object]) -> dict[str, str]:
    """The separators among the options that a dataset was read with."""
    return {name: str(options[name]) for name in ("separator", "dose_separator") if name in options}
