"""`stability`: what it prints, what it keeps in a model, and that span and predict then count it."""

import json
import shutil

import pandas as pd
import pytest

from pdae_sim._seals import SEAL, sealed
from pdae_sim.estimation import HalfFits
from tests.test_cli.calls import answer, ran, refusal

QUICK = ("--splits", 2, "--no-shuffled")


def test_directions_effects_and_predictions(folder, capsys):
    found = answer(
        capsys,
        "stability",
        folder / "d.h5ad",
        "--latents",
        2,
        "--steps",
        5,
        "--splits",
        2,
        "--test",
        "A+B",
        "--test",
        "C",
    )
    assert (found["fits"], found["latents"], len(found["directions"])) == (4, 2, 2)
    least, most = (row["agreement"] for row in found["directions"])
    assert 0 <= least <= most <= 1
    assert all(0 <= row["shuffled"] <= 1 for row in found["directions"])
    assert [row["condition"] for row in found["effects"]] == ["A", "B"]
    assert all(row["interval"][0] < row["size"] < row["interval"][1] for row in found["effects"])
    assert [row["condition"] for row in found["predictions"]] == ["A+B"]
    assert found["predictions"][0]["limit"] >= found["predictions"][0]["error"]
    assert found["not_identified"] == ["C"]


@pytest.fixture
def model(folder, tmp_path):
    shutil.copytree(folder / "m", tmp_path / "m")
    return tmp_path / "m"


def test_cells_of_another_table_are_refused(folder, model, capsys, tmp_path):
    """Its conditions and features are the same."""
    other = tmp_path / "other.h5ad"
    size = ("--set", "design.cells=400", "--set", "design.test_cells=80", "--seed", 5)
    answer(capsys, "simulate", "demo", "--out", other, *size)
    for call in (("stability", other, "--model", model, *QUICK), ("span", other, "--model", model)):
        assert f"{other}: its training cells are not those that {model} was fitted to" in refusal(capsys, *call)


def test_cells_kept_from_a_fit_are_kept_from_its_halves(folder, capsys, tmp_path):
    fit = ("--latents", 2, "--steps", 2, "--hold-out", 0.25)
    answer(capsys, "fit", folder / "d.h5ad", "--out", tmp_path / "m", *fit)
    answer(capsys, "stability", folder / "d.h5ad", "--model", tmp_path / "m", *QUICK)
    one, two = HalfFits.load(tmp_path / "m").pairs[0]
    assert one.train_counts_.tolist() == two.train_counts_.tolist() == [150, 150, 150]


def test_a_model_keeps_them_and_span_and_predict_count_them(folder, model, capsys, tmp_path):
    before = answer(capsys, "span", folder / "d.h5ad", "--model", model)["verdicts"][0]
    first = answer(capsys, "stability", folder / "d.h5ad", "--model", model, *QUICK)
    kept = sorted(path.name for path in (model / "halves").iterdir())
    assert kept == ["00", "01", "02", "03", "of.json"]
    status, out, err = ran(capsys, "stability", folder / "d.h5ad", "--model", model, *QUICK, "--json")
    assert status == 0
    assert "keeps fits to 2 splits" in err
    assert json.loads(out)["effects"] == first["effects"]

    after = answer(capsys, "span", folder / "d.h5ad", "--model", model)["verdicts"][0]
    assert after["effective_cells"] == before["effective_cells"]
    assert after["effective_cells_interval"] != before["effective_cells_interval"]
    assert "Intervals count the whole fit" in ran(capsys, "span", folder / "d.h5ad", "--model", model)[1]

    out = tmp_path / "p.csv"
    told = answer(capsys, "predict", model, "--condition", "A+B", "--out", out, "--samples", 50)
    table = pd.read_csv(tmp_path / "p.features.csv")
    assert told["features"] == str(tmp_path / "p.features.csv")
    assert told["source"] == "transport_parts"
    assert told["notes"][0].endswith("count the whole fit, but not what composing cells errs by")
    assert set(table["statistic"]) == {"mean", "q05", "q50", "q95"}
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()
    assert len(table) == 4 * (len(pd.read_csv(out).columns) - 2)
    asked = ("--condition", "A+B", "--samples", 50, "--source", "reference")
    answer(capsys, "predict", model, *asked, "--out", tmp_path / "r.csv")
    assert not table.equals(pd.read_csv(tmp_path / "r.features.csv"))
    assert "p.features.csv: already exists" in refusal(
        capsys, "predict", model, "--condition", "A+B", "--out", tmp_path / "p.parquet", "--out", tmp_path / "p.h5ad"
    )


