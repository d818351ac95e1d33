"""Datasets in and out as `.h5ad` files: the only place that knows anndata."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pdae_sim._checks import naming, near_misses
from pdae_sim._files import check_target, whole_file
from pdae_sim.data import PerturbationData, Simulation, Truth
from pdae_sim.errors import InputError, LabelError
from pdae_sim.labels import LabelSpace, read_dose

SCHEMA_VERSION = 2


def write_data(path: Path, data: PerturbationData, *, force: bool = False) -> None:
    """Write a dataset as `.h5ad`."""
    _write_anndata(path, _to_anndata(data), force=force)


def write_simulation(path: Path, simulation: Simulation, *, force: bool = False) -> None:
    """Write simulated data with its truth, its configuration and the state that rebuilds its simulator."""
    adata, truth = _to_anndata(simulation.data), simulation.truth
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
    if any(step in ("log1p", "log_normalise") for step in steps):
        adata.uns["log1p"] = {}  # by which scanpy knows that it need not take logarithms again
    _write_anndata(path, adata, force=force)


def read_data(
    path: Path,
    *,
    condition: str = "condition",
    dose: str = "dose",
    split: str = "split",
    control: str = "ctrl",
    separator: str = "+",
) -> PerturbationData:
    """Read a dataset.

    Args:
        path: An `.h5ad` file.
        condition: Column of `obs` with the condition strings.
        dose: Key of `obsm` with numeric doses, or column of `obs` with dose text such as ``0.5+1.0``.
        split: Column of `obs` with ``train`` or ``test``; all train where absent.
        control: The control's name in `condition`.
        separator: Joins the parts of a condition.

    Raises:
        InputError: With the file, the field and the fix.
    """
    return _data_of(path, _open(path), condition, dose, split, control, separator)


def _data_of(
    path: Path, adata, condition="condition", dose="dose", split="split", control="ctrl", separator="+"
) -> PerturbationData:
    with naming(path):
        return _from_anndata(adata, condition, dose, split, control, separator)


def read_simulation(path: Path) -> Simulation:
    """Read simulated data with its truth."""
    adata = _open(path)
    data = _data_of(path, adata)
    missing = [key for key in ("z_true", "z_base") if key not in adata.obsm]
    if missing or "W" not in adata.uns.get("pdae_sim", {}):
        raise InputError(f"{path}: obsm has no {' or '.join(missing or ['W'])}; truth is there in simulated files only")
    uns = adata.uns["pdae_sim"]
    if int(uns.get("schema_version", 0)) < SCHEMA_VERSION:
        raise InputError(f"{path}: its truth was written by an older version of pdae_sim; simulate it again")
    try:
        latents, matrices = (adata.obsm["z_true"], adata.obsm["z_base"]), (uns["W"], uns["Sigma"])
        truth = Truth(*(np.asarray(part, float) for part in (*latents, *matrices)))
        simulator = unpacked(json.loads(uns["simulator"]), uns.get("arrays", {}))
        return Simulation(data, truth, simulator, json.loads(uns["config"]), str(uns["seed"]))
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: the truth in uns['pdae_sim'] is damaged ({error}); simulate it again") from None


def observed_by(simulator: Mapping) -> list[str]:
    """The kinds of noise, counting and transform between f(z) and x, in order, from a simulator's state."""
    observation = simulator.get("observation", {"kind": "none"})
    return [step["kind"] for step in observation.get("steps", [observation])]


def packed(tree: object) -> tuple[object, list[np.ndarray]]:
    """A nested state as JSON values, its arrays taken out and counted: ``{"array": 3}`` stands for the fourth."""
    arrays: list[np.ndarray] = []

    def walk(node: object) -> object:
        if isinstance(node, np.ndarray):
            arrays.append(node)
            return {"array": len(arrays) - 1}
        if isinstance(node, dict):
            return {key: walk(value) for key, value in node.items()}
        return [walk(value) for value in node] if isinstance(node, (list, tuple)) else node

    return walk(tree), arrays


