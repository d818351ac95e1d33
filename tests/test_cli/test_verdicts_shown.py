"""`pdae-sim span`."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest

from pdae_sim.cli._app import run
from pdae_sim.data import PerturbationData
from pdae_sim.verdicts import NOT_IDENTIFIED, OFF_SUPPORT


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A simulated dataset, and a model that has hardly been fitted."""
    path = tmp_path_factory.mktemp("verdicts")
    size = ["--set", "design.cells=400", "--set", "design.test_cells=40"]
    assert run(["simulate", "demo", "--out", str(path / "d.h5ad"), *size, "--quiet", "--json"]) == 0
    fit = ["fit", str(path / "d.h5ad"), "--out", str(path / "m"), "--latents", "2", "--steps", "5"]
    assert run([*fit, "--quiet", "--json"]) == 0
    return path


def answer(capsys, *arguments) -> list[dict]:
    capsys.readouterr()
    assert run(["span", *map(str, arguments), "--json", "--quiet"]) == 0
    return json.loads(capsys.readouterr()[0])["verdicts"]


class TestCommand:
    """`pdae-sim span`."""

    def test_from_the_truth(self, folder, capsys):
        rows = answer(capsys, folder / "d.h5ad", "--pooled")
        assert [row["verdict"] for row in rows] == [OFF_SUPPORT, OFF_SUPPORT, NOT_IDENTIFIED]
        inside, far, outside = rows
        assert inside["standard_error"] == pytest.approx(math.sqrt(6 / 400))
        assert inside["nearest"]["distance"] == pytest.approx(1.5)
        assert inside["effective_cells"] < inside["pooled_cells"] < 1200
        assert far["pooled_cells"] >= far["effective_cells"]
        assert {row["source"] for row in rows} == {"truth"}
        assert [row["truth"] for row in rows] == [row["effective_cells_interval"] for row in rows] == [None] * 3
        assert (outside["nearest"], outside["standard_error"], outside["pooled_cells"]) == (None, None, None)

    def test_from_a_model_with_the_truth_beside_it(self, folder, capsys):
        rows = answer(capsys, folder / "d.h5ad", "--model", folder / "m")
        assert {row["source"] for row in rows} == {"model"}
        low, high = rows[0]["effective_cells_interval"]
        assert low <= rows[0]["effective_cells"] <= high
        assert rows[0]["nearest"]["interval"][0] < rows[0]["nearest"]["distance"] < rows[0]["nearest"]["interval"][1]
        assert rows[0]["truth"]["effective_cells"] == pytest.approx(400 * (2 * math.exp(-2.25) + math.exp(-4.5)))
        assert [row["truth"]["verdict"] for row in rows] == [OFF_SUPPORT, OFF_SUPPORT, NOT_IDENTIFIED]
        assert rows[0]["standard_error_interval"][0] < rows[0]["least_standard_error"]

    def test_the_switches_of_the_analysis(self, folder, capsys):
        file, test = folder / "d.h5ad", ("--test", "A:2+B:2")
        (plain,) = answer(capsys, file, *test)
        (weighted,) = answer(capsys, file, *test, "--counts-weighted")
        (sparse,) = answer(capsys, file, *test, "--sparse")
        (measured,) = answer(capsys, file, *test, "--rtol", "1e-6")
        assert plain["noise_gain"] == pytest.approx(400 * weighted["noise_gain"])
        assert (plain["margin"], plain["residual"], plain["tolerance"], plain["borderline"]) == (
            None,
            None,
            None,
            False,
        )
        assert weighted["method"] == "least noise gain"
        assert sparse["method"].startswith("fewest conditions")
        assert (measured["arithmetic"], measured["tolerance"]) == ("float", 1e-6)
        (outside,) = answer(capsys, file, "--test", "A+C", "--rtol", "1e-6")
        assert outside["margin"] > 1

    def test_near_the_tolerance_it_says_so(self, capsys, tmp_path):
        """(1, 1 + 4e-6) against the line through (1, 1), doses measured to 1e-6."""
        x = np.random.default_rng(0).normal(size=(20, 2))
        PerturbationData.from_arrays(x, np.repeat(["ctrl", "A+B"], 10)).write(tmp_path / "d.h5ad")
        (near,) = answer(capsys, tmp_path / "d.h5ad", "--test", "A:1+B:1.000004", "--rtol", "1e-6")
        assert near["borderline"]
        assert 0 < near["margin"] < 1

    def test_in_words(self, folder, capsys):
        run(["span", str(folder / "d.h5ad"), "--model", str(folder / "m"), "--test", "A+B", "--pooled", "--quiet"])
        out = capsys.readouterr()[0]
        for words in (
            "A+B = A + B − ctrl",
            "standard deviations",
            "together",
            "Standard error of its shift",
            "In truth",
        ):
            assert words in out

    def test_a_picture(self, folder, capsys, tmp_path):
        place = tmp_path / "verdicts.png"
        answer(capsys, folder / "d.h5ad", "--figure", place)
        assert place.read_bytes().startswith(b"\x89PNG")
        assert run(["span", str(folder / "d.h5ad"), "--figure", str(place), "--quiet"]) == 2
        assert run(["span", str(folder / "d.h5ad"), "--figure", str(tmp_path / "v.txt"), "--quiet"]) == 2
        answer(capsys, folder / "d.h5ad", "--figure", place, "--force")

    def test_what_it_refuses(self, folder, capsys, tmp_path):
        data = PerturbationData.read(folder / "d.h5ad")
        data.write(tmp_path / "real.h5ad")
        data.select([0, 1, 3]).write(tmp_path / "fewer.h5ad")
        shutil.copy(folder / "d.h5ad", tmp_path / "sim.h5ad")
        cases = {
            ("real.h5ad", "--pooled"): "--pooled needs W",
            ("fewer.h5ad", "--model", str(folder / "m")): "training conditions are not those",
            ("real.h5ad", "--sparse", "--rtol", "1e-6"): "sparse needs exact labels",
            ("sim.h5ad", "--test", "A:1e200"): "doses up to 1e+50",
        }
        for (name, *options), words in cases.items():
            capsys.readouterr()
            assert run(["span", str(tmp_path / name), *options, "--quiet"]) == 2
            assert words in capsys.readouterr()[1]
        (row, *_) = answer(capsys, tmp_path / "real.h5ad")
        assert (row["verdict"], row["source"], row["effective_cells"], row["sure"]) == ("identified", None, None, None)
        assert row["standard_error"] == pytest.approx(math.sqrt(6 / 400))
