"""Labels and truth read without X: what the whole file says."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings

from pdae_sim import strategies
from pdae_sim.data import PerturbationData
from pdae_sim.io import read_labels, read_truth
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
        self.same(stored(tmp_path / "other.h5ad", **obs))

    def test_of_other_columns(self, tmp_path):
        path = stored(tmp_path / "c.h5ad", drug=["DMSO", "A", "A|B"], fold=["train", "train", "test"])
        self.same(path, condition="drug", split="fold", control="DMSO", separator="|")

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
