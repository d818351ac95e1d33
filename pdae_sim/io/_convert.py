"""Datasets from the files of other tools: tables, AnnData in HDF5 or Zarr, the RNA of MuData."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pdae_sim._checks import check_control, choice, has_control, naming, near_misses
from pdae_sim._contexts import in_contexts
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError, LabelError
from pdae_sim.io._anndata import as_float32, from_anndata, read_data
from pdae_sim.io._options import ReadOptions
from pdae_sim.io._tables import DOMAINS, SEPARATORS, TRANSFORMS, kind, read_frame, summary

if TYPE_CHECKING:
    from anndata import AnnData

_logger = logging.getLogger(__name__)
_TABLES = (*SEPARATORS, ".parquet")
_KINDS = (".h5ad", ".h5mu", ".zarr", *_TABLES)


@dataclass(frozen=True, eq=False)
class Conversion:
    """A dataset from another tool's file.

    Args:
        data: The dataset, x in float32.
        left_out: Columns of a table that were not taken, each with the reason.
    """

    data: PerturbationData
    left_out: Mapping[str, str] = field(default_factory=dict)

    def in_words(self) -> str:
        """What was left out, and why; empty if nothing was."""
        reasons: dict[str, list[str]] = {}
        for name, reason in self.left_out.items():
            reasons.setdefault(reason, []).append(str(name))
        parts = [
            f"{', '.join(names[:8])}{f' and {len(names) - 8:,} more' if len(names) > 8 else ''} ({reason})"
            for reason, names in reasons.items()
        ]
        return f"left out: {'; '.join(parts)}; choose with features= and leave_out=" if parts else ""


def convert_file(path: Path, *, test: Sequence[str] = (), transform: str = "none", **options: Any) -> Conversion:
    """Read a dataset from `.h5ad`, `.zarr`, the RNA of `.h5mu`, or a `.csv`, `.tsv` or `.parquet` table.

    Text tables may be compressed (``.csv.gz``), and suffixes have any case.

    Args:
        path: The file.
        test: Conditions to hold out, beside those the split column marks.
        transform: Applied to every feature: none, log1p or log.
        options: Those of `ReadOptions`.

    Returns:
        The dataset, and what was left out of it.

    Raises:
        InputError: One line with the file and every problem, or with the field and the fix.

    Example:
        >>> import tempfile
        >>> table = Path(tempfile.mkdtemp()) / "cells.tsv"
        >>> _ = table.write_text("drug\\tg1\\tbatch\\nDMSO\\t1.5\\t1\\nA\\t2.5\\t1\\n")
        >>> result = convert_file(table, condition="drug", control="DMSO")
        >>> result.data.features, dict(result.left_out)
        (('g1',), {'batch': 'a code'})
    """
    with naming(path):
        choice("transform", transform, TRANSFORMS)
        at = ReadOptions.of(options)
        if not path.exists():
            raise InputError("no such file")
        if kind(path) not in _KINDS:
            raise InputError(f"expected a file that ends in {', '.join(_KINDS)}; save it as one of these")
        if path.is_file() and not path.stat().st_size:
            raise InputError("the file is empty; write it again")
    result = _read(path, at, transform)
    with naming(path):
        reference = result.data.read_as.get("reference")
        told = result.data.space.separators | ({} if reference is None else {"reference": reference})
        x, features = result.data.stored, result.data.features
        x = x if x.dtype == np.float32 else as_float32(x, features)
        data = _held_out(replace(result.data, x=x, read_as=told), test)
        if reference is not None and data.held_out[0] and not data.held_out.all():
            raise InputError(f"reference= {reference!r} is held out; name a condition of training")
        if not at.no_control and has_control(result.data.labels, result.data.held_out):
            check_control(data.labels, data.held_out, data.names, data.control)
    return replace(result, data=data)


def read_table(table: Path, *, test: Sequence[str] = (), transform: str = "none", **options: Any) -> PerturbationData:
    """Read a CSV, TSV or Parquet table with a condition column and numeric columns.

    Columns that are no features (dates, flags, codes, totals) are left out, with a warning in the log.

    Args:
        table: The table.
        test: Conditions to hold out.
        transform: Applied to every feature: none, log1p or log.
        options: Those of `ReadOptions`.

    Returns:
        Data in float32, the precision of `.h5ad` files.

    Raises:
        InputError: One line that lists every problem of the table with row counts.
    """
    if table.is_file() and kind(table) not in _TABLES:
        raise InputError(f"{table}: expected a table that ends in {', '.join(_TABLES)}")
    result = convert_file(table, test=test, transform=transform, **options)
    if result.left_out:
        _logger.warning("%s: %s", table, result.in_words())
    return result.data


def _read(path: Path, options: ReadOptions, transform: str) -> Conversion:
    if kind(path) == ".h5ad":
        data = read_data(path, **vars(options))
        with naming(path):
            return Conversion(replace(data, x=_transformed(data, transform)))
    with naming(path):
        if kind(path) in _TABLES:
            table = read_frame(path, options)
            return Conversion(table.dataset(transform), table.left_out)
        data = from_anndata(_zarr(path) if kind(path) == ".zarr" else _rna(path), **vars(options))
        return Conversion(replace(data, x=_transformed(data, transform)))


def _zarr(path: Path) -> AnnData:
    import anndata

    try:
        import zarr  # noqa: F401
    except ImportError:
        raise InputError("reading .zarr needs the package zarr; pip install zarr, or write .h5ad") from None
    return _opened(lambda: anndata.read_zarr(path))


def _rna(path: Path) -> AnnData:
    """The RNA of a MuData file, with columns of its `obs` that stand for all modalities."""
    import h5py
    from anndata.io import read_elem

    def read() -> AnnData:
        with h5py.File(path) as file:
            name = _modality(list(file["mod"]))
            adata, shared = read_elem(file["mod"][name]), read_elem(file["obs"])
        for column in shared:
            own = str(column).removeprefix(f"{name}:")
            if own not in adata.obs:
                adata.obs[own] = shared[column].reindex(adata.obs_names)
        return adata

    return _opened(read)


def _modality(names: list[str]) -> str:
    rna = [name for name in names if name.lower() in ("rna", "gex")] or names
    if len(rna) != 1:
        raise InputError(f"modalities are {', '.join(names)} and none is rna; write the one to read as .h5ad")
    return rna[0]


def _opened(read: Callable[[], AnnData]) -> AnnData:
    """What `read` returns; what it raises in one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read()
    except InputError:
        raise
    except Exception as error:  # anndata, h5py and zarr raise many kinds; the reader needs one line
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"not readable ({reason}); write it again") from None


