"""`.h5ad` files and AnnData objects: what is written is read back, a bad file is told in one line."""

from fractions import Fraction
from functools import partial

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings

from pdae_sim import strategies
from pdae_sim.data import PerturbationData, Simulation
from pdae_sim.errors import InputError
from pdae_sim.io import from_anndata, has_truth, read_data, read_table, to_anndata
from pdae_sim.simulation.simulator import Simulator
from pdae_sim.simulation.worlds import world
from tests.test_io.files import stored
from tests.test_io.refusals import said

FEW = settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])


class TestRoundTrip:
    @FEW
    @given(strategies.perturbation_data())
    def test_data(self, tmp_path, data):
        data.write(tmp_path / "data.h5ad", force=True)
        again = PerturbationData.read(tmp_path / "data.h5ad")
        assert np.array_equal(again.x, data.x)
        assert np.array_equal(again.labels[again.environment], data.labels[data.environment])
        assert np.array_equal(again.held_out[again.environment], data.held_out[data.environment])
        assert (again.names, again.features, again.control) == (data.names, data.features, data.control)

    def test_doses_are_lossless(self, tmp_path):
        labels = np.array([[0.0], [1 / 3], [np.pi], [5e-324]])
        PerturbationData.from_arrays(np.zeros((4, 1)), labels).write(tmp_path / "data.h5ad")
        assert np.array_equal(PerturbationData.read(tmp_path / "data.h5ad").labels, labels)

    def test_the_control_keeps_its_name(self, tmp_path):
        data = PerturbationData.from_arrays(np.zeros((2, 1)), [[0], [1]], names=("ctrl",), control="DMSO")
        data.write(tmp_path / "data.h5ad")
        assert PerturbationData.read(tmp_path / "data.h5ad").conditions == ("DMSO", "ctrl")

    def test_the_truth(self, tmp_path, simulation):
        simulation.write(tmp_path / "simulated.h5ad")
        again = Simulation.read(tmp_path / "simulated.h5ad")
        for name in ("z", "z_base", "perturbation_matrix", "covariance"):
            assert np.array_equal(getattr(again.truth, name), getattr(simulation.truth, name))
        assert again.data.conditions == simulation.data.conditions
        assert again.data.held_out.tolist() == simulation.data.held_out.tolist()
        np.testing.assert_equal(again.simulator, simulation.simulator)
        assert (again.config, again.seed) == (simulation.config, "7")

    def test_a_simulator_rebuilt_from_the_file_draws_the_same_cells_and_others(self, tmp_path, simulation):
        simulation.write(tmp_path / "simulated.h5ad")
        again = Simulation.read(tmp_path / "simulated.h5ad")
        drawn = Simulator.from_state(again.simulator).sample([*again.data.conditions, "C"], 5, rng=int(again.seed))
        assert np.array_equal(drawn.data.x[:20], simulation.data.x)
        assert np.array_equal(drawn.truth.z[:20], simulation.truth.z)

    def test_anndata_opens_it(self, tmp_path, simulation):
        simulation.write(tmp_path / "simulated.h5ad")
        adata = anndata.read_h5ad(tmp_path / "simulated.h5ad")
        uns = adata.uns["pdae_sim"]
        assert adata.X.dtype == np.float32
        assert list(adata.obs["condition"][::5]) == ["ctrl", "A", "B:0.1", "A+B:0.3"]
        assert list(adata.obs["split"][::5]) == ["train", "train", "train", "test"]
        assert list(uns["perturbations"]) == ["A", "B", "C"]
        assert uns["schema_version"] == 2
        assert np.array_equal(uns["W"], simulation.truth.perturbation_matrix)
        assert np.array_equal(uns["Sigma"], simulation.truth.covariance)
        assert {"z_true", "z_base", "dose"} <= set(adata.obsm)

    def test_counts_and_transforms_are_recorded_where_scverse_tools_look(self, tmp_path):
        for name, steps in (("counts", ["negative_binomial", "log_normalise"]), ("proteins", ["log_normal", "clr"])):
            world(name, ("design.cells=20", "design.test_cells=20")).simulate().write(tmp_path / f"{name}.h5ad")
            adata = anndata.read_h5ad(tmp_path / f"{name}.h5ad")
            assert list(adata.uns["pdae_sim"]["observation"]) == steps
            assert ("log1p" in adata.uns) == (name == "counts")

    def test_anndata_hands_it_on_unchanged(self, tmp_path, simulation):
        simulation.write(tmp_path / "simulated.h5ad")
        anndata.read_h5ad(tmp_path / "simulated.h5ad").write_h5ad(tmp_path / "copied.h5ad")
        again = Simulation.read(tmp_path / "copied.h5ad")
        assert np.array_equal(again.truth.z, simulation.truth.z)
        np.testing.assert_equal(again.simulator, simulation.simulator)

    def test_data_without_truth_says_so(self, tmp_path):
        path = stored(tmp_path / "plain.h5ad", condition=["ctrl", "A"])
        assert not has_truth(path)
        assert "obsm has no z_true or z_base; truth is there in simulated files only" in said(Simulation.read, path)


