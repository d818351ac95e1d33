"""`design` and `additivity` from the command line: answers, pictures, exit statuses, one line for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pdae_sim.analysis.hypothesis_tests.additivity import additivity_test, additivity_tests
from pdae_sim.cli._app import run
from pdae_sim.data import PerturbationData

TABLE = Path(__file__).parents[3] / "shared" / "data" / "sachs2005_flow_cytometry.csv"
PNG = b"\x89PNG"


def written(path, effect, *, labels=((0, 0), (1, 0), (0, 1), (1, 1)), n=80):
    """Normal cells of two columns that A and B shift; A+B shifts the first by `effect` more."""
    labels = np.array(labels, dtype=float)
    environment = np.repeat(np.arange(len(labels)), n)
    x = np.random.default_rng(0).normal(size=(len(environment), 2)) + labels[environment][:, :2]
    x[:, 0] += effect * labels.prod(axis=1)[environment]
    PerturbationData(x, labels, environment, ("A", "B")).write(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("analysis")


@pytest.fixture(scope="module")
def additive(folder):
    return written(folder / "additive.h5ad", 0.0, n=120)


@pytest.fixture(scope="module")
def epistatic(folder):
    return written(folder / "epistatic.h5ad", 1.5, n=120)


@pytest.fixture(scope="module")
def singles(folder):
    return written(folder / "singles.h5ad", 0.0, labels=((0, 0), (1, 0)))


def ran(capsys, *arguments):
    capsys.readouterr()
    status = run([str(a) for a in arguments])
    return status, *capsys.readouterr()


def answer(capsys, *arguments):
    status, out, _ = ran(capsys, *arguments, "--json", "--quiet")
    return status, json.loads(out)


class TestAdditivity:
    def test_what_adds_passes_with_status_zero(self, additive, capsys):
        status, found = answer(capsys, "additivity", additive, "--multipliers", "99")
        (row,) = found["tests"]
        assert (status, found["rejected"], found["figure"]) == (0, [], None)
        assert row["weights"] == {"ctrl": 1.0, "A": -1.0, "B": -1.0, "A+B": 1.0}
        assert row["enough_overlap"]
        assert not row["rejected"]

    def test_what_does_not_add_is_rejected_with_status_one(self, epistatic, capsys):
        status, found = answer(capsys, "additivity", epistatic, "--multipliers", "99")
        (row,) = found["tests"]
        assert (status, found["rejected"]) == (1, ["A+B"])
        assert row["p_value"] == row["holm"] == row["bh"] == 0.01
        assert row["feature"] == "x0"
        assert abs(row["slope"]) > 3 * row["slope_error"]

    def test_the_numbers_are_those_of_the_library(self, epistatic, capsys):
        data = PerturbationData.read(epistatic)
        (row,) = answer(capsys, "additivity", epistatic, "--multipliers", "99", "--seed", "5")[1]["tests"]
        alone = additivity_tests(data, rng=5, n_multipliers=99).tests["A+B"]
        assert (row["p_value"], row["effective_cells"]) == (alone.p_value, alone.effective_cells)

    def test_a_target_by_itself_is_tested_as_among_all(self, epistatic, capsys):
        everything = answer(capsys, "additivity", epistatic, "--multipliers", "99")[1]["tests"]
        wanted = answer(capsys, "additivity", epistatic, "--multipliers", "99", "--target", "B + A")[1]["tests"]
        assert wanted == everything

    def test_several_targets_are_corrected_together(self, epistatic, capsys):
        options = ("--multipliers", "99", "--target", "A+B", "--target", "A", "--target", "A+B")
        status, found = answer(capsys, "additivity", epistatic, *options)
        assert status == 1
        assert [row["condition"] for row in found["tests"]] == ["A+B", "A"]
        assert found["tests"][0]["holm"] == 2 * found["tests"][0]["p_value"]

    def test_too_little_overlap_rejects_nothing(self, folder, capsys):
        path = written(folder / "apart.h5ad", 60.0, n=30)
        assert additivity_test(PerturbationData.read(path), "A+B", n_multipliers=99, rng=0).effective_cells < 100
        status, found = answer(capsys, "additivity", path, "--multipliers", "99")
        assert (status, found["rejected"], found["tests"][0]["enough_overlap"]) == (0, [], False)

    def test_in_words(self, epistatic, additive, capsys):
        status, out, _ = ran(capsys, "additivity", epistatic, "--multipliers", "99", "--quiet")
        assert status == 1
        assert "A+B against A · B / ctrl: p = 0.01" in out
        assert "the product formula fails, most along x0" in out
        assert "no departure from" in ran(capsys, "additivity", additive, "--multipliers", "99", "--quiet")[1]

    @pytest.mark.parametrize("targets", [["--target", "A+B"], ["--target", "A+B", "--target", "A"]])
    def test_a_picture_is_written_and_not_over_another(self, epistatic, tmp_path, capsys, targets):
        place = tmp_path / "p.png"
        arguments = ("additivity", epistatic, "--multipliers", "99", *targets, "--figure", place)
        assert answer(capsys, *arguments)[1]["figure"] == str(place)
        assert place.read_bytes().startswith(PNG)
        status, out, err = ran(capsys, *arguments)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert "p.png: already exists" in err
        assert answer(capsys, *arguments, "--force")[0] == 1

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["{s}"], ["singles.h5ad", "measure a combination and its parts"]),
            (["{e}", "--target", "A+Z"], ["epistatic.h5ad: --target: unknown perturbation 'Z'"]),
            (["{e}", "--target", "A:2"], ["epistatic.h5ad: --target: condition 'A:2' must be measured; known: ctrl"]),
            (["{e}", "--target", "ctrl"], ["epistatic.h5ad: --target: target must be a combination"]),
            (["{s}", "--target", "A"], ["singles.h5ad: --target: target 'A' must be a combination"]),
            (["{e}", "--multipliers", "3"], ["--multipliers"]),
            (["{e}", "--figure", "p.pdf"], ["p.pdf: --figure must end in .png"]),
            (["{e}", "--figure", "{e}.d/p.png"], ["cannot write in folder"]),
            (["{e}.no"], [".no"]),
        ],
    )
    def test_bad_input_is_one_line_with_status_two(self, epistatic, singles, capsys, arguments, words):
        status, out, err = ran(capsys, "additivity", *(a.format(e=epistatic, s=singles) for a in arguments))
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert all(word in err for word in words)


class TestDesign:
    def test_pictures_of_the_plan_and_of_the_cells(self, singles, tmp_path, capsys):
        place = tmp_path / "plan.png"
        arguments = ("design", singles, "--target", "A+B", "--figure", place)
        assert answer(capsys, *arguments)[1]["figures"] == [str(place)]
        status, found = answer(capsys, *arguments, "--standard-error", "0.2", "--force")
        assert (status, found["figures"]) == (0, [str(place)])
        assert all(Path(path).read_bytes().startswith(PNG) for path in found["figures"])
        assert found["cells_to_add"] == {"ctrl": 120, "A": 20, "B": 100}

    def test_without_a_picture_none_is_drawn(self, singles, capsys):
        assert answer(capsys, "design", singles, "--target", "A+B")[1]["figures"] == []

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["{s}", "--target", "A+B", "--standard-error", "-1"], ["singles.h5ad: --standard-error: ", "-1.0"]),
            (["{s}", "--target", "A:x"], ["singles.h5ad: --target: malformed dose 'x'", "write a finite number"]),
            (["{s}", "--target", "A+B", "--figure", "p.svg"], ["p.svg: --figure must end in .png"]),
            (["{s}", "--target", "A+B", "--figure", "{s}.d/p.png"], ["cannot write in folder"]),
            (["{s}", "--target", "A+B", "--model", "{s}.d"], ["singles.h5ad", "not a complete model directory"]),
            (["{t}", "--target", "A+B"], ["thirds.h5ad: ", "must be exact doses; round them to 12 digits"]),
        ],
    )
    def test_bad_input_is_one_line_with_status_two(self, folder, singles, capsys, arguments, words):
        thirds = folder / "thirds.h5ad"
        if not thirds.exists():
            written(thirds, 0.0, labels=((0, 0), (1 / 3, 0)))
        status, out, err = ran(capsys, "design", *(a.format(s=singles, t=thirds) for a in arguments))
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert all(word in err for word in words)


@pytest.mark.statistical
@pytest.mark.skipif(not TABLE.is_file(), reason=f"{TABLE.name} is not beside the repository")
def test_proteins_of_two_inhibitors_do_not_add_and_of_the_third_too_few_cells_tell(tmp_path, capsys):
    """Three doubles whose singles were measured, in log scale; one of them overlaps with nothing."""
    data, place = tmp_path / "s.h5ad", tmp_path / "p.png"
    assert ran(capsys, "convert", TABLE, "--out", data, "--transform", "log", "--quiet")[0] == 0
    status, found = answer(capsys, "additivity", data, "--figure", place)
    rows = {row["condition"]: row for row in found["tests"]}
    assert set(rows) == {"AKTinh+ICAM2", "ICAM2+U0126", "G0076+ICAM2"}
    assert (status, set(found["rejected"])) == (1, {"AKTinh+ICAM2", "ICAM2+U0126"})
    assert not rows["G0076+ICAM2"]["enough_overlap"]
    assert place.read_bytes().startswith(PNG)
