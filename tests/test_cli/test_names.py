"""Names with separators in them, and separators of the user's: from a table to a model, its predictions and back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pdae_sim import PDAE, PerturbationData
from tests.test_cli.calls import answer, ran, refusal

SPACED = {"control": "DMSO", "separator": "|", "dose_separator": "@"}
CONDITIONS = ("DMSO", "(+)-JQ1", "chr8:128746315@0.5", "(+)-JQ1|chr8:128746315@0.5", "CD3+CD28", "(+)-JQ1|CD3+CD28")


@pytest.fixture(scope="module")
def drugs(tmp_path_factory):
    """A table of drugs whose names hold plus signs and colons, and a model of it that has hardly been fitted."""
    folder = tmp_path_factory.mktemp("drugs")
    rng, conditions = np.random.default_rng(0), np.repeat(CONDITIONS, 40)
    frame = pd.DataFrame(rng.normal(size=(len(conditions), 3)), columns=["p", "q", "r"])
    frame.insert(0, "condition", conditions)
    frame["split"] = np.where(frame.condition == CONDITIONS[-1], "test", "train")
    frame.to_csv(folder / "t.csv", index=False)
    return folder


def options(grammar) -> list[str]:
    return [word for name, value in grammar.items() for word in (f"--{name.replace('_', '-')}", value)]


@pytest.fixture(scope="module")
def fitted(drugs):
    """The table as a dataset, and the model as saved."""
    from pdae_sim.io import read_table

    data = read_table(drugs / "t.csv", **SPACED)
    data.write(drugs / "d.h5ad")
    PDAE(2, observation="noiseless", steps=2, random_state=0).fit(data).save(drugs / "m")
    return drugs


def test_a_file_remembers_its_separators(fitted, tmp_path, capsys):
    converted = tmp_path / "c.h5ad"
    rows = answer(capsys, "convert", fitted / "t.csv", "--out", converted, *options(SPACED))["conditions"]
    assert [row["condition"] for row in rows] == list(CONDITIONS)
    data = PerturbationData.read(converted)
    assert data.names == ("(+)-JQ1", "CD3+CD28", "chr8:128746315")
    assert data.conditions == CONDITIONS
    (verdict,) = answer(capsys, "span", converted)["verdicts"]
    assert verdict["condition"] == CONDITIONS[-1]
    assert verdict["identified"]


def test_a_model_remembers_them_too(fitted, tmp_path, capsys):
    model = PDAE.load(fitted / "m")
    assert model.space_.separators == {"separator": "|", "dose_separator": "@"}
    out = tmp_path / "p.h5ad"
    wanted = "(+)-JQ1@2|CD3+CD28"
    answer(capsys, "predict", fitted / "m", "--condition", wanted, "--out", out, "--samples", 7)
    predicted = PerturbationData.read(out)
    assert (predicted.conditions, predicted.counts.tolist()) == ((wanted,), [7])
    assert "unknown perturbation" in refusal(
        capsys, "predict", fitted / "m", "--condition", "A", "--out", tmp_path / "x.csv"
    )


def test_a_model_judges_a_file_of_another_grammar(fitted, tmp_path, capsys):
    data = PerturbationData.read(fitted / "d.h5ad")
    quoted = PerturbationData(
        data.x, data.labels, data.environment, data.names, data.held_out, data.features, data.control
    )
    assert quoted.test.conditions == ('"(+)-JQ1"+"CD3+CD28"',)
    quoted.write(tmp_path / "q.h5ad")
    assert PerturbationData.read(tmp_path / "q.h5ad").conditions == quoted.conditions
    rows = [answer(capsys, "evaluate", fitted / "m", file)["rows"] for file in (fitted / "d.h5ad", tmp_path / "q.h5ad")]
    assert rows[0] == rows[1]
    assert next(row for row in rows[1] if row["metric"] == "energy_distance")["status"] == "ok"


def test_a_name_that_the_separator_cuts_is_refused_with_the_option(drugs, tmp_path, capsys):
    status, _, err = ran(capsys, "convert", drugs / "t.csv", "--out", tmp_path / "c.h5ad", "--control", "DMSO")
    assert status == 2
    assert "condition '(+)-JQ1' is cut inside brackets, into '(' and ')-JQ1'" in err
    assert 'give another --separator or write it as "(+)-JQ1"' in err
