"""The benchmarks: their harness, their skeleton, and each at a size that takes a second."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from experiments.benchmarks import (
    _timing,
    accuracy,
    beyond,
    calibration,
    effects,
    goodness,
    intervals,
    observation_fit,
    power,
    rivals,
    scale,
    verdicts,
    worth,
)
from experiments.benchmarks._efficient import EfficientErrors
from experiments.benchmarks._latent_arithmetic import LatentArithmetic
from experiments.benchmarks._laws import count_distance, normal_distance, student_distance
from experiments.benchmarks._table import Spread, machine, options, print_table
from experiments.benchmarks._worlds import band, measure_worlds
from experiments.quoted import RESULTS
from pdae_sim.analysis import efficient_limit, energy_estimate
from pdae_sim.analysis.identifiability.alignment import align
from pdae_sim.data import PerturbationData, Simulation
from pdae_sim.estimation.baselines import BASELINES
from pdae_sim.estimation.presets import PRESETS
from pdae_sim.simulation.worlds import world
from pdae_sim.study.declaration import Declaration


class TestTable:
    def test_numbers_have_the_format_of_their_column_and_text_stays(self, capsys):
        rows = [("a", 0.126, Spread(1.0, 0.5, 2.0)), ("b", None, "none")]
        assert print_table({"name": "", "x": ".2f", "y": ".1f"}, rows, title="A title") == rows
        head = ["A title", "", "| name | x | y |", "|---|---|---|"]
        body = ["| a | 0.13 | 1.0 (0.5 to 2.0) |", "| b | – | none |", ""]
        assert capsys.readouterr().out.splitlines() == head + body

    def test_a_row_of_the_wrong_length_is_an_error(self):
        with pytest.raises(ValueError, match="zip"):
            print_table({"name": ""}, [("a", "b")])

    def test_a_spread_is_the_quartiles(self):
        assert Spread.of([1, 2, 3, 4, 5]) == (3, 2, 4)
        assert Spread.of([7.0]).scaled(2) == (14, 14, 14)

    def test_arguments_have_the_types_of_their_defaults_and_worlds_may_stand_alone(self):
        defaults = {"worlds": 5, "fit": False, "out": None, "only": ""}
        assert options("", [], **defaults).worlds == 5
        arguments = options("", ["7", "--fit", "--out", "folder"], **defaults)
        assert (arguments.worlds, arguments.fit, arguments.out.name, arguments.only) == (7, True, "folder", "")
        assert options("", ["--worlds", "7"], **defaults).worlds == 7

    def test_the_machine_is_described_by_its_cores_and_versions(self):
        assert f"{os.cpu_count()} cores" in machine()
        assert np.__version__ in machine()


class TestTiming:
    def test_rivals_take_turns_and_what_warms_up_does_not_count(self):
        calls: list[str] = []
        ticks = iter(range(1000))
        rivals = {name: lambda name=name: calls.append(name) or name.upper() for name in "ab"}
        times = _timing.alternate(rivals, rounds=2, calls=2, warm=1, clock=lambda: next(ticks))
        assert "".join(calls) == "aaabbb" * 2
        assert times.rounds["a"] == [[1, 1], [1, 1]]
        assert times.values == {"a": "A", "b": "B"}

    def test_ratios_are_of_rounds(self):
        times = _timing.Times({"a": [[2.0], [20.0], [3.0]], "b": [[1.0], [10.0], [1.0]]})
        assert times.ratio("a", "b").middle == 2.0
        assert times["a"].middle == 3.0

    @pytest.mark.slow
    def test_a_process_of_its_own_answers_in_plain_values(self):
        assert _timing.apart("_timing", "memory", "VmRSS") > 10


class TestWorlds:
    @pytest.mark.slow
    def test_results_do_not_depend_on_the_number_of_workers(self):
        results = [
            measure_worlds(lambda seed: {"u": np.random.default_rng(seed).random()}, 5, workers=n) for n in (1, 2)
        ]
        assert np.array_equal(results[0]["u"], results[1]["u"])

    def test_the_band_holds_a_true_claim_and_not_a_wrong_one(self):
        low, high = band(0.95, 1000)
        assert low < 0.95 < high
        assert high - low < 0.04
        assert band((0.01, 0.05), 100).shape == (2, 2)

    @pytest.mark.statistical
    def test_energy_distances_of_known_laws(self):
        rng = np.random.default_rng(0)
        draws = {
            normal_distance(1.0, 3): (rng.normal([1, 0, 0], size=(4000, 3)), rng.normal(size=(4000, 3))),
            student_distance(1.0): (rng.standard_t(3, (4000, 1)) + 1, rng.standard_t(3, (4000, 1))),
            count_distance(2.0, 3.0): (rng.poisson(2, (4000, 1)) * 1.0, rng.poisson(3, (4000, 1)) * 1.0),
        }
        for distance, pair in draws.items():
            assert distance in energy_estimate(*pair).interval


class TestCalibrations:
    def test_a_claim_is_judged_on_its_sides(self):
        claims = {(claim.test, claim.side): claim for claim in calibration.claims()}
        exact, at_most = claims["energy", calibration.EXACT], claims["energy", calibration.AT_MOST]
        assert exact.in_world([0, 1])["errors"].shape == (3,)
        bands = band(calibration.LEVELS, 1000)
        assert exact.missed(np.array([0.0, 0.05, 0.2]), bands).tolist() == [True, False, True]
        assert at_most.missed(np.array([0.0, 0.05, 0.2]), bands).tolist() == [False, False, True]
        assert calibration.row(exact, np.zeros((1000, 3)))[-1] == "outside at 1 %, 5 %, 10 %"
        assert "2 refused" in calibration.row(at_most, np.vstack([np.zeros((8, 3)), np.full((2, 3), np.nan)]))[1]

    def test_power_counts_the_worlds_where_two_tests_differ(self):
        hits = measure_worlds(lambda seed: power.reject(power.ALTERNATIVES["shift 1.0"], 2, seed), 3)
        row = power.row("shift 1.0", 2, hits | {"dcor energy": np.zeros(3, bool)})
        assert row[-2] == f"{hits['energy'].sum()} : 0"

    @pytest.mark.slow
    def test_observation_fit_prints_the_band_and_rows_for_every_law(self, capsys):
        observation_fit.main(["2", "--fits", "0", "--workers", "1"])
        out = capsys.readouterr().out
        assert "exact 99 % band" in out
        assert all(f"| {law} | centre |" in out for law in observation_fit.LAWS)

    @pytest.mark.slow
    def test_goodness_prints_the_band_and_a_row_for_every_part(self, capsys):
        goodness.main(["1", "--power-worlds", "0", "--fits", "0"])
        assert capsys.readouterr().out.count("one condition") == 8
        hits = measure_worlds(lambda seed: goodness.faults(goodness.judged(goodness.Exact, seed, 20)), 1)
        assert goodness.power_row("nothing", hits)[1:6] == (0, 0, 0, 0, 0)

    def test_effects_place_the_true_law_near_a_replicate(self):
        found = effects.judge_world(0)
        assert found["ceiling pearson_delta, scaled"] == 1
        assert 0.7 < found["true law pearson_delta, scaled"] < 1.3
        assert abs(found["control pearson_delta"]) < 0.3 < found["true law pearson_delta"]

    def test_worth_covers_or_not(self):
        case = worth.CASES["Student 3, shift 1.0"]
        assert set(worth.cover(case, 20, 0)) == {"ED, jackknife", "ED", "n_eff", "width, jackknife", "width"}

    def test_coverage_of_the_report_has_a_row_for_every_quantity(self):
        worlds = (intervals.r2_world, 60, 0.1), (intervals.effect_world, 60, 1.0), (intervals.ladder_world, 120, 0.1)
        hits = {name: hit for act, n, value in worlds for name, hit in act(0, 2, n, value).items()}
        rows = list(intervals.lines(hits, 2, 60, "one"))
        assert len(rows) == 11
        assert sum(row[-1] is not None for row in rows) == 6

    def test_percentiles_are_those_of_alignments(self):
        """Their moments against `align` itself: resamples of few cells, to the 3 % that 200 resamples leave."""
        z, noise = (np.random.default_rng(seed).normal(size=(100, 3)) for seed in (0, 1))
        estimate = z + 0.5 * noise
        ends = intervals.percentile(estimate, z, np.random.default_rng(0))
        picks = np.random.default_rng(1).integers(100, size=(200, 100))
        draws = [align(estimate[rows], z[rows]).affine_r2 for rows in picks]
        assert np.allclose(ends["affine_r2"], np.quantile(draws, [0.025, 0.975]), atol=0.03)

    def test_verdicts_print_a_table_for_every_part(self, capsys, monkeypatch):
        monkeypatch.setattr(verdicts, "DRAWS", 200)
        monkeypatch.setattr(verdicts, "REPLICATES", 20)
        rows = [verdicts.measure(0)]
        for print_part in (verdicts.print_errors, verdicts.print_worth, verdicts.print_coverage):
            print_part(rows)
        out = capsys.readouterr().out
        assert out.count("|---|---|\n") == 2 + bool(rows[0]["worth"])


class TestBeyond:
    def test_a_spline_goes_through_cells_and_is_a_parabola_where_they_lie_on_one(self):
        z = np.random.default_rng(0).normal(size=(60, 2))
        f = lambda z: np.column_stack([z[:, 0] * z[:, 1], z[:, 1] ** 2 - z[:, 0]])  # noqa: E731
        np.testing.assert_allclose(beyond.spline(z, f(z))(3 * z), f(3 * z), atol=1e-6)

    def test_drawn_errors_are_as_large_as_the_efficient_limit(self):
        """Scores in simulated latents against expectations in closed form."""
        labels, W, rng = (
            np.vstack([np.zeros(3), np.eye(3)]),
            np.array([[1.0, 0, 1], [0, 1.5, 1]]),
            np.random.default_rng(0),
        )
        limit = efficient_limit(labels, counts=[1000] * 4, perturbation_matrix=W, degree=2)
        best = EfficientErrors(labels, W, 1000, 2, rng)
        errors = [W.T @ off + off.T @ W for off, _ in (best.draw(rng) for _ in range(2000))]
        assert np.sqrt(np.mean(np.square(errors), axis=0)) == pytest.approx(limit.errors, rel=0.1)

    def test_who_knows_f_is_nearest(self):
        found = beyond.measure(0, cells=100, steps=1, drawn=100)
        assert set(found) == {f"{name} at {c}" for name in beyond.PREDICTORS for c in beyond.CONDITIONS}
        assert min(beyond.PREDICTORS, key=lambda name: found[f"{name} at A+B+C:2"]) == "f known"


class TestStudies:
    def test_tables_of_accuracy_have_a_row_for_every_estimator(self, tmp_path, capsys):
        declaration = accuracy.plane(1)
        baselines = [each for each in declaration.estimators if each.kind in ("additive", "linear")]
        small = declaration.worlds[0].model_copy(update={"set": declaration.worlds[0].set | SMALL})
        changes = {"estimators": baselines, "worlds": [small], "evaluation": {"n_samples": 40}}
        declaration = declaration.model_copy(update=changes)
        rows, provenance = accuracy.run_declared(declaration, tmp_path, 1)
        accuracy.print_predictions(rows)
        accuracy.print_seconds(provenance)
        lines = capsys.readouterr().out.splitlines()
        assert [line.split(" | ")[0] for line in lines if line.startswith("| ")][1:] == [
            "| linear",
            "| additive",
            "| ceiling",
        ]
        assert accuracy.values(rows, "energy_distance", "linear", "A+B").shape == (1,)

    def test_rivals_are_declared_beside_every_baseline_with_what_they_chose(self):
        names = [each if isinstance(each, str) else each.get("name", each["kind"]) for each in rivals.estimators()]
        assert names[:2] == ["pdae", "tilting"]
        assert set(rivals.SETTINGS) | set(BASELINES) <= set(names)
        assert set(rivals.LEAGUE) - {"ceiling"} <= set(names)
        for scenario in rivals.SCENARIOS:
            assert rivals.declaration(scenario, 1, rivals.estimators()).worlds[0].name == scenario

    def test_every_rival_chose_from_as_many_settings_and_all_can_be_declared(self):
        assert {len(some) for some in rivals.SETTINGS.values()} == {4}
        assert len(rivals.declaration("counts", [100], rivals.tried()).estimators) == 4 * len(rivals.SETTINGS)

    def test_every_rival_chose_the_best_of_what_was_stored(self):
        stored = json.loads((RESULTS / "rivals.json").read_text(encoding="utf-8"))
        tuned = {kind: found["tuning"] for kind, found in stored.items() if "tuning" in found}
        assert set(tuned) == set(rivals.TUNED_IN)
        mean = {name: value for name, *_, value in rivals.tuning_rows(tuned)}
        for name, chosen in rivals.CHOSEN.items():
            assert chosen == 1 + np.argmin([mean[f"{name} {k}"] for k in range(1, 5)])

    def test_a_league_is_a_study_like_any_other(self, tmp_path):
        small = {"steps": 5, "cells": 8}
        few = ["additive", {**rivals.SETTINGS["latent arithmetic"][0], "name": "latent arithmetic", **small}]
        given = rivals.declaration("many conditions", 2, few).model_dump(exclude_unset=True)
        (scenario,) = given["worlds"]
        given |= {"worlds": [{**scenario, "set": SMALL}], "evaluation": {"n_samples": 20}}
        rows, _ = accuracy.run_declared(Declaration.parse(given), tmp_path, 1)
        found = rivals.distances(rows)
        assert {name: len(values) for name, values in found.items()} == {
            "additive": 2, "latent arithmetic": 2, "ceiling": 2
        }  # fmt: skip
        assert np.isfinite(list(found.values())).all()

    def test_a_table_counts_the_worlds_where_the_default_is_at_or_below(self):
        energies = {"pdae": [0.1, 0.3, 0.2], "tilting": [0.2, 0.2, 0.2], "ceiling": [0.0] * 3}
        energies["linear"] = [0.1, None, 0.1]
        rows = {row[0]: row[1:] for row in rivals.table_rows({"noisy": {"energy distance": energies}})}
        assert rows["pdae"] == ["0.20 (0.10 to 0.30)"]
        assert rows["tilting"] == ["0.20 (0.20 to 0.20) [2]"]
        assert rows["linear"] == ["0.10 (0.10 to 0.10) [2, 1 failed]"]
        assert rows["additive VAE"] == ["–"]
        assert rows["worlds"] == ["3"]
        assert rivals.nearest({"pdae": [0.3], "linear": [0.1], "ceiling": [0.0]}) == "linear"

    def test_settings_are_ranked_by_the_mean_logarithm(self):
        results = {"noisy": {"a 1": [0.1], "a 2": [-1.0]}, "counts": {"a 1": [0.1], "a 2": [0.01]}}
        ranked = {name: mean for name, *_, mean in rivals.tuning_rows(results)}
        assert ranked["a 1"] == pytest.approx(np.log(0.1))
        assert ranked["a 2"] == pytest.approx((np.log(1e-3) + np.log(1e-2)) / 2)

    def test_latents_that_labels_explain_are_moved_by_them(self):
        """Cells that are their latents: arithmetic needs no more, and a penalty on what labels leave out is none."""
        rng, shifts = np.random.default_rng(0), np.array([[0, 0], [2, 0], [0, 2]])
        x = rng.normal(size=(900, 2)) + shifts.repeat(300, axis=0)
        data = PerturbationData.from_arrays(x, np.repeat(["ctrl", "A", "B"], 300))
        fit = LatentArithmetic(2, steps=300, cells=64, width=32).fit(data)
        moved = fit.sample("A+B", 2000, rng=0).mean(0)
        assert np.abs(moved - [2, 2]).max() < 0.5
        assert np.abs(fit.sample("A", 2000, rng=0).mean(0) - [2, 0]).max() < 0.5
        again = LatentArithmetic(2, steps=300, cells=64, width=32).fit(data)
        assert np.array_equal(fit.sample("A+B", 50, rng=1), again.sample("A+B", 50, rng=1))


SMALL = {"design.cells": 40, "design.test_cells": 40}


@pytest.fixture(scope="module")
def screen(tmp_path_factory):
    path = tmp_path_factory.mktemp("scale") / "small.h5ad"
    world("norman-like", ("design.total=3000", "mixing.n_observed=110")).simulate().write(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", scale.RUNS)
def test_a_measurement_extrapolates_a_pass_from_its_steps(screen, name):
    result = scale.one(name, str(screen), 1)
    n_environments = len(Simulation.read(screen).data.train.conditions)
    for phase in PRESETS[scale.RUNS[name][0]].phases:
        batch = result["batch"][phase.name]
        assert batch == scale.cells_of_a_step(phase, n_environments)
        assert result["pass"][phase.name] == pytest.approx(result["step"][phase.name] * result["cells"] / batch)
    assert result["peak"] > 100
