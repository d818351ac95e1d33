"""Labels and truth read without X: what the whole file says."""

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from scipy import sparse

from pdae_sim import strategies
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.io import _hdf5, read_labels, read_truth
from tests.test_io.files import stored
from tests.test_io.refusals import said

FEW = settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])


class TestLabelsAlone:
    """What is read without X, and without anndata, is what the whole file says."""

    def same(self, path, **columns):
        whole, labels = PerturbationData.read(path, **columns), read_labels(path, **columns)
        assert labels.x.shape == (len(whole.x), 0)
        for name in ("labels", "environment", "held_out", "counts"):
            assert np.array_equal(getattr(labels, name), getattr(whole, name)), name
        assert (labels.names, labels.conditions, labels.control) == (whole.names, whole.conditions, whole.control)

    @FEW
    @given(strategies.perturbation_data())
    def test_of_a_file_of_ours(self, tmp_path, data):
        data.write(tmp_path / "data.h5ad", force=True)
        self.same(tmp_path / "data.h5ad")

    @pytest.mark.parametrize(
        "obs",
        [
            {"condition": ["ctrl", "B+A", "A", "A"], "split": ["train", "test", "train", "train"]},
            {"condition": ["ctrl", "A", "A+B", "B"], "dose": ["1", "1/3", "2+1", "1.0"]},
            {"condition": ["ctrl", "A", "A", "A"], "dose": np.array([0, 0.1, 0.5, 2], np.float32)},
            {"condition": pd.array(["ctrl", "A", "B", "A"], dtype="string")},
            {"condition": [0, 1, 2, 1]},
        ],
    )
    def test_of_columns_that_other_tools_write(self, tmp_path, obs):
        control = "0" if 0 in obs["condition"] else "ctrl"
        self.same(stored(tmp_path / "other.h5ad", **obs), control=control)

    def test_of_other_columns(self, tmp_path):
        path = stored(tmp_path / "c.h5ad", drug=["DMSO", "A", "A|B"], fold=["train", "train", "test"])
        self.same(path, condition="drug", split="fold", control="DMSO", separator="|")

    @pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
    def test_of_sparse_doses_and_sparse_x(self, tmp_path, kind):
        dense = PerturbationData.from_arrays(np.eye(4), ["ctrl", "A:0.5", "A:0.1+B", "A:0.5"])
        adata = dense.to_anndata()
        adata.obsm["dose"], adata.X = kind(adata.obsm["dose"]), kind(adata.X)
        adata.write_h5ad(tmp_path / "sparse.h5ad")
        self.same(tmp_path / "sparse.h5ad")
        for again in (PerturbationData.read(tmp_path / "sparse.h5ad"), PerturbationData.from_anndata(adata)):
            assert np.array_equal(again.labels, dense.labels)
            assert np.array_equal(again.x, dense.x)

    @pytest.mark.parametrize("known_to_anndata_alone", [False, True])
    def test_x_is_never_read(self, tmp_path, known_to_anndata_alone):
        path, adata = tmp_path / "x.h5ad", PerturbationData.from_arrays(np.eye(2), ["ctrl", "A:0.5"]).to_anndata()
        if known_to_anndata_alone:
            adata.obsm["dose"] = pd.DataFrame(adata.obsm["dose"], columns=["A"], index=adata.obs_names)
        adata.write_h5ad(path)
        with h5py.File(path, "a") as file:
            attributes = dict(file["X"].attrs)
            del file["X"]
            file["X"] = np.full((2, 2), b"no number")
            file["X"].attrs.update(attributes)
        assert read_labels(path).conditions == ("ctrl", "A:0.5")

    def test_of_an_encoding_of_doses_that_only_anndata_knows(self, tmp_path):
        path = tmp_path / "frame.h5ad"
        adata = PerturbationData.from_arrays(np.eye(2), ["ctrl", "A:0.5"]).to_anndata()
        adata.obsm["dose"] = pd.DataFrame(adata.obsm["dose"], columns=["A"], index=adata.obs_names)
        adata.write_h5ad(path)
        self.same(path)

    @pytest.mark.parametrize("obs", [{"guide": ["ctrl"]}, {"condition": ["ctrl", None]}, {"condition": ["A+"]}])
    def test_complaints_are_those_of_the_whole_file(self, tmp_path, obs):
        path = stored(tmp_path / "bad.h5ad", **obs)
        assert said(read_labels, path) == said(PerturbationData.read, path)

    def test_the_truth(self, tmp_path, simulation):
        simulation.write(tmp_path / "simulated.h5ad")
        truth = read_truth(tmp_path / "simulated.h5ad")
        for name in ("z", "z_base", "perturbation_matrix", "covariance"):
            assert np.array_equal(getattr(truth, name), getattr(simulation.truth, name))
        simulation.data.write(tmp_path / "data.h5ad")
        assert "obsm has no z_true or z_base" in said(read_truth, tmp_path / "data.h5ad")


@pytest.mark.parametrize(("said_of_it", "reason"), [("first\nsecond", "first"), ("", "OSError")])
def test_a_file_that_a_library_cannot_read_is_told_by_its_first_line(tmp_path, said_of_it, reason):
    (tmp_path / "a.h5ad").write_bytes(b"x")
    with pytest.raises(InputError) as told, _hdf5.readable(tmp_path / "a.h5ad"):
        raise OSError(said_of_it)
    assert f"a.h5ad: not a readable .h5ad file ({reason}); write it again" in str(told.value)


def test_texts_are_read_from_codes_and_from_masked_values(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        text = h5py.string_dtype()
        coded, masked, other = (file.create_group(name) for name in ("coded", "masked", "other"))
        coded["codes"], coded["categories"] = np.array([1, -1, 0], "i1"), np.array(["a", "b"], text)
        masked["values"], masked["mask"] = np.array(["a", "b", "c"], text), np.array([False, True, False])
        other["codes"] = np.zeros(3, "i1")
        assert _hdf5._texts(coded).tolist() == ["b", None, "a"]
        assert _hdf5._texts(masked).tolist() == ["a", None, "c"]
        with pytest.raises(_hdf5.OtherEncodingError):
            _hdf5._texts(other)
