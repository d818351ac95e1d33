"""`span`: verdicts from the truth, from a model and from labels alone."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pdae_sim.cli._additivity import learnt_scales
from pdae_sim.cli._perturbation_matrix import changing_spread
from pdae_sim.data import PerturbationData
from pdae_sim.estimation import PDAE, PRESETS, Architecture
from pdae_sim.labels import LabelSpace
from pdae_sim.verdicts import NO_GUARANTEE, NOT_IDENTIFIED, OFF_SUPPORT
from tests.test_cli.calls import PNG, answer, ran, refusal


def verdicts(capsys, *arguments) -> list[dict]:
    return answer(capsys, "span", *arguments)["verdicts"]


def test_the_fields_of_the_contract(folder, capsys):
    inside, far, outside = verdicts(capsys, folder / "d.h5ad")
    assert [row["identified"] for row in (inside, far, outside)] == [True, True, False]
    assert inside["coefficients"] == {"A": 1.0, "B": 1.0}
    assert (inside["supported"], far["supported"]) == (False, False)  # 400 cells a condition are worth too few
    assert inside["effective_cells"] > 80 > far["effective_cells"]
    assert inside["witness"] is None
    assert (inside["noise_gain"], inside["arithmetic"]) == (3.0, "exact")
    assert (outside["identified"], outside["supported"], outside["coefficients"]) == (False, None, {})
    assert outside["witness"] == {"C": 1.0}


def test_from_the_truth(folder, capsys):
    rows = verdicts(capsys, folder / "d.h5ad", "--pooled")
    assert [row["verdict"] for row in rows] == [OFF_SUPPORT, OFF_SUPPORT, NOT_IDENTIFIED]
    inside, far, outside = rows
    assert inside["standard_error"] == pytest.approx(math.sqrt(6 / 400))
    assert inside["nearest"]["distance"] == pytest.approx(1.5)
    assert inside["effective_cells"] < inside["pooled_cells"] < 1200
    assert far["pooled_cells"] >= far["effective_cells"]
    assert {row["source"] for row in rows} == {"truth"}
    assert [row["truth"] for row in rows] == [row["effective_cells_interval"] for row in rows] == [None] * 3
    assert (outside["nearest"], outside["standard_error"], outside["pooled_cells"]) == (None, None, None)


def test_from_a_model_with_the_truth_beside_it(folder, capsys):
    rows = verdicts(capsys, folder / "d.h5ad", "--model", folder / "m")
    assert {row["source"] for row in rows} == {"model"}
    low, high = rows[0]["effective_cells_interval"]
    assert low <= rows[0]["effective_cells"] <= high
    assert rows[0]["nearest"]["interval"][0] < rows[0]["nearest"]["distance"] < rows[0]["nearest"]["interval"][1]
    assert rows[0]["truth"]["effective_cells"] == pytest.approx(400 * (2 * math.exp(-2.25) + math.exp(-4.5)))
    assert [row["truth"]["verdict"] for row in rows] == [OFF_SUPPORT, OFF_SUPPORT, NOT_IDENTIFIED]
    assert rows[0]["least_standard_error_interval"][0] < rows[0]["least_standard_error"]


def test_a_model_whose_noise_may_have_any_law_settles_nothing(folder, capsys, tmp_path):
    data = PerturbationData.read(folder / "d.h5ad")
    free = Architecture(width=8, own_noise=True)
    phases = PRESETS["screen"].shortened(2).phases
    for name, architecture in (("free", free), ("bound", replace(free, own_noise=False))):
        PDAE(2, observation="noiseless", architecture=architecture, phases=phases).fit(data).save(tmp_path / name)
    inside, far, outside = verdicts(capsys, folder / "d.h5ad", "--model", tmp_path / "free")
    assert [row["verdict"] for row in (inside, far, outside)] == [NO_GUARANTEE, NO_GUARANTEE, NOT_IDENTIFIED]
    assert [row["guaranteed"] for row in (inside, far, outside)] == [False, False, False]
    assert inside["truth"]["guaranteed"]  # the world is not to blame
    _, out, _ = ran(capsys, "span", folder / "d.h5ad", "--model", tmp_path / "free", "--quiet")
    assert "claim 2.11c" in out
    bound = verdicts(capsys, folder / "d.h5ad", "--model", tmp_path / "bound")
    assert [row["guaranteed"] for row in bound] == [True, True, False]
    assert NO_GUARANTEE not in {row["verdict"] for row in bound}
    _, out, _ = ran(capsys, "span", folder / "d.h5ad", "--model", tmp_path / "bound", "--quiet")
    assert "claim 2.11c" not in out
    verdicts(capsys, folder / "d.h5ad", "--model", tmp_path / "free", "--figure", tmp_path / "v.png")


def test_the_truth_of_a_noisy_world_says_why_it_is_guaranteed(folder, capsys, tmp_path):
    few = ("--set", "design.cells=60", "--set", "design.test_cells=60")
    said = {}
    for world in ("noisy", "proteins"):
        made = answer(capsys, "simulate", world, "--out", tmp_path / f"{world}.h5ad", *few)
        said[world] = made["recovery"], {row["verdict"] for row in made["conditions"]} - {None}
    assert "claim 2.11" in said["noisy"][0]
    assert NO_GUARANTEE not in said["noisy"][1]
    assert said["proteins"] == ("", {NO_GUARANTEE})  # a centred log-ratio with a pseudocount


def test_the_switches_of_the_analysis(folder, capsys):
    file, test = folder / "d.h5ad", ("--test", "A:2+B:2")
    (plain,) = verdicts(capsys, file, *test)
    (weighted,) = verdicts(capsys, file, *test, "--counts-weighted")
    (sparse,) = verdicts(capsys, file, *test, "--sparse")
    (measured,) = verdicts(capsys, file, *test, "--rtol", "1e-6")
    assert plain["noise_gain"] == pytest.approx(400 * weighted["noise_gain"])
    assert [plain[key] for key in ("margin", "residual", "tolerance")] == [None] * 3
    assert not plain["borderline"]
    assert weighted["method"] == "least noise gain"
    assert sparse["method"].startswith("fewest conditions")
    assert (measured["arithmetic"], measured["tolerance"]) == ("float", 1e-6)
    (outside,) = verdicts(capsys, file, "--test", "A+C", "--rtol", "1e-6")
    assert outside["margin"] > 1


def test_near_the_tolerance_it_says_so(capsys, tmp_path):
    """(1, 1 + 4e-6) against the line through (1, 1), doses measured to 1e-6."""
    x = np.random.default_rng(0).normal(size=(20, 2))
    PerturbationData.from_arrays(x, np.repeat(["ctrl", "A+B"], 10)).write(tmp_path / "d.h5ad")
    (near,) = verdicts(capsys, tmp_path / "d.h5ad", "--test", "A:1+B:1.000004", "--rtol", "1e-6")
    assert near["borderline"]
    assert 0 < near["margin"] < 1


def test_in_words(folder, capsys):
    _, out, _ = ran(capsys, "span", folder / "d.h5ad", "--model", folder / "m", "--test", "A+B", "--pooled", "--quiet")
    for words in (
        "A+B = A + B − ctrl",
        "standard deviations",
        "together",
        "Standard error of its shift",
        "In truth",
    ):
        assert words in out


def test_a_picture(folder, capsys, tmp_path):
    place = tmp_path / "verdicts.png"
    verdicts(capsys, folder / "d.h5ad", "--figure", place)
    assert place.read_bytes().startswith(PNG)
    assert "already exists" in refusal(capsys, "span", folder / "d.h5ad", "--figure", place)
    assert "must end in .png" in refusal(capsys, "span", folder / "d.h5ad", "--figure", tmp_path / "v.txt")
    verdicts(capsys, folder / "d.h5ad", "--figure", place, "--force")


def test_what_it_refuses(folder, capsys, tmp_path):
    data = PerturbationData.read(folder / "d.h5ad")
    data.write(tmp_path / "real.h5ad")
    data.select([0, 1, 3]).write(tmp_path / "fewer.h5ad")
    shutil.copy(folder / "d.h5ad", tmp_path / "sim.h5ad")
    cases = {
        ("real.h5ad", "--pooled"): "--pooled needs W",
        ("fewer.h5ad", "--model", str(folder / "m")): "training conditions are not those",
        ("real.h5ad", "--sparse", "--rtol", "1e-6"): "sparse needs exact labels",
        ("sim.h5ad", "--test", "A:1e200"): "must have doses up to 1e+50 for support; received 1e+200",
    }
    for (name, *options), words in cases.items():
        assert words in refusal(capsys, "span", tmp_path / name, *options)
    (row, *_) = verdicts(capsys, tmp_path / "real.h5ad")
    assert (row["verdict"], row["source"], row["effective_cells"], row["sure"]) == ("identified", None, None, None)
    assert row["standard_error"] == pytest.approx(math.sqrt(6 / 400))


def test_a_verdict_says_what_neighbours_know_of_additivity(tmp_path, capsys):
    labels = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1), (1, 1, 0), (1, 0, 1))
    names, environment = ("A", "B", "C"), np.repeat(np.arange(7), 200)
    held_out = np.array([False] * 5 + [True] * 2)
    x = np.random.default_rng(2).normal(size=(1400, 2)) + np.array(labels)[environment][:, 1:]
    for name, interaction in (("adds", 0.0), ("not", 1.5)):
        x[environment == 4, 0] += interaction
        PerturbationData(x, labels, environment, names, held_out=held_out).write(tmp_path / f"{name}.h5ad")
    for name, rejected, words in (("adds", False, "and at B+C no departure"), ("not", True, "do not add")):
        rows = verdicts(capsys, tmp_path / f"{name}.h5ad")
        assert [(row["condition"], row["additivity"]["rejected"]) for row in rows] == [
            ("A+B", rejected),
            ("A+C", rejected),
        ]
        assert [row["additivity"]["tests"][0]["shared"] for row in rows] == [["B"], ["C"]]
        _, out, _ = ran(capsys, "span", tmp_path / f"{name}.h5ad")
        assert words in out
    assert "A+B: identified, but effects of B do not add (p = 0.001 at B+C)" in out
    assert "additivity" not in verdicts(capsys, tmp_path / "not.h5ad", "--no-additivity")[0]


def test_a_combination_at_a_dose_that_no_part_was_measured_at_rests_on_straight_effects(tmp_path, capsys):
    hill = {0: 0.0, 1: 1.5, 3: 2.25, 10: 2.7}
    means = {"ctrl": (0, 0), "A": (1.5, 0), "B": (0, 1.5), "B:3": (0, hill[3]), "B:10": (0, 2.7), "A+B": (1.5, 1.5)}
    x = np.concatenate([np.random.default_rng(0).normal(mean, 1.0, (400, 2)) for mean in means.values()])
    PerturbationData.from_arrays(x, np.repeat(list(means), 400)).write(tmp_path / "d.h5ad")
    rested, measured = verdicts(capsys, tmp_path / "d.h5ad", "--test", "A+B:5", "--test", "A+B")
    assert rested["additivity"]["rejected"]
    assert rested["additivity"]["in_words"].startswith("but effects of B are not straight in dose (p ")
    assert "--dose-scale B=learn" in rested["additivity"]["in_words"]
    assert learnt_scales(["SAHA (1)"]) == "--dose-scale 'SAHA (1)=learn'"  # as a shell reads it
    _, out, _ = ran(capsys, "additivity", tmp_path / "d.h5ad")
    assert out.splitlines()[-1] == "effects not straight in dose: try convert --dose-scale B=learn"
    assert rested["additivity"]["tests"][0]["condition"] == "B:3"  # the nearest of those between neighbours
    assert measured["additivity"]["tests"][0]["condition"] == "A+B"


def test_what_is_not_tested_because_it_would_be_too_much_says_so(tmp_path, capsys, monkeypatch):
    conditions = ("ctrl", "A", "B", "A+B", "C", "D", "C+D", "E")
    x = np.random.default_rng(0).normal(size=(80 * len(conditions), 2))
    PerturbationData.from_arrays(x, np.repeat(conditions, 80)).write(tmp_path / "d.h5ad")
    asked = ("--test", "A+E", "--test", "B+E", "--test", "C+E")
    assert all(row["additivity"]["tests"] for row in verdicts(capsys, tmp_path / "d.h5ad", *asked))
    monkeypatch.setattr("pdae_sim.cli._additivity._MOST", 1)
    rows = verdicts(capsys, tmp_path / "d.h5ad", *asked)
    assert [bool(row["additivity"]["tests"]) for row in rows] == [True, True, False]
    assert "pdae-sim additivity" in rows[2]["additivity"]["in_words"]


def test_where_no_training_combination_has_a_part_nothing_is_tested(folder, capsys):
    rows = verdicts(capsys, folder / "d.h5ad")
    assert all(row["additivity"] | {"in_words": ""} == {"rejected": None, "tests": [], "in_words": ""} for row in rows)
    told = {row["condition"]: row["additivity"]["in_words"] for row in rows}
    nothing = "and nothing measured tells whether effects add: no training combination of its parts can be tested"
    assert {c: words == nothing for c, words in told.items()} == {c: "+" in c for c in told}


def test_a_spread_that_changes_is_told_of():
    z = np.random.default_rng(0).normal(size=(600, 2))
    z[400:, 0] *= 2.0

    def said(base):
        return changing_spread(
            SimpleNamespace(
                base_latents_=base,
                train_counts_=np.full(3, 200),
                train_labels_=np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]),
                space_=LabelSpace(("A", "VAN")),
            )
        )

    assert said(z).startswith("Spread: variance changes at VAN (to ")
    assert said(np.random.default_rng(1).normal(size=(600, 2))) == ""


def test_tests_of_additivity_are_no_more_than_a_second_is_enough_for(tmp_path, capsys, monkeypatch):
    """On a machine a third as fast 400 cells of 3 features are, and not those of 1,500, unless they are asked for."""
    monkeypatch.setattr("pdae_sim.cli._additivity._WORK", 1e8)
    labels, environment = (
        np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 1, 1]]),
        np.repeat(np.arange(5), 100),
    )
    x = np.random.default_rng(0).normal(size=(500, 1500)).astype(np.float32)
    x[:, :3] += labels[environment]
    held_out = [False] * 4 + [True]
    for name, width in (("narrow", 3), ("wide", 1500)):
        data = PerturbationData(x[:, :width], labels, environment, ("A", "B", "C"), held_out)
        data.write(tmp_path / f"{name}.h5ad")
    tested = [verdicts(capsys, tmp_path / f"{name}.h5ad")[0]["additivity"] for name in ("narrow", "wide")]
    assert [len(each["tests"]) for each in tested] == [1, 0]
    assert "--additivity does" in tested[1]["in_words"]
    for chosen in (("--features", "x0,x1"), ("--additivity",)):
        assert len(verdicts(capsys, tmp_path / "wide.h5ad", *chosen)[0]["additivity"]["tests"]) == 1


def test_verdicts_load_nothing_heavy(tmp_path):
    """A dataset without tests to run is judged in the time that starting takes."""
    PerturbationData.from_arrays(np.eye(3), ["ctrl", "A", "B"]).write(tmp_path / "d.h5ad")
    line = f"run(['span', {str(tmp_path / 'd.h5ad')!r}, '--test', 'A+B']); import sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", f"from pdae_sim.cli._app import run; {line}"], capture_output=True, text=True, check=True
    )
    assert "A+B: identified" in done.stdout
    assert not {"torch", "scipy.stats", "matplotlib", "pandas", "anndata"} & set(done.stdout.split())


def test_a_model_of_one_row_a_condition_has_a_verdict_and_says_what_is_not_known(tmp_path, capsys):
    names = ["ctrl", *"ABCDEFGHIJ", *(f"A+{other}" for other in "BDEFGHIJ"), "B+D", "B+E", "B+F", "B+G"]
    x = np.random.default_rng(0).normal(size=(len(names), 5))
    data = PerturbationData.from_arrays(x, names)
    data.write(tmp_path / "bulk.h5ad")
    PDAE(2, observation="noiseless", steps=2, random_state=0).fit(data).save(tmp_path / "m")
    status, out, _ = ran(capsys, "span", tmp_path / "bulk.h5ad", "--model", tmp_path / "m", "--test", "A+C")
    assert status == 0
    assert out.startswith("A+C: identified")
    assert "hardly more than one row each" in out
