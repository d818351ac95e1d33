"""A campaign against datasets: an element of the file gone, or another in its place, or the file cut or another.

Bytes of headers are left alone: some make the HDF5 library itself loop for ever.
"""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pytest

from pdae_sim.data import PerturbationData, Simulation
from pdae_sim.errors import InputError
from pdae_sim.io import read_labels
from tests.test_reliability.mutations import FOREIGN as FILES
from tests.test_reliability.mutations import SEED, SIZE, Tally, mutated_array

FOREIGN = (
    np.float64(1.5),
    np.int64(-1),
    np.int64(99),
    "text",
    np.zeros(0),
    np.full((2, 2), np.nan),
    np.array([b"\xff"]),
)


def elements(file: h5py.File) -> list[str]:
    found: list[str] = []
    file.visit(found.append)
    return sorted(found)


def mutate(path, rng: np.random.Generator) -> str:
    """Change the file; says how."""
    if rng.random() < 0.1:
        whole = path.read_bytes()
        at = int(rng.integers(len(whole) + 1))
        path.write_bytes(FILES[at % len(FILES)] if at % 2 else whole[:at])
        return f"cut at {at} or replaced"
    with h5py.File(path, "a") as file:
        names = elements(file)
        own = [name for name in names if name.startswith("uns/pdae_sim")]
        names = own if rng.random() < 0.6 else names
        name, kind = names[rng.integers(len(names))], rng.integers(4)
        old = file[name][()] if isinstance(file[name], h5py.Dataset) else None
        attributes = dict(file[name].attrs)
        if kind == 0 or (kind == 1 and attributes):
            if kind == 0:
                del file[name]
                return f"{name} gone"
            key = sorted(attributes)[rng.integers(len(attributes))]
            del file[name].attrs[key]
            return f"{name} without {key}"
        what, new = "", FOREIGN[rng.integers(len(FOREIGN))]
        if isinstance(old, np.ndarray) and old.dtype.kind in "fiu" and kind == 2:
            what, new = mutated_array(old, rng)
        del file[name]
        file[name] = new
        file[name].attrs.update({key: value for key, value in attributes.items() if "shape" not in key})
        return f"{name}: {what or repr(new)[:40]}"


@pytest.mark.parametrize("n", [60, pytest.param(SIZE, marks=pytest.mark.slow)])
def test_read_in_full_or_refused(simulation, tmp_path, n):
    tally, rng = Tally(), np.random.default_rng(SEED)
    path, mutant = tmp_path / "whole.h5ad", tmp_path / "mutant.h5ad"
    simulation.write(path)
    truth = Simulation.read(path)

    def wrong(found):
        data = found if isinstance(found, PerturbationData) else found.data
        if not (np.isfinite(data.stored).all() and np.isfinite(data.labels).all() and data.conditions):
            return "not finite"
        known = isinstance(found, PerturbationData) or (
            np.array_equal(found.truth.perturbation_matrix, truth.truth.perturbation_matrix)
            and (found.config, found.seed) == (truth.config, truth.seed)
        )
        return None if known else "another truth"

    for _ in range(n):
        shutil.copy(path, mutant)
        what = mutate(mutant, rng)
        for read in (Simulation.read, PerturbationData.read, read_labels):
            tally.judge(f"{read.__qualname__}: {what}", lambda read=read: read(mutant), wrong)
    print(tally)
    assert not tally.faults, f"{tally}\n" + "\n".join(tally.faults)


def test_a_number_of_the_truth_that_is_another_is_known_by_the_checksum(simulation, tmp_path):
    simulation.write(tmp_path / "whole.h5ad")
    with h5py.File(tmp_path / "whole.h5ad") as file:
        own = file["uns/pdae_sim"]
        numbers = ["W", "Sigma", *(f"arrays/{name}" for name in own["arrays"])]
        assert len(numbers) > 3
    for name in numbers:
        shutil.copy(tmp_path / "whole.h5ad", tmp_path / "mutant.h5ad")
        with h5py.File(tmp_path / "mutant.h5ad", "a") as file:
            own = file["uns/pdae_sim"][name]
            own[...] = own[...] * (1 + 1e-12) + 1e-12
        with pytest.raises(InputError, match="its checksum says"):
            Simulation.read(tmp_path / "mutant.h5ad")
