"""Large screens: processor time and peak memory of reading, of `span` and of a fit, from files of any form.

Run: `python -m experiments.benchmarks.screens [--cells 300000] [--perturbations 2000] [--steps 40] [--out FILE]`.
Every measurement is a process of its own; its peak is the high-water mark beyond what imports took, but for `span`,
which is the whole command. The wide screen has 50 dense genes, and its labels stand in conditions alone, or in a sparse
or dense matrix of doses beside them; the tall one has 4,000 genes of which 3 % are not zero, stored as CSR or CSC.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from experiments.benchmarks._table import machine, options, print_table
from experiments.benchmarks._timing import apart, memory, timed

GENES, SPARSE_GENES, SPARSE_CELLS, DENSITY = 50, 4000, 24_000, 0.03
DOSES = ("conditions", "sparse", "dense")
KINDS = ("csr", "csc")


def wide(path: Path, n_cells: int, n_perturbations: int, doses: str) -> Path:
    """A screen of control and singles."""
    rng = np.random.default_rng(0)
    codes = rng.permutation(np.arange(n_cells) % (n_perturbations + 1))
    names = np.array([*(f"P{k:05d}" for k in range(n_perturbations)), "ctrl"])
    x = rng.normal(size=(n_cells, GENES)).astype(np.float32)
    adata = anndata.AnnData(x, obs=_obs(names[codes]))
    if doses != "conditions":
        kept = np.flatnonzero(codes < n_perturbations)
        matrix = sparse.csr_matrix((np.ones(len(kept)), (kept, codes[kept])), shape=(n_cells, n_perturbations))
        adata.obsm["dose"] = matrix if doses == "sparse" else matrix.toarray()
        adata.uns["pdae_sim"] = {"perturbations": names[:-1].astype(object)}
    adata.write_h5ad(path, compression="gzip", compression_opts=1)
    return path


def tall(path: Path, kind: str, n_conditions: int = 60) -> Path:
    """Log-normalised counts, most of them zero."""
    rng = np.random.default_rng(0)
    rates = rng.gamma(0.3, size=(1, SPARSE_GENES)) * np.exp(rng.normal(size=(n_conditions, SPARSE_GENES)) / 4)
    condition = np.arange(SPARSE_CELLS) % n_conditions
    scale = DENSITY * SPARSE_GENES / rates.sum(1).mean()
    rows = [sparse.csr_matrix(rng.poisson(scale * rates[c]).astype(np.float32)) for c in condition]
    x = sparse.vstack(rows, format=kind)
    names = np.array(["ctrl", *(f"P{k}" for k in range(n_conditions - 1))])
    adata = anndata.AnnData(x, obs=_obs(names[condition]))
    adata.write_h5ad(path)
    return path


def _obs(conditions: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"condition": pd.Categorical(conditions)}, index=np.arange(len(conditions)).astype(str))


def measured(act: Callable[[], object]) -> dict:
    """Processor seconds of a call, and the peak of this process beyond what it held before."""
    before = memory("VmRSS")
    seconds, _ = timed(act, time.process_time)
    return {"seconds": seconds, "peak": memory() - before}


def read(path: str) -> dict:
    """Read a dataset."""
    from pdae_sim import io

    return measured(lambda: io.read_data(Path(path)))


def labels(path: str) -> dict:
    """Read its labels alone."""
    from pdae_sim import io

    return measured(lambda: io.read_labels(Path(path)))


def span(path: str, *test: str) -> dict:
    """Judge conditions from the command line: a whole process, its imports counted."""
    named = [word for name in test for word in ("--test", name)]
    done = subprocess.run([sys.executable, "-c", _SPAN, path, *named], capture_output=True, check=True)
    seconds, peak = done.stderr.split()[-2:]
    return {"seconds": float(seconds), "peak": int(peak) / 1024}


_SPAN = """
import pathlib, re, sys, time
from pdae_sim.cli import main
try:
    main(["span", *sys.argv[1:], "--json", "--quiet"])
except SystemExit as status:
    assert not status.code, status
peak = re.search("VmHWM:\\s*(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]
print(time.process_time(), peak, file=sys.stderr)
"""


def fit(path: str, steps: int) -> dict:
    """Fit a few steps of the default plan at given latents."""
    from pdae_sim import PDAE, PerturbationData, estimation  # noqa: F401

    return measured(lambda: PDAE(8, observation="negative_binomial", steps=steps).fit(PerturbationData.read(path)))


def outcome(function: str, path: Path, *arguments: object) -> tuple[float | None, float | None]:
    """Processor seconds and peak of a measurement; dashes where it fails."""
    try:
        found = apart("screens", function, str(path), *arguments)
    except subprocess.CalledProcessError:
        return None, None
    return found["seconds"], found["peak"]


def rows(folder: Path, cells: int, perturbations: int, steps: int) -> Iterator[tuple]:
    """A row of the table for each measurement."""
    for doses in DOSES:
        path = wide(folder / f"{doses}.h5ad", cells, perturbations, doses)
        held, size = cells * GENES * 4 / 2**20, path.stat().st_size / 2**20
        for name, act in {"read": read, "labels": labels}.items():
            yield f"{name}, wide, {doses}", size, held, *outcome(act.__name__, path)
        path.unlink()
    for kind in KINDS:
        path = tall(folder / f"{kind}.h5ad", kind)
        held, size = SPARSE_CELLS * SPARSE_GENES * 4 / 2**20, path.stat().st_size / 2**20
        for name, arguments in {"read": (), "span": ("P0+P1", "P2+P3"), "fit": (steps,)}.items():
            yield f"{name}, tall, {kind}", size, held, *outcome(name, path, *arguments)


def main() -> None:
    """Print the table."""
    chosen = options(__doc__, cells=300_000, perturbations=2000, steps=40, out=None)
    columns = {"measured": "", "file, MiB": ".1f", "X dense, MiB": ".0f", "processor s": ".2f", "peak, MiB": ".0f"}
    title = f"{machine()}; wide: {chosen.cells:,} cells, {chosen.perturbations:,} perturbations"
    with tempfile.TemporaryDirectory() as folder:
        printed = print_table(
            columns, rows(Path(folder), chosen.cells, chosen.perturbations, chosen.steps), title=title
        )
    if chosen.out:
        chosen.out.write_text(json.dumps([dict(zip(columns, row, strict=True)) for row in printed], indent=1) + "\n")


if __name__ == "__main__":
    main()