def unpacked(tree: object, arrays: Mapping[str, np.ndarray]) -> object:
    """The state that `packed` took apart."""
    if isinstance(tree, dict) and tree.keys() == {"array"}:
        return np.asarray(arrays[str(tree["array"])])
    if isinstance(tree, dict):
        return {key: unpacked(value, arrays) for key, value in tree.items()}
    return [unpacked(value, arrays) for value in tree] if isinstance(tree, list) else tree


def has_truth(path: Path) -> bool:
    """Whether a dataset was written by a simulation."""
    return "W" in _open(path).uns.get("pdae_sim", {})


def _write_anndata(path: Path, adata, *, force: bool) -> None:
    check_target(path, force=force, suffix=".h5ad")
    with whole_file(path, force=force) as temporary:
        adata.write_h5ad(temporary, compression="gzip", compression_opts=1)


def _open(path: Path):
    import anndata

    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix != ".h5ad":
        raise InputError(f"{path}: expected an .h5ad file; `pdae-sim convert` makes one from a CSV or Parquet table")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return anndata.read_h5ad(path)
    except Exception as error:  # anndata and h5py raise many kinds; the reader needs one line
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not a readable .h5ad file ({reason}); write it again") from None


def _to_anndata(data: PerturbationData):
    import anndata
    import pandas as pd

    conditions = np.array(data.conditions)[data.environment]
    obs = pd.DataFrame(
        {
            "condition": pd.Categorical(conditions),
            "split": pd.Categorical(np.where(data.held_out, "test", "train")[data.environment]),
        },
        index=[str(i) for i in range(len(data.x))],
    )
    adata = anndata.AnnData(as_float32(data.x, data.features), obs=obs, var=pd.DataFrame(index=list(data.features)))
    adata.obsm["dose"] = data.labels[data.environment]
    adata.uns["pdae_sim"] = {
        "schema_version": SCHEMA_VERSION,
        "perturbations": np.array(data.names, dtype=object),
        "control": data.control,
    }
    return adata


def as_float32(x: np.ndarray, features: Sequence[str]) -> np.ndarray:
    """x in the dataset's precision; values beyond its range are refused with their column."""
    beyond = np.maximum(x.max(0), -x.min(0)) > np.finfo(np.float32).max
    if beyond.any():
        name = features[int(np.flatnonzero(beyond)[0])]
        raise InputError(
            f"column {name!r} holds values beyond the range of float32, the precision of files; rescale it"
        )
    return x.astype(np.float32)


def _from_anndata(adata, condition: str, dose: str, split: str, control: str, separator: str) -> PerturbationData:
    obs, uns = adata.obs, adata.uns.get("pdae_sim", {})
    version = int(uns.get("schema_version", SCHEMA_VERSION))
    if version > SCHEMA_VERSION:
        raise InputError(
            f"uns['pdae_sim']['schema_version'] is {version}, newer than {SCHEMA_VERSION}; update pdae_sim"
        )
    if condition not in obs:
        hint = near_misses(condition, obs.columns)
        raise InputError(f"obs has no column {condition!r}; {hint}; name the column with condition=")
    if not adata.n_obs or not adata.n_vars:
        raise InputError(f"X has shape {adata.shape}; it needs at least one row and one column")
    labels, space = _labels(adata, condition, dose, str(uns.get("control", control)), separator)
    return PerturbationData.from_arrays(
        _dense(adata.X),
        labels,
        names=space.names,
        features=tuple(map(str, adata.var_names)),
        held_out=split_mask(obs, split),
        control=space.control,
    )


def _dense(X) -> np.ndarray:
    X = X.toarray() if hasattr(X, "toarray") else np.asarray(X)
    bad = ~np.isfinite(X)
    if bad.any():
        n_rows = int(bad.any(1).sum())
        raise InputError(
            f"X holds {int(bad.sum())} values that are NaN or infinite, in {n_rows} rows; drop or impute them"
        )
    return X if X.dtype in (np.float32, np.float64) else X.astype(np.float32)


