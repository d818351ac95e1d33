"""`.h5ad` files as other tools write them."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd


def stored(path: Path, *, obsm=None, uns=None, **obs) -> Path:
    """An `.h5ad` file that another tool may have written."""
    frame = pd.DataFrame(obs, index=[f"cell{i}" for i in range(len(next(iter(obs.values()))))])
    adata = anndata.AnnData(np.ones((len(frame), 2), np.float32), obs=frame)
    adata.obsm.update(obsm or {})
    if uns:
        adata.uns["pdae_sim"] = uns
    adata.write_h5ad(path)
    return path
