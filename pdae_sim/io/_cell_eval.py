"""Measured and predicted cells as files that cell-eval reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from pdae_sim._files import check_folder
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.io._anndata import _write_anndata, to_anndata

_COLUMN, _CONTROL = "target_gene", "non-targeting"  # what ``cell-eval run`` looks for unless told otherwise


def write_cell_eval(folder: Path, datasets: Mapping[str, PerturbationData], *, force: bool = False) -> dict[str, float]:
    """Write datasets of one set of conditions as ``NAME.h5ad`` for ``cell-eval run -ap PREDICTED -ar REAL``.

    Conditions stand in ``obs["target_gene"]``, the control as ``non-targeting``. cell-eval refuses values below zero:
    they become zero.

    Args:
        folder: Where to write; made if absent.
        datasets: log1p of expression by name, each with a control.
        force: Overwrite what is there.

    Returns:
        By name the share of values that were below zero.

    Raises:
        InputError: If a dataset has no control, or a file is there already.

    References:
        cell-eval 0.8, `cell_eval.MetricsEvaluator`; cell-eval2 0.20 reads the same files.

    Example:
        >>> import tempfile, anndata
        >>> data = PerturbationData.from_arrays([[0.5], [-0.1]], ["ctrl", "A"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     share = write_cell_eval(Path(folder), {"real": data})
        ...     anndata.read_h5ad(Path(folder) / "real.h5ad").obs["target_gene"].tolist(), share
        (['non-targeting', 'A'], {'real': 0.5})
    """
    for name, data in datasets.items():
        if data.control not in data.conditions:
            raise InputError(
                f"{name} has no control, which cell-eval needs; conditions are {', '.join(data.conditions)}"
            )
    check_folder(folder, [f"{name}.h5ad" for name in datasets], force=force)
    folder.mkdir(parents=True, exist_ok=True)
    shares = {}
    for name, data in datasets.items():
        shares[name] = float((data.x < 0).mean())
        adata = to_anndata(replace(data, x=data.x.clip(0)))
        conditions = [_CONTROL if condition == data.control else condition for condition in data.conditions]
        adata.obs[_COLUMN] = np.array(conditions)[data.environment]
        adata.obs[_COLUMN] = adata.obs[_COLUMN].astype("category")
        _write_anndata(folder / f"{name}.h5ad", adata, force=force)
    return shares
