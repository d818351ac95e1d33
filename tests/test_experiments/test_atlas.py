"""The atlas of measured tables: its page is that of the stored results, and its measurement runs on any table."""

import json

import numpy as np
import pandas as pd
import pytest

from experiments.atlas_page import RESULTS, page
from experiments.benchmarks import atlas
from pdae_sim.report import render_page

STORED = json.loads((RESULTS / "atlas.json").read_text(encoding="utf-8"))


def test_the_page_is_that_of_the_stored_results():
    assert (RESULTS / "atlas.html").read_text(encoding="utf-8") == render_page(page(STORED))


def test_what_is_summed_up_is_what_was_measured():
    rows = {row[0]: row for row in atlas.summaries(STORED["fits"])}
    fits = [fit for fit in STORED["fits"] if fit["table"] == "norman"]
    means = [np.mean(list(fit["distances"]["pdae"].values())) for fit in fits]
    assert rows["norman"][1:4] == (len(fits), pytest.approx(np.median(means)), pytest.approx(max(means)))
    assert atlas.promised(STORED["fits"]) == STORED["promised"]


@pytest.mark.parametrize(
    ("enough", "holm", "said"),
    [(False, 0.001, "could not have been seen"), (True, 0.05, "not additive"), (True, 0.051, "additive")],
)
def test_verdicts(enough, holm, said):
    assert atlas.verdict(enough, holm) == said


@pytest.mark.slow
def test_it_runs_on_a_table(tmp_path, monkeypatch):
    rng, shifts = np.random.default_rng(0), {"ctrl": [0, 0], "A": [1, 0], "B": [0, 1], "A+B": [1, 1]}
    frames = [
        pd.DataFrame(rng.normal(size=(150, 2)) + shift, columns=["x", "y"]).assign(condition=name)
        for name, shift in shifts.items()
    ]
    pd.concat(frames).to_csv(tmp_path / "t.csv", index=False)
    monkeypatch.setattr(atlas, "TABLES", {"t": atlas.Table("t.csv", ("A+B",))})
    fit = atlas.fitted("t", 0, tmp_path)
    assert set(fit["distances"]["pdae"]) == {"A+B"}
    assert fit["distances"]["additive"]["A+B"] < fit["distances"]["control"]["A+B"]
    (row,) = atlas.combinations("t", tmp_path)
    assert (row["condition"], row["identified"], row["verdict"]) == ("A+B", True, "additive")