def test_no_table_of_features_stays_beside_other_cells(folder, model, capsys, tmp_path):
    out, features = tmp_path / "p.csv", tmp_path / "p.features.csv"
    features.write_text("of other cells")
    call = ("predict", model, "--condition", " B + A:1.0", "--samples", 20, "--out", out)
    assert "p.features.csv: already exists" in refusal(capsys, *call)
    assert not out.exists()
    (removed,) = answer(capsys, *call, "--force")["notes"]
    assert "removed" in removed
    assert not features.exists()
    assert set(pd.read_csv(out)["condition"]) == {"A+B"}


def test_an_interrupted_run_goes_on_after_its_last_split(folder, model, capsys, monkeypatch):
    """Three splits in two runs are those of one, and cells of a seed are not mixed with those of another."""
    call = ("stability", folder / "d.h5ad", "--model", model, "--no-shuffled")
    save, saved = HalfFits.save, []

    def stopping(self, path):
        save(self, path)
        saved.append(len(self.pairs))
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(HalfFits, "save", stopping)
    assert ran(capsys, *call, "--splits", 3)[0] == 130
    monkeypatch.undo()
    assert saved == [1, 2]
    assert len(HalfFits.load(model).pairs) == 2
    assert "its fits to 2 splits are by --seed 0; give that" in refusal(capsys, *call, "--splits", 3, "--seed", 1)
    status, out, err = ran(capsys, *call, "--splits", 3, "--json")
    assert status == 0
    assert "keeps fits to 2 splits" in err
    assert "split 3 of 3" in err
    assert "split 2 of 3" not in err
    whole = answer(capsys, *call, "--splits", 3, "--force")
    assert json.loads(out) == whole


def test_fits_whose_seed_nobody_knows_are_used_and_not_added_to(folder, model, capsys):
    call = ("stability", folder / "d.h5ad", "--model", model, "--no-shuffled")
    answer(capsys, *call, "--splits", 1)
    listed = model / "halves" / "of.json"
    told = {k: v for k, v in json.loads(listed.read_text()).items() if k not in ("seed", SEAL)}
    listed.write_text(json.dumps(sealed(told)))
    assert answer(capsys, *call, "--splits", 1)["fits"] == 2
    assert "by an unknown seed" in refusal(capsys, *call, "--splits", 2)


def test_a_model_without_them_writes_no_table(model, capsys, tmp_path):
    told = answer(capsys, "predict", model, "--condition", "A+B", "--out", tmp_path / "p.csv", "--samples", 5)
    assert "features" not in told
    assert [path.name for path in tmp_path.glob("p*")] == ["p.csv"]


def test_settings_are_those_of_the_model(folder, model, capsys):
    assert "leave them out" in refusal(capsys, "stability", folder / "d.h5ad", "--model", model, "--latents", 2)


def test_fits_of_another_model_are_refused(folder, model, capsys):
    answer(capsys, "stability", folder / "d.h5ad", "--model", model, "--splits", 1, "--no-shuffled")
    told = json.loads((model / "halves" / "of.json").read_text())
    (model / "halves" / "of.json").write_text(json.dumps(told | {"model": "0"}))
    assert "run stability with --model and --force" in refusal(capsys, "span", folder / "d.h5ad", "--model", model)
    found = answer(capsys, "stability", folder / "d.h5ad", "--model", model, "--force", *QUICK)
    assert found["fits"] == 4
    assert answer(capsys, "span", folder / "d.h5ad", "--model", model)["verdicts"]