class TestInMemory:
    @FEW
    @given(strategies.perturbation_data())
    def test_there_and_back(self, data):
        again = PerturbationData.from_anndata(data.to_anndata())
        assert np.array_equal(again.x, data.x.astype(np.float32))
        assert np.array_equal(again.labels[again.environment], data.labels[data.environment])
        assert np.array_equal(again.held_out[again.environment], data.held_out[data.environment])
        assert (again.names, again.features, again.control) == (data.names, data.features, data.control)

    def test_names_and_columns_of_another_tool(self):
        adata = anndata.AnnData(np.eye(3, dtype=np.float32))
        adata.obs["drug"], adata.obs["dose"] = ["DMSO", "A", "A|B"], ["0", "0.5", "1|2"]
        adata.obs["fold"] = ["train", "train", "test"]
        data = PerturbationData.from_anndata(adata, condition="drug", split="fold", control="DMSO", separator="|")
        assert data.labels.tolist() == [[0, 0], [0.5, 0], [1, 2]]
        assert data.test.conditions == ("A|B:2",)
        adata.uns["pdae_sim"] = {"perturbations": ["B", "A"]}
        assert PerturbationData.from_anndata(adata, condition="drug", control="DMSO", separator="|").names == ("B", "A")

    def test_complaints_name_the_field(self):
        adata = anndata.AnnData(np.ones((1, 1), np.float32))
        assert said(PerturbationData.from_anndata, adata).startswith("obs has no column 'condition'")


class TestDoses:
    def test_without_doses_every_part_has_dose_one(self, tmp_path):
        path = stored(tmp_path / "plain.h5ad", condition=["ctrl", "A", "B+A", "A+ctrl", "ctrl+A"])
        data = PerturbationData.read(path)
        assert data.labels.tolist() == [[0, 0], [1, 0], [1, 1]]
        assert data.environment.tolist() == [0, 1, 2, 1, 1]
        assert not data.held_out.any()

    def test_a_matrix_of_doses(self, tmp_path):
        dose = np.array([[0, 0], [0.1, 0], [2, -2]])
        uns = {"perturbations": np.array(["B", "A"], dtype=object)}
        data = PerturbationData.read(
            stored(tmp_path / "m.h5ad", condition=["ctrl", "B", "A+B"], obsm={"dose": dose}, uns=uns)
        )
        assert data.labels.tolist() == dose.tolist()
        assert data.names == ("B", "A")

    def test_a_text_column_aligned_with_the_parts(self, tmp_path):
        written = ["1", "1/3+0.5", "2+1", "1.0"]
        path = stored(tmp_path / "t.h5ad", condition=["ctrl", "B+A", "A+ctrl", "B"], dose=written)
        assert PerturbationData.read(path).labels.tolist() == [[0, 0], [0.5, float(Fraction(1, 3))], [2, 0], [0, 1]]

    def test_a_numeric_column(self, tmp_path):
        path = stored(tmp_path / "n.h5ad", condition=["ctrl", "A", "A"], dose=[0.0, 0.5, 2.0])
        assert PerturbationData.read(path).labels.tolist() == [[0], [0.5], [2]]

    def test_columns_control_and_separator_are_arguments(self, tmp_path):
        path = stored(
            tmp_path / "c.h5ad", drug=["DMSO", "A", "A|B"], amount=["1", "2", "3|4"], fold=["train", "train", "test"]
        )
        data = PerturbationData.read(path, condition="drug", dose="amount", split="fold", control="DMSO", separator="|")
        assert data.labels.tolist() == [[0, 0], [2, 0], [3, 4]]
        assert data.held_out.tolist() == [False, False, True]

    def test_control_alone(self, tmp_path):
        assert PerturbationData.read(stored(tmp_path / "c.h5ad", condition=["ctrl", "ctrl"])).labels.shape == (1, 0)


