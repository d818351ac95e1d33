"""Conditions with too few cells to judge: a row that says why, and status 3 where nothing could be judged."""

from __future__ import annotations

import numpy as np
import pytest

from pdae_sim import PDAE, PerturbationData
from pdae_sim.analysis.hypothesis_tests import additivity_tests
from tests.test_cli.calls import answer, ran

NAMES = ("A", "B", "C")


def cells(path, counts, held_out=(), seed=0):
    """Normal cells of conditions, so many of each."""
    conditions = np.repeat(list(counts), list(counts.values()))
    x = np.random.default_rng(seed).normal(size=(len(conditions), 2))
    PerturbationData.from_arrays(x, conditions, held_out=np.isin(conditions, held_out)).write(path)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("few")
    data = PerturbationData.read(cells(folder / "d.h5ad", dict.fromkeys(("ctrl", *NAMES), 40)))
    PDAE(1, observation="noiseless", steps=2, random_state=0).fit(data).save(folder / "m")
    return folder / "m"


COUNTS = {"ctrl": 120, "A": 120, "B": 120, "C": 120, "A+B": 120, "A+C": 9}


class TestAdditivity:
    def test_one_condition_of_nine_cells_is_skipped_with_a_reason(self, tmp_path, capsys):
        found = answer(capsys, "additivity", cells(tmp_path / "d.h5ad", COUNTS), "--multipliers", "19")
        tested, skipped = found["tests"]
        assert (tested["condition"], tested["reason"]) == ("A+B", None)
        assert (skipped["condition"], skipped["p_value"], skipped["rejected"]) == ("A+C", None, False)
        assert skipped["reason"] == "'A+C' must have at least 10 cells; it has 9"

    def test_the_others_are_corrected_as_if_it_were_not_there(self, tmp_path):
        data = PerturbationData.read(cells(tmp_path / "d.h5ad", COUNTS))
        found = additivity_tests(data, rng=0, n_multipliers=19)
        without = additivity_tests(data.select(data.counts > 9), rng=0, n_multipliers=19)
        assert (found.holm, list(found.skipped)) == (without.holm, ["A+C"])

    def test_its_reason_stands_in_the_table(self, tmp_path, capsys):
        status, out, _ = ran(capsys, "additivity", cells(tmp_path / "d.h5ad", COUNTS), "--multipliers", "19")
        assert status == 0
        assert "why not judged" in out
        assert "it has 9" in " ".join(out.split())

    @pytest.mark.parametrize("target", [(), ("--target", "A+C")])
    def test_nothing_that_could_be_judged_is_status_three(self, tmp_path, capsys, target):
        counts = {name: n for name, n in COUNTS.items() if name != "A+B"}
        file, figure = cells(tmp_path / "d.h5ad", counts), tmp_path / "f.png"
        found = answer(capsys, "additivity", file, "--multipliers", "19", *target, "--figure", figure, status=3)
        assert [row["enough_overlap"] for row in found["tests"]] == [False]
        assert (found["figure"], figure.exists()) == (None, False)


class TestEvaluate:
    def test_a_held_out_condition_of_three_cells_says_so(self, model, tmp_path, capsys):
        counts = {"ctrl": 40, "A": 40, "A+B": 3, "A+C": 40}
        file = cells(tmp_path / "d.h5ad", counts, ("A+B", "A+C"))
        status, out, _ = ran(capsys, "evaluate", model, file)
        assert status == 0
        assert "the condition has 3 cells; judging needs at least 8" in " ".join(out.split())
        assert "InputError" not in out

    def test_nothing_that_could_be_judged_is_status_three(self, model, tmp_path, capsys):
        file = cells(tmp_path / "d.h5ad", {"ctrl": 40, "A": 40, "A+B": 3}, ("A+B",))
        rows = answer(capsys, "evaluate", model, file, "--figure", tmp_path / "f.png", status=3)["rows"]
        assert {row["status"] for row in rows} == {"failed"}
        assert not (tmp_path / "f.png").exists()

    def test_goodness_leaves_out_what_is_too_small_and_says_so(self, model, tmp_path, capsys):
        fresh = cells(tmp_path / "f.h5ad", {"ctrl": 50, "A": 50, "B": 7}, seed=1)
        options = ("--goodness", "--cells", fresh)
        found = answer(capsys, "evaluate", model, model.parent / "d.h5ad", *options)
        assert found["goodness_skipped"] == {"B": "7 cells; at least 8 tell"}
        assert {"ctrl", "A"} <= {row["condition"] for row in found["goodness"]["rows"]}

    def test_goodness_of_one_condition_is_status_three(self, model, tmp_path, capsys):
        fresh = cells(tmp_path / "f.h5ad", {"ctrl": 50, "B": 7}, seed=1)
        status, out, _ = ran(capsys, "evaluate", model, model.parent / "d.h5ad", "--goodness", "--cells", fresh)
        assert status == 3
        assert "7 cells; at least 8 tell" in out
        assert "no other condition has cells enough" in out
