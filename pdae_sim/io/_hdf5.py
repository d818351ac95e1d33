"""Labels, truth and X of an `.h5ad` file straight from HDF5: nothing else is read, and anndata is not loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import compress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy import sparse

from pdae_sim._checks import naming
from pdae_sim._seals import undamaged as _undamaged
from pdae_sim.data import PerturbationData, Truth
from pdae_sim.errors import InputError
from pdae_sim.io._annotations import SCHEMA_VERSION, Annotations
from pdae_sim.io._options import ReadOptions
from pdae_sim.io._remembered import check_truth, remembered

_REMEMBERED = ("perturbations", "control", "no_control", "reference", "separator", "dose_separator", "schema_version")
_TRUTH = {"obsm": ("z_true", "z_base"), "uns": ("W", "Sigma")}


class OtherEncodingError(Exception):
    """An element that is not written as anndata ≥ 0.8 writes it."""


def read_labels(path: Path, **options: Any) -> PerturbationData:
    """Read the labels of a dataset without its X.

    Args:
        path: An `.h5ad` file.
        options: Those of `ReadOptions`.

    Returns:
        Data with every cell's environment, and an x (n, 0) of no column: enough for counts, spans and designs.

    Raises:
        InputError: With the file, the field and the fix.
    """
    with naming(path):
        at = ReadOptions.of(options)
    try:
        with readable(path), h5py.File(path) as file, naming(path):
            return annotations_of(file, at).data()
    except OtherEncodingError:
        from pdae_sim.io._anndata import read_annotations

        with naming(path):
            return read_annotations(path, at).data()


def read_features(path: Path, **options: Any) -> tuple[str, ...]:
    """Read the names of the features that a dataset is read with, without its X.

    Args:
        path: An `.h5ad` file.
        options: Those of `ReadOptions`.

    Raises:
        InputError: With the file, the field and the fix.
    """
    with naming(path):
        at = ReadOptions.of(options)
    with readable(path), h5py.File(path) as file, naming(path):
        try:
            names, flags = list(features_of(file)), flags_of(file)
        except OtherEncodingError:
            from pdae_sim.io._anndata import read_names

            names, flags = read_names(path)
        return tuple(compress(names, at.chosen(names, flags)))


def has_truth(path: Path) -> bool:
    """Whether a dataset was written by a simulation.

    Args:
        path: An `.h5ad` file.
    """
    with readable(path), h5py.File(path) as file:
        return "W" in file.get("uns/pdae_sim", {})


def is_dataset(path: Path) -> bool:
    """Whether a file was written by this package, with its columns under their default names.

    Args:
        path: An `.h5ad` file.
    """
    with readable(path), h5py.File(path) as file:
        return "schema_version" in file.get("uns/pdae_sim", {})


def field_names(path: Path) -> set[str]:
    """Names of the columns of `obs`, the entries of `obsm` and the layers of a file.

    Args:
        path: An `.h5ad` file.
    """
    with readable(path), h5py.File(path) as file:
        groups = [file.get(name) for name in ("obs", "obsm", "layers")]
        return {str(key) for group in groups if isinstance(group, h5py.Group) for key in group}


def read_truth(path: Path) -> Truth:
    """Read the truth of a simulated file without its X.

    Args:
        path: An `.h5ad` file.

    Raises:
        InputError: If the file holds no truth, or that of an older version.
    """
    with readable(path), h5py.File(path) as file:
        return truth_of(path, file.get("obsm", {}), file.get("uns/pdae_sim", {}))


def truth_of(path: Path, obsm: Mapping, uns: Mapping) -> Truth:
    """The truth among the entries of `obsm` and of ``uns["pdae_sim"]``, in memory or on disk."""
    missing = [key for key in _TRUTH["obsm"] if key not in obsm]
    if missing or "W" not in uns:
        raise InputError(f"{path}: obsm has no {' or '.join(missing or ['W'])}; truth is there in simulated files only")
    with undamaged(path):
        written = int(np.asarray(uns.get("schema_version", 0)))
    if written < SCHEMA_VERSION:
        raise InputError(f"{path}: its truth was written by an older version of pdae_sim; simulate it again")
    with undamaged(path):
        parts = [*(obsm[key] for key in _TRUTH["obsm"]), *(uns[key] for key in _TRUTH["uns"])]
        truth = Truth(*(np.asarray(part, dtype=float) for part in parts))
        return check_truth(truth, len(truth.z), len(uns["perturbations"]))


@contextmanager
def undamaged(path: Path) -> Iterator[None]:
    """Turn what a damaged truth raises into an InputError."""
    with _undamaged(f"{path}: the truth in uns['pdae_sim']", "simulate it again"):
        yield


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what a file that is no `.h5ad` raises into an InputError."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix.lower() != ".h5ad":
        raise InputError(f"{path}: expected an .h5ad file; `pdae-sim convert` makes one from a table, .zarr or .h5mu")
    if not path.stat().st_size:
        raise InputError(f"{path}: the file is empty; write it again")
    try:
        yield
    except (InputError, OtherEncodingError, MemoryError):
        raise
    except Exception as error:  # anndata and h5py raise many kinds; the reader needs one line
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not a readable .h5ad file ({reason}); write it again") from None


def annotations_of(file: h5py.File, options: ReadOptions) -> Annotations:
    """What an open file says of its cells; doses are read when they are asked for.

    Raises:
        OtherEncodingError: If a column is not written as anndata ≥ 0.8 writes it.
    """
    obs = file["obs"]
    if not isinstance(obs, h5py.Group):
        raise OtherEncodingError
    known = [name for name in obs if name != obs.attrs.get("_index", "_index")]
    if options.condition not in known and options.condition in file.get("obsm", {}):
        raise OtherEncodingError  # a design matrix, which anndata knows in all its forms
    wanted = {options.condition, options.dose, options.split, *options.context} & set(known)
    about = file.get("uns/pdae_sim", {})
    if not isinstance(about, Mapping):
        remembered(about)
    uns = remembered({key: _plain(about[key]) for key in _REMEMBERED if key in about})
    doses = table_of(file["obsm"][options.dose]) if options.dose in file.get("obsm", {}) else None
    return Annotations(options, known, {name: _texts(obs[name]) for name in wanted}, doses, uns)


def flags_of(file: h5py.File) -> dict[str, np.ndarray]:
    """The boolean columns of `var`."""
    flags = {name: _flag(column) for name, column in file["var"].items()}
    return {name: flag for name, flag in flags.items() if flag is not None}


def _flag(column: h5py.Dataset | h5py.Group) -> np.ndarray | None:
    """A boolean column, nullable or not; None if it is of another kind, or empty somewhere."""
    if isinstance(column, h5py.Dataset):
        return column[()] if column.dtype == bool else None
    nullable = column.attrs.get("encoding-type") == "nullable-boolean"
    return column["values"][()] if nullable and not column["mask"][()].any() else None


def table_of(element: h5py.Group | h5py.Dataset) -> h5py.Dataset | sparse.csr_array | sparse.csc_array:
    """A matrix of numbers: dense still on disk, sparse in memory.

    Raises:
        OtherEncodingError: If it is neither.
    """
    if isinstance(element, h5py.Dataset):
        return element
    kind = {"csr_matrix": sparse.csr_array, "csc_matrix": sparse.csc_array}.get(element.attrs.get("encoding-type"))
    if kind is None:
        raise OtherEncodingError
    parts = tuple(element[key][()] for key in ("data", "indices", "indptr"))
    for part in parts:
        part.flags.writeable = False  # ours alone, so that nobody copies it
    return kind(parts, shape=tuple(element.attrs["shape"]))


def features_of(file: h5py.File) -> tuple[str, ...]:
    """The names of the columns of X."""
    var = file["var"]
    if not isinstance(var, h5py.Group) or var.attrs.get("_index") not in var:
        raise OtherEncodingError
    return tuple(map(str, _texts(var[var.attrs["_index"]])))


def _texts(element: h5py.Group | h5py.Dataset) -> np.ndarray:
    """(n,) texts of a column of `obs`, None where a value is missing."""
    if isinstance(element, h5py.Dataset):
        return as_texts(_plain(element))
    keys = set(element)
    if keys == {"codes", "categories"}:  # code −1 is a missing value, and takes the last entry
        return np.array([*_texts(element["categories"]), None], dtype=object)[_plain(element["codes"])]
    if keys == {"values", "mask"}:
        return without(_texts(element["values"]), _plain(element["mask"]))
    raise OtherEncodingError


def _plain(element: h5py.Group | h5py.Dataset) -> np.ndarray:
    if not isinstance(element, h5py.Dataset):
        raise OtherEncodingError
    return np.asarray(element.asstr()[()] if h5py.check_string_dtype(element.dtype) else element[()])


def as_texts(values: np.ndarray) -> np.ndarray:
    """Values as an object array of texts, None for None and NaN."""
    return without(values.astype(object if values.dtype == object else str), values != values)


def without(texts: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """A copy of texts as objects, None where they are missing."""
    texts = texts.astype(object)
    texts[missing] = None
    return texts