class TestBadFiles:
    @pytest.mark.parametrize(
        ("obs", "message"),
        [
            (
                {"conditions": ["ctrl"]},
                "obs has no column 'condition'; did you mean 'conditions'?; name it with condition=",
            ),
            ({"guide": ["ctrl"]}, "obs has no column 'condition'; known: guide"),
            ({"condition": ["ctrl", None]}, "obs column 'condition' is empty in 1 rows"),
            ({"condition": ["ctrl", "A+"]}, "condition 'A+' has an empty part"),
            (
                {"condition": ["ctrl", "A"], "split": ["train", "valid"]},
                "column 'split' must hold 'train' or 'test'; 1 rows",
            ),
            ({"condition": ["A", "A"], "split": ["train", "test"]}, "both train and test samples"),
            ({"condition": ["A+B"], "dose": ["1"]}, "dose '1' has 1 parts where condition 'A+B' has 2"),
            ({"condition": ["A"], "dose": ["much"]}, "malformed dose 'much'"),
            ({"condition": ["A:0.5"], "dose": ["0.5"]}, "A:0.5"),
        ],
    )
    def test_obs(self, tmp_path, obs, message):
        path = stored(tmp_path / "bad.h5ad", **obs)
        text = said(PerturbationData.read, path)
        assert text.startswith(f"{path}: ")
        assert message in text

    @pytest.mark.parametrize(
        ("dose", "uns", "message"),
        [
            ([[0.0], [1.0]], {}, "obsm['dose'] needs the perturbation names in uns['pdae_sim']['perturbations']"),
            ([[0.0], [1.0]], {"perturbations": ["A", "B"]}, "obsm['dose'] has shape (2, 1); it needs one column per"),
            ([[0.0], [np.nan]], {"perturbations": ["A"]}, "obsm['dose'] holds 1 rows with NaN"),
            ([[1.0], [1.0]], {"perturbations": ["A"]}, "disagree in 1 rows, the first with condition 'ctrl'"),
            ([[0.0], [1.0]], {"perturbations": ["A"], "schema_version": 99}, "is 99, newer than 2; update pdae_sim"),
        ],
    )
    def test_doses_and_schema(self, tmp_path, dose, uns, message):
        path = stored(tmp_path / "bad.h5ad", condition=["ctrl", "A"], obsm={"dose": np.array(dose)}, uns=uns)
        assert message in said(PerturbationData.read, path)

    def test_values_that_are_not_finite_are_counted(self, tmp_path):
        adata = anndata.AnnData(np.array([[1, np.nan], [np.inf, np.nan], [1, 1]], np.float32))
        adata.obs["condition"] = ["ctrl", "A", "A"]
        adata.write_h5ad(tmp_path / "nan.h5ad")
        assert "X holds 3 values that are NaN or infinite, in 2 rows" in said(
            PerturbationData.read, tmp_path / "nan.h5ad"
        )

    def test_a_truncated_file(self, tmp_path, simulation):
        simulation.write(tmp_path / "whole.h5ad")
        (tmp_path / "cut.h5ad").write_bytes((tmp_path / "whole.h5ad").read_bytes()[:3000])
        assert "cut.h5ad: not a readable .h5ad file" in said(PerturbationData.read, tmp_path / "cut.h5ad")

    def test_a_missing_file_and_a_wrong_ending(self, tmp_path):
        (tmp_path / "table.csv").write_text("condition,x\n")
        assert "no such file" in said(PerturbationData.read, tmp_path / "none.h5ad")
        assert "`pdae-sim convert` makes one" in said(PerturbationData.read, tmp_path / "table.csv")

    @pytest.mark.parametrize("key", ["Sigma", "simulator", "config", "arrays"])
    def test_a_damaged_truth_is_told_in_one_line(self, tmp_path, simulation, key):
        simulation.write(tmp_path / "a.h5ad")
        adata = anndata.read_h5ad(tmp_path / "a.h5ad")
        del adata.uns["pdae_sim"][key]
        adata.write_h5ad(tmp_path / "b.h5ad")
        assert "b.h5ad: the truth in uns['pdae_sim']: is damaged" in said(Simulation.read, tmp_path / "b.h5ad")