def _transformed(data: PerturbationData, transform: str) -> Any:
    """x under a transform that fixes zero where x is sparse."""
    x: Any = data.stored
    if transform == "none":
        return x
    x = x.toarray() if transform == "log" and hasattr(x, "toarray") else x
    outside = int(((x.data if hasattr(x, "toarray") else x) <= DOMAINS[transform]).sum())
    if outside:
        least = f"≤ {DOMAINS[transform]:g}"
        raise InputError(f"X holds {outside:,} values {least}, outside the domain of {transform}; choose transform=")
    return x.log1p() if hasattr(x, "toarray") else as_float32(TRANSFORMS[transform](x), data.features)


def _held_out(data: PerturbationData, test: Sequence[str]) -> PerturbationData:
    """`data` with further conditions held out, written as the file writes them; in every context that they name."""
    held_out, problems = data.held_out.copy(), []
    for text in test:
        try:
            named = in_contexts(data.names, data.control, text)
            labels = np.array([data.space.vector(each) for each in named])
        except LabelError as error:
            problems.append(f"test={text!r}: {error}")
            continue
        rows = (data.labels[:, None] == labels).all(axis=2).any(axis=1)
        held_out |= rows
        if not rows.any():
            problems.append(
                f"test={text!r} has no row; {near_misses(data.space.condition(labels[0]), data.conditions)}"
            )
    if problems:
        raise InputError(summary([("test", problem) for problem in problems]))
    return replace(data, x=data.stored, held_out=held_out)
