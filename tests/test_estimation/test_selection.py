"""How a model predicts, chosen on training combinations that are left out."""

from __future__ import annotations

import numpy as np
import pytest

from pdae_sim import PDAE, PerturbationData, energy_distance
from pdae_sim.estimation import _selection as selection
from pdae_sim.estimation._selection import Selection, left_out, nearest
from tests.test_cli.calls import ran

NAMES = ("ctrl", "A", "B", "C", "A+B", "A+C", "B+C")


def data_of(conditions=NAMES, n: int = 60, spread: float = 0.0, seed: int = 0) -> PerturbationData:
    """Shifts of three features; A, B and C may stretch theirs as well, which no shift of latents can."""
    rng, blocks = np.random.default_rng(seed), []
    for name in conditions:
        has = np.array([part in name.split("+") for part in "ABC"], float)
        blocks.append(rng.normal(size=(n, 3)) * (1 + spread * has) + 2 * has)
    return PerturbationData.from_arrays(np.concatenate(blocks), np.repeat(conditions, n))


class TestLeftOut:
    def test_every_combination_is_in_one_fold_that_the_rest_identifies(self):
        data = data_of()
        folds = left_out(data)
        assert sorted(e for fold in folds for e in fold) == [4, 5, 6]

    def test_a_combination_that_alone_tells_of_a_perturbation_stays(self):
        data = data_of(("ctrl", "A", "B", "A+B", "A+C"))
        assert [data.conditions[e] for fold in left_out(data) for e in fold] == ["A+B"]

    def test_singles_are_never_left_out(self):
        assert not left_out(data_of(("ctrl", "A", "B", "C")))


class TestNearest:
    DEFAULT = (0.30, 0.20, 0.40)

    def test_a_clear_winner_is_taken(self):
        assert nearest({"model": self.DEFAULT, "near": (0.10, 0.11, 0.12)}, "model") == "near"

    def test_a_winner_within_the_standard_error_is_not(self):
        assert nearest({"model": self.DEFAULT, "near": (0.10, 0.29, 0.45)}, "model") == "model"


def fitted(**settings) -> PDAE:
    return PDAE(1, observation="gaussian_by_feature", steps=40, **settings).fit(data_of(spread=3.0))


@pytest.fixture(scope="module")
def chosen() -> PDAE:
    return fitted()


class TestSelection:
    def test_too_few_combinations_choose_nothing(self):
        model = PDAE(1, observation="gaussian", steps=2).fit(data_of(("ctrl", "A", "B", "C", "A+B")))
        assert model.selection_ is None
        assert model.source_ in ("model+tilting", "near+tilting")

    def test_one_that_is_told_not_to_chooses_nothing(self):
        assert fitted(select=False).selection_ is None

    def test_cells_whose_spread_changes_are_composed(self, chosen):
        """One latent cannot hold three effects; the cells of the parts can."""
        assert chosen.selection_.chosen == chosen.source_
        assert chosen.source_ in ("additive_parts", "linear_near", "transport_parts")
        fresh = data_of(("ctrl", "A+B"), n=1000, spread=3.0, seed=9).samples(1)
        ours, models = (energy_distance(chosen.sample("A+B", 1000, rng=0, source=s), fresh) for s in (None, "model"))
        assert ours < models

    def test_what_was_chosen_is_saved_with_the_cells_it_needs(self, chosen, tmp_path):
        chosen.save(tmp_path / "model")
        loaded = PDAE.load(tmp_path / "model")
        assert loaded.selection_ == chosen.selection_
        np.testing.assert_array_equal(loaded.sample("A+C", 50, rng=1), chosen.sample("A+C", 50, rng=1))

    def test_limits_hold_for_one_more_of_the_kind(self):
        rng, held = np.random.default_rng(0), 0
        for _ in range(400):
            logs = rng.normal(size=6)
            found = Selection("near", tuple("abcde"), {"near": tuple(np.exp(logs[:5]))})
            held += np.exp(logs[5]) <= found.upper_limit()
        assert 0.92 <= held / 400 <= 0.98

    def test_one_distance_near_zero_does_not_make_the_limit_endless(self):
        found = Selection("near", ("A+B", "A+C", "B+C", "A+D"), {"near": (-1e-3, 0.02, 0.02, 0.03)})
        assert 0.03 < found.upper_limit() < 0.5
        assert "at one more below" in found.in_words()
        few = Selection("near", ("A+B", "A+C"), {"near": (0.001, 0.03)})
        assert few.in_words().endswith("at one more 2 are too few to tell")

    def test_effects_that_oppose_each_other_are_told_before_a_test_cell_is_seen(self, tmp_path, capsys):
        rng = np.random.default_rng(0)
        means = {"ctrl": (0, 0), "A": (3, 0), "B": (0, 3), "C": (-3, 0), "A+B": (0, 0), "A+C": (0, 3), "B+C": (0, 0)}
        x = np.concatenate([rng.normal(mean, 1.0, (60, 2)) for mean in means.values()])
        model = PDAE(1, observation="gaussian_by_feature", steps=2).fit(
            PerturbationData.from_arrays(x, np.repeat(list(means), 60))
        )
        assert "so that no prediction is to be relied on" in model.selection_.in_words()
        assert model.source_ != "pooled_cells"
        model.save(tmp_path / "m")
        _, out, _ = ran(capsys, "predict", tmp_path / "m", "--condition", "A+B", "--out", tmp_path / "p.h5ad")
        assert "not to be relied on" in out

    def test_a_fit_is_the_same_whatever_was_judged_before(self):
        first, second = fitted(), fitted(select=False)
        np.testing.assert_array_equal(first.perturbation_matrix_, second.perturbation_matrix_)

    def test_shorter_fits_know_what_the_fit_has_found(self, chosen):
        shorter = selection._shorter(chosen)
        assert (shorter.n_latents, shorter.observation, shorter.select) == (1, "gaussian_by_feature", False)
        assert sum(phase.steps for phase in shorter.phases) == 13

    def test_names_of_another_grammar_are_saved_too(self, tmp_path):
        data = data_of(spread=3.0)
        renamed = {"A": "CD3+CD28", "B": "chr8:1", "C": "C"}
        conditions = [
            " | ".join(renamed[p] for p in name.split("+")) if name != "ctrl" else "DMSO" for name in data.conditions
        ]
        grammar = {"control": "DMSO", "read_as": {"separator": " | ", "dose_separator": "@"}}
        told = PerturbationData.from_arrays(data.x, np.array(conditions)[data.environment], **grammar)
        model = PDAE(1, observation="gaussian_by_feature", steps=40).fit(told)
        model.save(tmp_path / "model")
        drawn = PDAE.load(tmp_path / "model").sample("CD3+CD28 | chr8:1", 5, rng=0)
        np.testing.assert_array_equal(drawn, model.sample("CD3+CD28 | chr8:1", 5, rng=0))