class TestWholeOrNothing:
    def test_a_write_that_fails_in_the_middle(self, tmp_path, simulation):
        """A configuration that JSON cannot hold, and a feature name that HDF5 cannot."""
        data = simulation.data
        nul = PerturbationData(data.x, data.labels, data.environment, data.names, features=("a\0", "b", "c", "d"))
        for broken in (nul, Simulation(data, simulation.truth, config={"rng": object()})):
            with pytest.raises((ValueError, TypeError)):
                broken.write(tmp_path / "out.h5ad")
        assert not list(tmp_path.iterdir())

    def test_nothing_is_overwritten_without_force(self, tmp_path, simulation):
        path = tmp_path / "data.h5ad"
        simulation.write(path)
        before = path.read_bytes()
        assert "already exists; choose another name or pass --force" in said(simulation.data.write, path)
        assert path.read_bytes() == before
        simulation.data.write(path, force=True)
        assert not has_truth(path)

    def test_a_missing_folder(self, tmp_path, simulation):
        assert "cannot write in folder" in said(simulation.data.write, tmp_path / "none" / "data.h5ad")

    def test_a_folder_in_the_way(self, tmp_path, simulation):
        (tmp_path / "data.h5ad").mkdir()
        with pytest.raises(InputError):
            simulation.data.write(tmp_path / "data.h5ad", force=True)

    def test_a_wrong_ending(self, tmp_path, simulation):
        assert "must end in .h5ad" in said(simulation.data.write, tmp_path / "data.csv")

    def test_values_beyond_float32_are_refused(self, tmp_path):
        x = np.array([[1.0, 1e300, 1.0], [1.0, 1.0, -1e300]])
        data = PerturbationData.from_arrays(x, ["ctrl", "A"], features=["a", "b", "c"])
        with pytest.raises(InputError, match="column 'b' holds values beyond the range of float32"):
            data.write(tmp_path / "big.h5ad")

    @pytest.mark.parametrize("x", [np.float64, np.int64])
    def test_values_that_float32_cannot_tell_apart_are_refused(self, tmp_path, x):
        far = np.array([[0, 10**8], [1, 10**8 + 1], [2, 10**8 + 9]], x)
        written = tmp_path / "far.h5ad"
        if x is np.int64:
            anndata.AnnData(far, obs=pd.DataFrame({"condition": ["ctrl", "A", "A"]}, list("abc"))).write_h5ad(written)
            act = partial(PerturbationData.read, written)
        else:
            data = PerturbationData.from_arrays(far, ["ctrl", "A", "A"], features=["0", "1"])
            act = partial(data.write, written)
        with pytest.raises(InputError, match=r"column '1' varies by 9 about 1e\+08, .* subtract an offset"):
            act()

    def test_far_values_that_differ_enough_are_kept(self, tmp_path):
        far = np.array([[1e8], [2e8], [3e8], [1e8]])
        PerturbationData.from_arrays(far, ["ctrl", "A", "A", "ctrl"]).write(tmp_path / "far.h5ad")


def test_predicted_cells_beside_measured_ones_are_neither_train_nor_test(tmp_path, caplog):
    measured = PerturbationData.from_arrays(np.eye(4), ["ctrl", "A", "B", "B"], held_out=[False, False, True, True])
    predicted = PerturbationData.from_arrays(np.ones((2, 4)), ["A", "B"], no_control=True)
    adata = anndata.concat(
        [to_anndata(measured), to_anndata(predicted, split=np.full(2, "predicted"))],
        uns_merge="first",
        index_unique="-",
    )
    adata.obs_names_make_unique()
    adata.write_h5ad(tmp_path / "both.h5ad")
    frame = pd.DataFrame(adata.X, columns=list("wxyz"))
    frame.insert(0, "split", adata.obs["split"].to_numpy())
    frame.insert(0, "condition", adata.obs["condition"].to_numpy())
    frame.to_csv(tmp_path / "both.csv", index=False)
    with caplog.at_level("INFO"):
        for data in (read_data(tmp_path / "both.h5ad"), from_anndata(adata), read_table(tmp_path / "both.csv")):
            assert np.array_equal(data.x, np.eye(4))
            assert data.test.conditions == ("B",)
    assert "2 cells of the split 'predicted' are set aside" in caplog.text


def test_predicted_cells_alone_are_told_not_to_be_measured(tmp_path, caplog):
    predicted = PerturbationData.from_arrays(np.ones((2, 4)), ["A", "B"], no_control=True)
    to_anndata(predicted, split=np.full(2, "predicted")).write_h5ad(tmp_path / "p.h5ad")
    assert read_data(tmp_path / "p.h5ad").held_out.all()
    assert "predicted by a model and not measured" in caplog.text


@pytest.mark.parametrize("names", [[["A", "B"]], "A", [1, 2], 3.0])
def test_names_of_perturbations_are_a_list_of_texts(names):
    adata = to_anndata(PerturbationData.from_arrays(np.eye(2), ["ctrl", "A"]))
    adata.uns["pdae_sim"] = {**adata.uns["pdae_sim"], "perturbations": names}
    with pytest.raises(InputError, match="perturbations"):
        from_anndata(adata)
