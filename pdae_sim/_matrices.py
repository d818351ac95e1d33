"""Cells as a matrix that is dense or sparse: what is stored stays as it is, and what is asked for comes dense."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from scipy import sparse

from pdae_sim._checks import finite, matrix
from pdae_sim.errors import InputError

Matrix: TypeAlias = np.ndarray | sparse.csr_array
"""(n, d) numbers, rows = samples: dense, or compressed sparse rows."""


def as_matrix(x: object) -> Matrix:
    """x in float32 or float64: sparse of any kind as compressed rows without stored zeros, anything else as an array.

    What is already so is not copied; what had to be made anew is read-only, so that `unshared` takes it as it is.
    """
    if sparse.issparse(x):
        rows = sparse.csr_array(x)
        if not rows.has_canonical_format or (rows.data == 0).any():
            rows = rows.copy()
            rows.sum_duplicates()
            rows.eliminate_zeros()
            rows = freeze(rows)
    else:
        rows = np.asarray(x)
    return rows if rows.dtype in (np.float32, np.float64) else freeze(rows.astype(np.float64))


def unshared(x: Matrix) -> Matrix:
    """x read-only, and copied where its values could still be written to by whoever holds them."""
    if isinstance(x, np.ndarray):
        return freeze(x.copy() if x.flags.writeable else x)
    return freeze(x.copy() if any(part.flags.writeable for part in (x.data, x.indices, x.indptr)) else x)


class Locked:
    """Base of records whose arrays are read-only, also of those that were unpickled or copied."""

    def __setstate__(self, state: dict[str, object]) -> None:
        for value in state.values():
            for part in (value, *(getattr(value, name, None) for name in ("data", "indices", "indptr"))):
                if isinstance(part, np.ndarray):
                    part.flags.writeable = False
        vars(self).update(state)


def dense(x: Matrix) -> np.ndarray:
    """x as an array: itself if it is one."""
    return x if isinstance(x, np.ndarray) else x.toarray()


def finite_matrix(name: str, x: Matrix) -> Matrix:
    """x, if it holds no NaN and no infinity."""
    if isinstance(x, np.ndarray):
        return finite(name, x)
    bad = np.flatnonzero(~np.isfinite(x.data))
    if bad.size:
        first = int(np.searchsorted(x.indptr, bad[0], side="right")) - 1, int(x.indices[bad[0]])
        raise InputError(
            f"{name} must be finite; {bad.size} of {np.prod(x.shape)} values are not, the first at {first}"
        )
    return x


def check_shapes(x: Matrix, labels: np.ndarray, environment: np.ndarray, n_names: int) -> None:
    """Refuse cells (n, d_X), labels (E, K) and environments (n,) whose shapes do not go together."""
    if len(x.shape) != 2 or labels.ndim != 2:
        raise InputError(f"x and labels must be matrices; received shapes {x.shape} and {labels.shape}")
    if labels.shape[1] != n_names:
        raise InputError(f"labels must have one column per name ({n_names}); received {labels.shape[1]}")
    if environment.shape != x.shape[:1] or not np.issubdtype(environment.dtype, np.integer):
        received = f"{environment.dtype} {environment.shape}"
        raise InputError(f"environment must hold {x.shape[0]} integers; received {received}")


def checked_matrix(name: str, x: object, *, names: Sequence[str]) -> Matrix:
    """x as a finite matrix of the columns `names`, by name in a data frame; precision and sparsity are kept."""
    if sparse.issparse(x):
        rows = as_matrix(x)
        matrix(name, dense(rows[:0]), names=names)
        return finite_matrix(name, rows)
    precision = np.float32 if getattr(x, "dtype", None) == np.float32 else np.float64
    return matrix(name, x, names=names, dtype=precision)


def row_numbers(name: str, chosen: np.ndarray | Sequence | slice, n: int) -> np.ndarray:
    """Row numbers from a mask, indices or a slice of n rows."""
    try:
        rows = np.arange(n)[chosen if isinstance(chosen, slice) or len(chosen) else []]
    except (IndexError, TypeError, ValueError):
        rows = np.empty((0, 0), int)
    if rows.ndim != 1:
        raise InputError(f"{name} must be a mask of {n} or indices below {n}; received another {type(chosen).__name__}")
    return rows


def freeze(x: Matrix) -> Matrix:
    """A read-only view of x."""
    if isinstance(x, np.ndarray):
        view = x.view()
        view.flags.writeable = False
        return view
    rows = sparse.csr_array(x.shape, dtype=x.dtype)
    rows.data, rows.indices, rows.indptr = (freeze(part) for part in (x.data, x.indices, x.indptr))
    return rows
