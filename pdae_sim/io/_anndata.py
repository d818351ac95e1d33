"""Datasets as AnnData objects, in memory and as `.h5ad` files: the only place that knows anndata."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import h5py
import numpy as np
from scipy import sparse

from pdae_sim._arguments import checked
from pdae_sim._checks import has_control, naming, near_misses
from pdae_sim._coding import as_text
from pdae_sim._files import check_target, whole_file
from pdae_sim._matrices import Matrix, as_matrix, dense, freeze
from pdae_sim.data import PerturbationData, Simulation
from pdae_sim.errors import InputError
from pdae_sim.io._annotations import SCHEMA_VERSION, Annotations
from pdae_sim.io._grammar import is_list
from pdae_sim.io._hdf5 import (
    OtherEncodingError,
    annotations_of,
    features_of,
    flags_of,
    readable,
    table_of,
    truth_of,
    undamaged,
    without,
)
from pdae_sim.io._options import ReadOptions
from pdae_sim.io._remembered import remembered
from pdae_sim.io._state import observed_by, packed, unpacked

if TYPE_CHECKING:
    from anndata import AnnData
    from pandas import Series

_STEP = 1 / 200
"""Step of float32 at the values of a column, at most, beside the range of these values."""
_SMALL = 1e-30
"""Size of values below which float32 has steps that no offset makes finer."""
_MANY = 0.1
"""Share of doses that are not zero above which they are written as a dense matrix."""


@checked
def to_anndata(data: PerturbationData, *, split: np.ndarray | None = None) -> AnnData:
    """Convert a dataset to an AnnData object.

    Args:
        data: n cells of d_X features under E environments.
        split: (n,) words in place of ``train`` and ``test``: ``predicted`` or ``fresh`` cells are neither to a reader.

    Returns:
        X (n, d_X) in float32, sparse if it is; condition and split in `obs`, doses (n, K) in ``obsm["dose"]``, sparse
        if most are zero; the perturbations' names and the control's in ``uns["pdae_sim"]``; what `from_anndata` reads
        back without loss.

    Raises:
        InputError: If a value is beyond the range of float32.

    Example:
        >>> data = PerturbationData.from_arrays(np.eye(2), ["ctrl", "A:0.5"])
        >>> from_anndata(to_anndata(data)).conditions == data.conditions
        True
    """
    import anndata
    import pandas as pd

    conditions = pd.Categorical.from_codes(data.environment, list(data.conditions))
    obs = pd.DataFrame(
        {
            "condition": conditions.reorder_categories(sorted(data.conditions)),
            "split": pd.Categorical(
                np.where(data.held_out, "test", "train")[data.environment] if split is None else split
            ),
        },
        index=[str(i) for i in range(len(data.environment))],
    )
    x = as_float32(data.stored, data.features)
    adata = anndata.AnnData(
        sparse.csr_matrix(x) if sparse.issparse(x) else x, obs=obs, var=pd.DataFrame(index=list(data.features))
    )
    adata.obsm["dose"] = _doses(data)
    adata.uns["pdae_sim"] = {
        "schema_version": SCHEMA_VERSION,
        "perturbations": np.array(data.names, dtype=object),
        "control": data.control,
        "no_control": not has_control(data.labels, data.held_out),
        **data.space.separators,
        **{name: value for name, value in data.read_as.items() if name == "reference"},
    }
    return adata


@checked
def from_anndata(adata: AnnData, **options: Any) -> PerturbationData:
    """Convert an AnnData object to a dataset.

    Args:
        adata: n cells; X dense or sparse, in memory or backed by its file, finite. Sparse cells stay sparse.
        options: Those of `ReadOptions`.

    Returns:
        Data whose environments are the distinct labels in order of first appearance.

    Raises:
        InputError: With the field and the fix.

    Example:
        >>> import anndata
        >>> adata = anndata.AnnData(np.eye(2, dtype=np.float32))
        >>> adata.obs["drug"] = ["DMSO", "A"]
        >>> from_anndata(adata, condition="drug", control="DMSO").conditions == ("DMSO", "A")
        True
    """
    at = ReadOptions.of(options)
    x = _values(at.layer, adata.X, adata.layers)
    return _dataset(_annotations(adata, at), x, adata.var_names, _flags(adata))


def write_data(path: Path, data: PerturbationData, *, split: np.ndarray | None = None, force: bool = False) -> None:
    """Write a dataset as `.h5ad`, whole or not at all.

    Args:
        path: The file.
        data: The dataset.
        split: As in `to_anndata`.
        force: Overwrite what is there.
    """
    _write_anndata(path, to_anndata(data, split=split), force=force)


def read_data(path: Path, **options: Any) -> PerturbationData:
    """Read a dataset.

    Args:
        path: An `.h5ad` file.
        options: Those of `ReadOptions`: columns, control, separators, words of the split, layer and features.

    Raises:
        InputError: With the file, the field and the fix.
    """
    with naming(path):
        at = ReadOptions.of(options)
    try:
        with readable(path), h5py.File(path) as file, naming(path):
            x = table_of(_values(at.layer, file.get("X"), file.get("layers", {})))
            return _dataset(annotations_of(file, at), x, features_of(file), flags_of(file))
    except OtherEncodingError:
        adata = _open(path)
    with naming(path):
        return from_anndata(adata, **options)


def read_names(path: Path) -> tuple[list[str], dict[str, np.ndarray]]:
    """Names of the columns of X, and the boolean columns of `var`, of a file in any encoding that anndata reads."""
    adata = _open(path, backed="r")
    try:
        return list(map(str, adata.var_names)), _flags(adata)
    finally:
        adata.file.close()


def _flags(adata: AnnData) -> dict[str, np.ndarray]:
    columns = {name: adata.var[name] for name in adata.var if adata.var[name].dtype in (bool, "boolean")}
    return {name: column.to_numpy(bool) for name, column in columns.items() if not column.isna().any()}


def read_fresh(path: Path, **options: Any) -> PerturbationData | None:
    """Read the cells that the split of a dataset keeps out of every fit, to judge fits by.

    Args:
        path: An `.h5ad` file.
        options: Those of `ReadOptions`.

    Returns:
        Data of the cells whose split is ``fresh``; None where there are none.

    Raises:
        InputError: With the file, the field and the fix.
    """
    with naming(path):
        at = ReadOptions.of(options)
        adata = _open(path)
        part = _annotations(adata, at).fresh()
        if part is None:
            return None
        return _dataset(part, _values(at.layer, adata.X, adata.layers), adata.var_names, _flags(adata))


def read_annotations(path: Path, options: ReadOptions) -> Annotations:
    """Labels and split of a file in any encoding that anndata reads, without its X."""
    adata = _open(path, backed="r")
    try:
        return _annotations(adata, options)
    finally:
        adata.file.close()


def write_simulation(path: Path, simulation: Simulation, *, force: bool = False) -> None:
    """Write simulated data with its truth, its configuration and the state that rebuilds its simulator.

    Args:
        path: The `.h5ad` file.
        simulation: Data, truth and simulator.
        force: Overwrite what is there.
    """
    adata, truth = to_anndata(simulation.data), simulation.truth
    adata.obsm["z_true"], adata.obsm["z_base"] = truth.z, truth.z_base
    simulator, arrays = packed(simulation.simulator)
    steps = observed_by(simulation.simulator)
    adata.uns["pdae_sim"] |= {
        "W": truth.perturbation_matrix,
        "Sigma": truth.covariance,
        "simulator": json.dumps(simulator),
        "arrays": {str(i): array for i, array in enumerate(arrays)},
        "config": json.dumps(simulation.config),
        "seed": str(simulation.seed),
        "observation": np.array(steps, dtype=object),
    }
    adata.uns["pdae_sim"]["sha256"] = _seal(adata.uns["pdae_sim"])
    if any(step in ("log1p", "log_normalise") for step in steps):
        adata.uns["log1p"] = {}  # by which scanpy knows that it need not take logarithms again
    _write_anndata(path, adata, force=force)


def read_simulation(path: Path, **options: Any) -> Simulation:
    """Read simulated data with its truth.

    Args:
        path: An `.h5ad` file that a simulation wrote.
        options: Those of `ReadOptions`.

    Raises:
        InputError: If the file holds no truth, an older version's, or a damaged one.
    """
    adata = _open(path)
    with naming(path):
        data = from_anndata(adata, **options)
    uns = adata.uns.get("pdae_sim", {})
    truth = truth_of(path, adata.obsm, uns)
    with undamaged(path):
        simulator = unpacked(json.loads(uns["simulator"]), uns.get("arrays", {}))
        config, seed = json.loads(uns["config"]), str(uns["seed"])
        if not isinstance(simulator, dict) or not isinstance(config, dict) or len(truth.z) != len(adata):
            raise TypeError("simulator and config must be mappings, and z_true have a row for each cell")
        if uns.get("sha256") not in (None, _seal(uns)):
            raise ValueError("it is not as it was written, its checksum says")
        return Simulation(data, truth, simulator, config, seed)


def _seal(uns: Mapping[str, Any]) -> str:
    """A checksum of the truth and of what rebuilds its simulator."""
    digest = hashlib.sha256()
    arrays = {"W": uns["W"], "Sigma": uns["Sigma"], **uns.get("arrays", {})}
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    digest.update("".join(f"{key} {uns[key]} " for key in ("simulator", "config", "seed")).encode())
    return digest.hexdigest()


def as_float32(x: Matrix, features: Sequence[str]) -> Matrix:
    """A copy of x in the dataset's precision; values that it cannot hold are refused with their column.

    Those are beyond its range, or so far from zero that steps of float32 there are wide beside how a column varies.
    """
    if x.dtype.kind == "c":
        raise InputError("X holds complex numbers; write real ones")
    if x.dtype.kind not in "iuf" or x.dtype == np.float32:
        return x.astype(np.float32)
    greatest, least = (dense(each).astype(np.float64) for each in (x.max(0), x.min(0)))
    size = np.maximum(greatest, -least)
    if np.isinf(size).any():
        return x.astype(np.float32)  # told of where all values are
    if (beyond := size > np.finfo(np.float32).max).any():
        name = features[int(np.flatnonzero(beyond)[0])]
        raise InputError(
            f"column {name!r} holds values beyond the range of float32, the precision of files; rescale it"
        )
    step = np.spacing(size.astype(np.float32)).astype(np.float64)
    if (coarse := (greatest > least) & (step > _STEP * (greatest - least))).any():
        name = features[j := int(np.flatnonzero(coarse)[0])]
        raise InputError(
            f"column {name!r} varies by {greatest[j] - least[j]:.3g} about {size[j]:.3g}, which float32, the precision"
            f" of files, cannot tell apart; {'rescale it' if size[j] < _SMALL else 'subtract an offset'}"
        )
    return x.astype(np.float32)


def _write_anndata(path: Path, adata: AnnData, *, force: bool) -> None:
    check_target(path, force=force, suffix=".h5ad")
    with whole_file(path, force=force) as temporary:
        adata.write_h5ad(temporary, compression="gzip", compression_opts=1)


def _open(path: Path, backed: Literal["r"] | None = None) -> AnnData:
    import anndata

    with readable(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return anndata.read_h5ad(path, backed=backed)


def _annotations(adata: AnnData, options: ReadOptions) -> Annotations:
    obs = {
        name: without(_texts_or_lists(adata.obs[name]), adata.obs[name].isna().to_numpy())
        for name in (options.condition, options.dose, options.split, *options.context)
        if name in adata.obs
    }
    doses = adata.obsm.get(options.dose)
    doses = doses if doses is None or hasattr(doses, "tocsr") else np.asarray(doses)
    uns, key = remembered(adata.uns.get("pdae_sim")), options.condition
    design = _design(adata, key, uns) if key not in adata.obs and key in adata.obsm else None
    return Annotations(options, list(adata.obs.columns), obs, doses, uns, design=design)


def _texts_or_lists(column: Series) -> np.ndarray:
    """(n,) texts of a column, or the lists of names it holds."""
    values = column.astype(object).to_numpy()
    return values if any(map(is_list, values)) else column.astype(object).map(as_text).to_numpy()


def _design(adata: AnnData, key: str, uns: Mapping[str, Any]) -> tuple[Any, Sequence[str] | None]:
    """A matrix of `obsm` with the names of its columns: those of a DataFrame, of `uns` under its key, or ours."""
    matrix = adata.obsm[key]
    if hasattr(matrix, "columns"):
        return matrix.to_numpy(dtype=np.float64), list(map(str, matrix.columns))
    own = adata.uns.get(key, adata.uns.get(f"{key}_names", uns.get("perturbations")))
    return matrix if hasattr(matrix, "tocsr") else np.asarray(matrix), own


def _values(layer: str | None, X: Any, layers: Mapping[str, Any]) -> Any:
    """X, or the layer that is asked for, in memory or on disk."""
    if layer is not None and layer not in layers:
        raise InputError(f"there is no layer {layer!r}; {near_misses(layer, layers)}; name it with layer=")
    values = X if layer is None else layers[layer]
    if values is None:
        raise InputError(f"X is absent; choose a layer with layer=; {near_misses('X', layers)}")
    return values


def _dataset(
    annotations: Annotations, X: Any, names: Iterable[object], flags: Mapping[str, np.ndarray]
) -> PerturbationData:
    if 0 in X.shape:
        raise InputError(f"X has shape {X.shape}; it needs at least one row and one column")
    features = list(map(str, names))
    taken = annotations.options.chosen(features, flags)
    if not (isinstance(X, np.ndarray) or sparse.issparse(X)):  # on disk: what is read of it is ours
        X = X.to_memory() if hasattr(X, "to_memory") else freeze(np.asarray(X))
    features = list(compress(features, taken))
    return annotations.data(_cells(X if taken.all() else X[:, taken], features), features)


def _cells(X: np.ndarray | Matrix, features: Sequence[str]) -> Matrix:
    """X in float32 or float64, sparse if it is."""
    x = as_matrix(X if X.dtype in (np.float32, np.float64) else freeze(as_float32(X, features)))
    bad = ~np.isfinite(x.data if isinstance(x, sparse.csr_array) else x)
    if bad.any():
        rows = x.tocoo().row[bad] if isinstance(x, sparse.csr_array) else np.flatnonzero(bad.any(1))
        raise InputError(
            f"X holds {int(bad.sum())} values that are NaN or infinite, in {len(np.unique(rows))} rows; drop or impute "
            "them"
        )
    return x


def _doses(data: PerturbationData) -> np.ndarray | sparse.csr_matrix:
    """(n, K) doses of the cells, sparse if at most one in ten is not zero."""
    if data.labels.size and (data.labels != 0).mean() > _MANY:
        return data.labels[data.environment]
    return sparse.csr_matrix(sparse.csr_array(data.labels)[data.environment])