def _labels(adata, condition: str, dose: str, control: str, separator: str) -> tuple[np.ndarray, LabelSpace]:
    names = adata.uns.get("pdae_sim", {}).get("perturbations")
    texts = _condition_texts(adata.obs[condition], condition)
    if dose in adata.obsm:
        return _matrix_doses(adata, texts, dose, names, control, separator)
    grammar = {"control": control, "separator": separator}
    space = LabelSpace.from_conditions(texts, **grammar) if names is None else LabelSpace(tuple(names), **grammar)
    if dose not in adata.obs:
        return vectors(texts, space), space
    written = adata.obs[dose].astype(str).to_numpy()
    pairs = {pair: _aligned(*pair, space) for pair in set(zip(texts, written, strict=True))}
    return np.array([pairs[pair] for pair in zip(texts, written, strict=True)]), space


def _matrix_doses(adata, texts, dose: str, names, control: str, separator: str) -> tuple[np.ndarray, LabelSpace]:
    if names is None:
        raise InputError(f"obsm[{dose!r}] needs the perturbation names in uns['pdae_sim']['perturbations']")
    doses = np.asarray(adata.obsm[dose], dtype=np.float64)
    if doses.ndim != 2 or doses.shape[1] != len(names):
        raise InputError(f"obsm[{dose!r}] has shape {doses.shape}; it needs one column per perturbation ({len(names)})")
    if not np.isfinite(doses).all():
        raise InputError(
            f"obsm[{dose!r}] holds {int((~np.isfinite(doses)).any(1).sum())} rows with NaN or infinite doses"
        )
    space = LabelSpace(tuple(names), control=control, separator=separator)
    _check_parts(texts, doses, space)
    return doses, space


def _check_parts(texts: np.ndarray, doses: np.ndarray, space: LabelSpace) -> None:
    """A perturbation with a dose must be named in the condition; a named one may have dose zero."""
    present = {text: space.vector(text) != 0 for text in set(texts)}
    wrong = np.array([((row != 0) & ~present[text]).any() for text, row in zip(texts, doses, strict=True)])
    if wrong.any():
        first = texts[np.flatnonzero(wrong)[0]]
        raise InputError(
            f"obs condition and obsm dose disagree in {int(wrong.sum())} rows, the first with condition {first!r}"
        )


def _aligned(condition: str, written: str, space: LabelSpace) -> np.ndarray:
    """The label of a condition whose doses stand in a text column, part for part."""
    parts, doses = condition.split(space.separator), written.split(space.separator)
    if all(part.strip() == space.control for part in parts):
        return np.zeros(len(space))
    if len(parts) != len(doses):
        raise LabelError(f"dose {written!r} has {len(doses)} parts where condition {condition!r} has {len(parts)}")
    label = space.vector(condition)
    if space.dose_separator in condition:
        raise LabelError(f"condition {condition!r} writes its doses, and the dose column does too; keep one of them")
    for part, text in zip(parts, doses, strict=True):
        if part.strip() != space.control:
            label[space.names.index(part.strip())] = float(read_dose(text, where=f"the doses of {condition!r}"))
    return label


def _condition_texts(column, name: str) -> np.ndarray:
    missing = column.isna()
    if missing.any():
        raise InputError(
            f"obs column {name!r} is empty in {int(missing.sum())} rows; write the control's name or drop them"
        )
    return column.astype(str).to_numpy()


def vectors(texts, space: LabelSpace) -> np.ndarray:
    """(n, K) labels of n condition strings."""
    texts = np.asarray(texts, dtype=object)
    vectors = {text: space.vector(text) for text in set(texts)}
    return np.array([vectors[text] for text in texts]).reshape(len(texts), len(space))


def split_mask(frame, split: str) -> np.ndarray | None:
    """(n,) whether each row is test; None without a split column."""
    if split not in frame:
        return None
    values = frame[split].astype(str).to_numpy()
    wrong = values[~np.isin(values, ("train", "test"))]
    if wrong.size:
        first = repr(str(wrong[0]))
        raise InputError(f"column {split!r} must hold 'train' or 'test'; {wrong.size} rows do not, the first {first}")
    return values == "test"
