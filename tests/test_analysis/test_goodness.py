"""Goodness of fit: exact for the true model, and each fault found by the part that is to blame."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from experiments.benchmarks.goodness import CONDITIONS, WRONG, Exact, fitted_and_judged, judged, simulator
from pdae_sim import PDAE, PerturbationData
from pdae_sim.analysis.hypothesis_tests.goodness import ALL_CONDITIONS, FitSamples, ModelPart, goodness_of_fit
from pdae_sim.analysis.hypothesis_tests.two_sample import energy_test
from pdae_sim.cli._app import run
from pdae_sim.errors import InputError
from pdae_sim.estimation.presets import DEFAULT, PRESETS
from pdae_sim.study.goodness import check_fit, fit_samples, refuse_cells_of_fit
from tests.test_analysis.planted import normal, outside_band

TRANSPORT, SHIFTS, BASE, DECODER = ModelPart


def samples(*, n=60, shift=0.0, seed=0, names=("ctrl", "A", "B")):
    """Cells of one normal law wherever a right model makes them so, those transported to A shifted."""
    draw = lambda part, moved=0.0: {  # noqa: E731
        c: normal(n, 1, seed=[seed, part, i], shift=moved * (c == "A")) for i, c in enumerate(names)
    }
    return FitSamples(draw(0, shift), draw(1), draw(2), {"ctrl": normal(n, 1, seed=[seed, 9])}, draw(3), draw(4))


@pytest.fixture(scope="module")
def shifted():
    return goodness_of_fit(samples(shift=2.0), rng=0)


class TestCore:
    def test_p_values_are_corrected_over_conditions_and_then_over_parts(self, shifted):
        found, tests = shifted, shifted.parts[TRANSPORT].tests
        least = 1 / (1 + 400 * 3)
        assert tests.p_values["A"] == pytest.approx(least)
        assert tests.holm["A"] == found.parts[TRANSPORT].p_value == pytest.approx(3 * least)
        assert found.holm[TRANSPORT] == pytest.approx(12 * least)
        assert found.faults(0.01) == (TRANSPORT,)
        assert found.faults() == (TRANSPORT,)
        assert found.parts[TRANSPORT].least == "A"
        assert "no part on its own" in found.in_words()

    def test_the_threshold_is_where_holms_method_stops(self, shifted):
        found = shifted
        assert found.threshold(TRANSPORT) == pytest.approx(0.05 / 4 / 2)  # after A, two conditions are left
        assert found.threshold(DECODER) == pytest.approx(0.05 / 3 / 3)
        for part in found.parts.values():
            rejected = [c for c, p in part.tests.p_values.items() if p <= found.threshold(part.name)]
            assert rejected == (["A"] if part.name == TRANSPORT else [])

    def test_many_conditions_have_permutations_enough_to_reject_one(self):
        names = tuple(f"c{i}" for i in range(12))
        found = goodness_of_fit(samples(n=12, names=names), n_resamples=19, rng=0)
        test = found.parts[TRANSPORT].tests.tests["c3"]
        assert 12 * 4 / (test.n_permutations + 1) <= 0.05

    def test_a_good_fit_may_be_told_apart_and_yet_be_worth_much(self):
        """A shift of 0.4 standard deviations is an energy distance of 0.0886: worth 12.7 cells, told apart by 500."""
        found = goodness_of_fit(samples(n=500, shift=0.4), cells=5, n_resamples=99, rng=0)
        assert found.faults() == (TRANSPORT,)
        assert found.is_worth_it()
        assert 12.7 in found.parts[TRANSPORT].worth["A"].interval
        assert "and worth more than 5 everywhere" in found.in_words()

    def test_a_bad_fit_is_not_worth_it(self):
        found = goodness_of_fit(samples(n=100, shift=1.0), cells=25, rng=0)
        assert not found.is_worth_it()
        assert "not shown to be worth more than 25" in found.in_words()

    @pytest.mark.parametrize(("means", "beyond"), [(0.0, "no other difference"), (1.0, "base latents differ")])
    def test_a_spread_that_changes_is_named(self, means, beyond):
        fit = samples(n=200)
        base = dict(fit.base) | {"A": 2.0 * fit.base["A"] + means}
        found = goodness_of_fit(replace(fit, base=base), rng=0)
        assert found.faults() == (SHIFTS,)
        assert "variance changes at A (to " in found.in_words()
        assert f"beyond that {beyond}" in found.in_words()
        assert found.spread["A"].p_value <= 0.05 < found.spread["B"].p_value

    def test_a_base_at_fault_is_told_with_its_least_and_greatest_variance(self):
        fit = samples(n=300)
        found = goodness_of_fit(replace(fit, reference={"ctrl": 3.0 * fit.reference["ctrl"]}), rng=0)
        assert found.faults() == (BASE,)
        told = replace(found, base_variances=np.array([0.25, 1.0, 9.0])).in_words()
        assert "variances 0.25 to 9, mean" in told

    def test_the_record_is_plain_json(self):
        found = goodness_of_fit(samples(n=20), n_resamples=19, rng=0).to_json()
        assert json.loads(json.dumps(found, allow_nan=False)) == found
        assert [(r["part"], r["condition"]) for r in found["rows"]][:5] == [
            *((TRANSPORT, c) for c in ("ctrl", "A", "B")), (SHIFTS, ALL_CONDITIONS), (SHIFTS, "ctrl"),
        ]  # fmt: skip

    def test_a_seed_decides_and_one_cell_on_both_sides_is_refused(self):
        first, second = (goodness_of_fit(samples(n=20), n_resamples=19, rng=1).to_json() for _ in range(2))
        assert first == second
        given = samples()
        leaking = replace(given, kept={**given.kept, "B": given.decoded["B"]})
        with pytest.raises(InputError, match=r"^decoder, B: x and y must not share cells"):
            goodness_of_fit(leaking)

    def test_conditions_must_agree(self):
        given = samples()
        with pytest.raises(InputError, match="same two or more conditions"):
            replace(given, kept={"A": given.kept["A"]})


@pytest.mark.statistical
class TestFaults:
    """Each fault in one world, against the truth there; `experiments.benchmarks.goodness` counts over many."""

    @pytest.mark.parametrize(
        ("wrong", "guilty", "innocent"),
        [
            ("nothing", (), tuple(ModelPart)),
            ("Ŵ turned by 40°", (SHIFTS, TRANSPORT), (BASE, DECODER)),
            ("effect of B times 1.5", (SHIFTS,), (BASE, DECODER)),
            ("one latent less", (DECODER, TRANSPORT), (SHIFTS, BASE)),
            ("one latent more", (BASE,), (DECODER,)),
            ("affine map only (1.5)", (BASE,), (TRANSPORT, SHIFTS, DECODER)),
            ("decoder squeezed by 0.5", (DECODER, TRANSPORT), (SHIFTS, BASE)),
        ],
    )
    def test_the_part_to_blame_is_named(self, wrong, guilty, innocent):
        found = judged(WRONG[wrong], 0, 250)
        assert set(guilty) <= set(found.faults())
        assert not set(innocent) & set(found.faults())

    def test_from_its_own_cells_a_wrong_matrix_would_pass(self):
        """Defect 1 of the published check, beside the parts that see it."""
        sim, W = simulator(1), Exact(simulator(1)).true_matrix
        fresh = sim.sample(CONDITIONS, 300, rng=5).data
        wrong = Exact(sim, matrix=-W)
        own = {
            c: (wrong.transport(fresh.samples(e)[:150], c, c), fresh.samples(e)[150:]) for e, c in enumerate(CONDITIONS)
        }
        assert min(energy_test(*pair, n_permutations=199, rng=0).p_value for pair in own.values()) > 0.05
        assert {TRANSPORT, SHIFTS} <= set(check_fit(wrong, fresh, n_resamples=199).faults())

    @pytest.mark.slow
    def test_the_true_model_is_seldom_at_fault(self):
        found = [judged(Exact, seed, 20) for seed in range(200)]
        for part in ModelPart:
            p = [next(iter(g.parts[part].tests.p_values.values())) for g in found]
            assert not outside_band(p), part
        assert sum(bool(g.faults()) for g in found) <= stats.binom.ppf(0.995, 200, 0.05)


class TestSamples:
    def test_sources_are_other_conditions_in_equal_numbers_and_halves_are_disjoint(self):
        sim = simulator(0)
        fresh = sim.sample(CONDITIONS, [60, 80, 100], rng=0).data
        found = fit_samples(Exact(sim), fresh, max_cells=40, rng=0)
        rows = {c: {tuple(r) for r in fresh.samples(e)} for e, c in enumerate(CONDITIONS)}
        for c in CONDITIONS:
            assert found.transported[c].shape == (40, 5)
            assert {tuple(r) for r in found.observed[c]} <= rows[c]
            back = {tuple(np.round(r, 6)) for r in found.decoded[c]}
            assert back <= {tuple(np.round(r, 6)) for r in rows[c]}
            assert not back & {tuple(np.round(r, 6)) for r in found.kept[c]}
        assert list(found.reference) == ["ctrl"]

    def test_without_a_control_all_base_latents_are_the_reference(self):
        sim = simulator(0)
        found = fit_samples(Exact(sim), sim.sample(["A", "B"], 50, rng=0).data, max_cells=30, rng=0)
        assert list(found.reference) == [ALL_CONDITIONS]
        assert len(found.reference[ALL_CONDITIONS]) <= 30

    def test_too_little_is_refused(self):
        sim = simulator(0)
        with pytest.raises(InputError, match="two conditions or more"):
            check_fit(Exact(sim), sim.sample(["A"], 50, rng=0).data)
        with pytest.raises(InputError, match="8 cells of every condition or more; 'B' has 7"):
            check_fit(Exact(sim), sim.sample(CONDITIONS, [9, 9, 7], rng=0).data)


@pytest.fixture(scope="module")
def fitted(simulation):
    return PDAE(2, phases=DEFAULT.shortened(2).phases).fit(simulation.data)


def fresh_cells(simulation, seed=7):
    from pdae_sim.simulation.simulator import Simulator

    labels = simulation.data.train.labels
    return Simulator.from_state(simulation.simulator).sample(labels, 80, rng=seed).data


class TestCellsOfTheFit:
    def test_a_model_knows_the_cells_it_was_fitted_on(self, fitted, simulation):
        with pytest.raises(InputError, match="240 of its 240 cells were fitted on"):
            refuse_cells_of_fit(fitted, simulation.data.train)

    def test_ten_among_fresh_ones_are_enough(self, fitted, simulation):
        fresh, train = fresh_cells(simulation), simulation.data.train
        x = np.where((np.arange(240) % 80 < 4)[:, None], train.x, fresh.x)
        with pytest.raises(InputError, match="12 of its 240"):
            refuse_cells_of_fit(fitted, replace(fresh, x=x))

    def test_fresh_cells_pass_and_are_judged(self, fitted, simulation):
        found = check_fit(fitted, fresh_cells(simulation), n_resamples=99)
        assert found.faults()  # two steps a phase are no fit

    def test_the_data_of_the_fit_show_it_for_any_model(self, simulation):
        from pdae_sim.simulation.simulator import Simulator

        exact = Exact(Simulator.from_state(simulation.simulator))
        check_fit(exact, fresh_cells(simulation), fitted_on=simulation.data, n_resamples=19)
        with pytest.raises(InputError, match="cells of the fit"):
            check_fit(exact, simulation.data.train, fitted_on=simulation.data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, simulation, fitted):
    where = tmp_path_factory.mktemp("goodness")
    simulation.write(where / "d.h5ad")
    fresh_cells(simulation).write(where / "fresh.h5ad")
    simulation.data.write(where / "measured.h5ad")
    fitted.save(where / "m")
    return where


class TestCommand:
    def answer(self, capsys, *words):
        status = run([*map(str, words), "--json", "--quiet"])
        out, err = capsys.readouterr()
        return status, (json.loads(out) if out else None), err

    def test_the_record_stands_beside_the_rows(self, folder, capsys):
        words = ("evaluate", folder / "m", folder / "d.h5ad", "--goodness", "--cells", folder / "fresh.h5ad")
        status, found, _ = self.answer(capsys, *words, "--figure", folder / "f.png")
        assert status == 0
        assert {r["metric"] for r in found["rows"]} >= {"energy_distance", "n_eff"}
        assert {r["part"] for r in found["goodness"]["rows"]} == set(ModelPart)
        assert (folder / "f.png").read_bytes()[:4] == b"\x89PNG"
        status, _, err = self.answer(capsys, *words, "--figure", folder / "f.png")
        assert (status, "--force" in err) == (2, True)

    def test_a_simulated_file_gives_fresh_cells_itself(self, folder, capsys, monkeypatch):
        import importlib

        module = importlib.import_module("pdae_sim.cli._commands.evaluate")
        monkeypatch.setattr(module, "_FRESH", 40)
        status, found, _ = self.answer(capsys, "evaluate", folder / "m", folder / "d.h5ad", "--goodness")
        assert (status, len(found["goodness"]["base_mean"])) == (0, 2)

    def test_people_see_intervals_and_words(self, folder, capsys):
        words = ("evaluate", folder / "m", folder / "d.h5ad", "--goodness", "--cells", folder / "fresh.h5ad", "--quiet")
        assert run([*map(str, words)]) == 0
        out = capsys.readouterr().out
        assert "[" in out
        assert "told apart from the truth" in out

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["d.h5ad", "--goodness", "--cells", "d.h5ad"], "cells of the fit"),
            (["d.h5ad", "--cells", "fresh.h5ad"], "give both"),
            (["d.h5ad", "--figure", "f.txt"], "must end in .png"),
        ],
    )
    def test_bad_use_is_one_line(self, folder, capsys, words, message):
        words = [str(folder / word) if "." in word else word for word in words]
        status, _, err = self.answer(capsys, "evaluate", folder / "m", *words)
        assert status == 2
        assert message in err


@pytest.mark.slow
class TestFitted:
    def test_a_fit_of_the_right_dimension_is_worth_cells_and_one_latent_less_is_not(self):
        right, short = (fitted_and_judged(PDAE(d), 0) for d in (2, 1))
        assert right.is_worth_it()
        assert DECODER in short.faults()
        assert not short.is_worth_it()

    def test_a_decoder_hardly_trained_is_found(self):
        phases = (replace(PRESETS["represent"].phases[0], steps=800), replace(DEFAULT.phases[-1], steps=30))
        found = fitted_and_judged(PDAE(2, architecture=PRESETS["represent"].architecture, phases=phases), 0)
        assert {DECODER, TRANSPORT} <= set(found.faults())


def test_data_of_counts_with_repeated_rows_are_not_mistaken_for_cells_of_the_fit(fitted):
    """Equal rows are ties there: nothing can be told."""
    x = np.zeros((20, 5))
    data = PerturbationData(x, np.array([[0.0, 0, 0], [1.0, 0, 0]]), np.repeat([0, 1], 10), ("A", "B", "C"))
    refuse_cells_of_fit(fitted, data)
