"""Verdicts as pictures, and `pdae-sim span`."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest

from pdae_sim.cli._app import run
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.report._palette import NARROW, WIDE
from pdae_sim.report.verdicts import Calibration, calibration, verdict_chart
from pdae_sim.verdicts import NOT_IDENTIFIED, OFF_SUPPORT, SUPPORTED

ROWS = [
    {
        "condition": name, "verdict": verdict, "effective_cells": cells, "effective_cells_interval": interval,
        "standard_error": error, "truth": true and {"effective_cells": true},
    }
    for name, verdict, cells, interval, error, true in [
        ("A+B", SUPPORTED, 548.0, (300.0, 800.0), 0.04, 600.0),
        ("$a_{$", OFF_SUPPORT, 4e-9, (1e-10, 3e-8), 0.12, 3e-9),
        ("A:2", OFF_SUPPORT, 60.0, (0.05, 130.0), 0.06, None),
        ("A+C", NOT_IDENTIFIED, None, None, None, None),
        ("B:2", "identified", None, None, 0.03, None),
    ]
]  # fmt: skip


class TestFigures:
    """Figures that hold what they were given."""

    @pytest.mark.parametrize("width", [WIDE, NARROW])
    def test_every_condition_has_its_line(self, width):
        figure = verdict_chart(ROWS, width=width)
        cells, errors = figure.axes
        assert [label.get_text() for label in cells.get_yticklabels()] == [row["condition"] for row in ROWS]
        said = [text.get_text() for text in cells.texts]
        assert said == ["not identified", "support unknown"]
        assert len(errors.texts) == 1

    def test_the_interval_and_the_threshold_are_drawn_where_they_are(self):
        cells = verdict_chart(ROWS[:1], threshold=70.0).axes[0]
        spans = [tuple(map(float, line.get_xdata())) for line in cells.lines]
        assert (300.0, 800.0) in spans
        assert any(set(span) == {70.0} for span in spans)

    def test_calibration_puts_points_where_they_came(self):
        panel = Calibration(
            "cells", np.array([1.0, 10.0]), np.array([2.0, 9.0]), np.array([0.5, 5.0]), np.array([3.0, 20.0])
        )
        figure = calibration([panel, panel, panel])
        assert len(figure.axes) == 3
        drawn = [line.get_xydata().tolist() for line in figure.axes[0].lines]
        assert [[1.0, 2.0], [10.0, 9.0]] in drawn

    def test_nothing_to_draw_is_refused(self):
        with pytest.raises(InputError, match="at least one verdict"):
            verdict_chart([])
        with pytest.raises(InputError, match="verdict must be one of"):
            verdict_chart([{**ROWS[0], "verdict": "maybe"}])
        with pytest.raises(InputError, match="panels"):
            calibration([])


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
