"""Options of datasets: the same on every command, remembered by models, and matched to them by name."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest

from pdae_sim.cli._options import on_command_line
from pdae_sim.data import PerturbationData
from pdae_sim.estimation.pdae import PDAE
from tests.test_cli.calls import answer, ran, refusal

READING = ("span", "design", "fit", "evaluate", "identify", "additivity", "twins", "convert")
OPTIONS = (
    *("--condition-key", "--dose-key", "--split-key", "--control", "--no-control", "--separator", "--dose-separator"),
    *("--train-words", "--test-words", "--layer", "--features", "--leave-out"),
)
RAW = ("--condition-key", "drug", "--control", "NT", "--separator", "_", "--split-key", "fold", "--test-words", "ood,x")


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """A file of another tool: counts in a layer, X absent, and a model fitted to it."""
    path, rng = tmp_path_factory.mktemp("raw") / "cells.h5ad", np.random.default_rng(0)
    condition = np.repeat(["NT", "A", "B", "A_B"], 30)
    obs = pd.DataFrame({"drug": condition, "fold": np.where(condition == "A_B", "ood", "train")})
    obs.index = obs.index.astype(str)
    x = rng.normal(size=(120, 3)).astype(np.float32)
    adata = anndata.AnnData(obs=obs, var=pd.DataFrame(index=["g1", "g2", "g3"]), layers={"scaled": x})
    adata.write_h5ad(path)
    options = {"condition": "drug", "control": "NT", "separator": "_", "split": "fold", "test_words": ["ood"]}
    data = PerturbationData.read(path, layer="scaled", **options)
    PDAE(2, observation="noiseless", steps=2).fit(data).save(path.parent / "m")
    return path.parent


@pytest.mark.parametrize("command", READING)
def test_every_command_that_reads_takes_them(command, capsys):
    _, out, _ = ran(capsys, command, "--help")
    assert all(option in out for option in OPTIONS)


def test_a_model_remembers_how_its_file_is_read(raw, capsys):
    rows = answer(capsys, "evaluate", raw / "m", raw / "cells.h5ad", "--metrics", "mean_difference")["rows"]
    assert {row["condition"] for row in rows} == {"A_B"}
    (verdict,) = answer(capsys, "span", raw / "cells.h5ad", "--model", raw / "m")["verdicts"]
    assert verdict["identified"]
    assert "name it with --condition-key" in refusal(capsys, "span", raw / "cells.h5ad")
    (verdict,) = answer(capsys, "span", raw / "cells.h5ad", *RAW)["verdicts"]
    assert verdict["condition"] == "A_B"


def test_a_model_remembers_fields_that_were_added_to_a_dataset(raw, capsys, tmp_path):
    """A file of this package has default names for the rest, and one without these fields is read by them alone."""
    condition = np.repeat(["ctrl", "A", "B", "A+B"], 30)
    x = np.random.default_rng(0).normal(size=(120, 3))
    PerturbationData.from_arrays(x, condition, held_out=condition == "A+B").write(tmp_path / "plain.h5ad")
    adata = anndata.read_h5ad(tmp_path / "plain.h5ad")
    adata.layers["scaled"] = 10 * adata.X + 100
    adata.obs["fold"] = np.where(np.isin(condition, ["A", "A+B"]), "later", "now")
    adata.write_h5ad(tmp_path / "added.h5ad")
    how = ("--layer", "scaled", "--split-key", "fold", "--train-words", "now", "--test-words", "later")
    answer(capsys, "fit", tmp_path / "added.h5ad", *how, "--out", tmp_path / "m", "--steps", 2, "--latents", 1)
    asked = ("--metrics", "mean_difference")
    found, again = (
        answer(capsys, "evaluate", tmp_path / "m", tmp_path / "added.h5ad", *asked, *given)["rows"]
        for given in ((), how)
    )
    assert found == again
    assert len({row["condition"] for row in found}) == 2
    (row, *_) = answer(capsys, "evaluate", tmp_path / "m", tmp_path / "plain.h5ad", *asked)["rows"]
    assert row["condition"] == "A+B"


def test_features_and_perturbations_are_matched_by_name(raw, tmp_path, capsys):
    adata = anndata.read_h5ad(raw / "cells.h5ad")
    rows = answer(capsys, "evaluate", raw / "m", raw / "cells.h5ad", "--metrics", "mean_difference")["rows"]
    some = adata[adata.obs.drug.isin(["A_B"]), ["g3", "g1", "g2"]].copy()
    some.write_h5ad(tmp_path / "permuted.h5ad")
    again = answer(capsys, "evaluate", raw / "m", tmp_path / "permuted.h5ad", "--metrics", "mean_difference")["rows"]
    values = [[row["value"] for row in each if row["estimator"] == "pdae"] for each in (rows, again)]
    assert values[0] == pytest.approx(values[1], rel=1e-5)
    adata[:, ["g1", "g3"]].write_h5ad(tmp_path / "fewer.h5ad")
    assert "has no 'g2'" in refusal(capsys, "evaluate", raw / "m", tmp_path / "fewer.h5ad")
    adata.obs["drug"] = adata.obs["drug"].astype(str).replace({"B": "C"})
    adata.write_h5ad(tmp_path / "other.h5ad")
    assert "was fitted without its perturbation 'C'" in refusal(capsys, "evaluate", raw / "m", tmp_path / "other.h5ad")


def test_data_frames_are_encoded_by_name(raw):
    model, x = PDAE.load(raw / "m"), np.random.default_rng(1).normal(size=(5, 3))
    frame = pd.DataFrame(x, columns=["g1", "g2", "g3"])
    assert np.array_equal(model.encode(frame[["g3", "g2", "g1"]]), model.encode(x))
    with pytest.raises(ValueError, match="x has no column 'g2'"):
        model.encode(frame[["g1", "g3"]])


def test_plans_that_decode_no_negative_value_look_at_x(raw, tmp_path, capsys):
    arguments = ("fit", raw / "cells.h5ad", *RAW, "--layer", "scaled", "--out", tmp_path / "m")
    assert "x has negative values and --plan published decodes none" in refusal(
        capsys, *arguments, "--plan", "published"
    )


def test_messages_name_the_option_of_the_command_line():
    said = "likely control='NT', or pass no_control=True; name it with condition=; see /data/split=train/x.csv"
    told = "likely --control 'NT', or pass --no-control; name it with --condition-key; see /data/split=train/x.csv"
    assert on_command_line(said) == told


def test_convert_tells_what_it_takes_and_leaves_out(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("condition,g1,batch\nctrl,1.5,1\nA,2.5,1\n")
    result = answer(capsys, "convert", tmp_path / "t.csv", "--out", tmp_path / "t.h5ad")
    assert (result["features"], result["left_out"]) == (1, {"batch": "a code"})
    _, out, _ = ran(capsys, "convert", tmp_path / "t.csv", "--out", tmp_path / "t.h5ad", "--force")
    assert "features: g1" in out
    assert "left out: batch (a code); choose with --features and --leave-out" in out


def test_cells_kept_fresh_by_convert_are_read_by_goodness_alone(tmp_path, capsys):
    """60 of 300 training cells: no fit and no verdict counts them, and the fit is judged by them."""
    x = np.random.default_rng(0).normal(size=(400, 3))
    frame = pd.DataFrame(x, columns=["g1", "g2", "g3"])
    frame.assign(drug=np.repeat(["A", "B", "C", "A+B"], 100)).to_csv(tmp_path / "t.csv", index=False)
    file, model = tmp_path / "d.h5ad", tmp_path / "m"
    making = ("--condition-key", "drug", "--test", "A+B", "--hold-out", 0.2, "--reference", "C")
    answer(capsys, "convert", tmp_path / "t.csv", "--out", file, *making)
    data = PerturbationData.read(file)
    assert dict(zip(data.conditions, data.counts.tolist(), strict=True)) == {"C": 80, "A": 80, "B": 80, "A+B": 100}
    answer(capsys, "fit", file, "--out", model, "--latents", 2, "--steps", 2)
    told = answer(capsys, "evaluate", model, file, "--goodness", "--metrics", "mean_difference")
    assert told["goodness_missing"] is None
    fresh = anndata.read_h5ad(file)
    fresh[fresh.obs.split != "fresh"].write_h5ad(tmp_path / "none.h5ad")
    told = answer(capsys, "evaluate", model, tmp_path / "none.h5ad", "--goodness", "--metrics", "mean_difference")
    assert "needs cells of training conditions" in told["goodness_missing"]
