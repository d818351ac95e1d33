"""The product formula of claim 2.7(b): calibrated where effects add, rejected where they do not."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from experiments.benchmarks.calibration import SPARSE_SQUARES
from pdae_sim.analysis._constrained_logistic import _columns, _derivatives, _free, _objective, efficient_scores
from pdae_sim.analysis.hypothesis_tests.additivity import additivity_test, additivity_tests
from pdae_sim.analysis.hypothesis_tests.relations import additive_relations
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.simulation.worlds import world

TABLE = Path(__file__).parents[3] / "shared" / "data" / "sachs2005_flow_cytometry.csv"
SQUARE = ("ctrl", "A", "B", "A+B")
W = np.array([1.0, -1.0, -1.0, 1.0])
LEVELS = (0.01, 0.05, 0.1)


def drawn(name, seed, n=300, *, conditions=SQUARE, overrides=()):
    return world(name, overrides, seed=seed).simulator().sample(conditions, n, rng=seed + 10_000).data


def p_values(name, seeds, n=300, *, overrides=()):
    return np.array(
        [
            additivity_test(drawn(name, s, n, overrides=overrides), "A+B", n_multipliers=199, rng=s).p_value
            for s in seeds
        ]
    )


def assert_calibrated(p):
    """Rejections at each level within the exact binomial 99 % band."""
    for level in LEVELS:
        low, high = stats.binom.interval(0.99, len(p), level)
        assert low <= (p <= level + 1e-12).sum() <= high, level


@pytest.mark.statistical
class TestCalibration:
    def test_type_one_error_in_30_honest_worlds(self):
        assert_calibrated(p_values("three-singles", range(30), 150))

    @pytest.mark.slow
    @pytest.mark.parametrize(("name", "n", "worlds"), [("three-singles", 300, 1000), ("two-latents", 1000, 300)])
    def test_type_one_error_in_many_honest_worlds(self, name, n, worlds):
        assert_calibrated(p_values(name, range(worlds), n))

    @pytest.mark.slow
    def test_more_folds_calibrate_many_sparse_genes(self):
        """22 genes with means 0.005 to 1, 150 cells a condition: 8.2 % of these worlds at 5 % with 3 folds."""
        draw = SPARSE_SQUARES["22 genes, Poisson means 0.005 to 1"]
        streams = [np.random.default_rng([7, seed]) for seed in range(500)]
        p = [additivity_test(draw(rng), "A+B", n_multipliers=199, n_folds=8, rng=rng).p_value for rng in streams]
        for level in LEVELS:
            assert (np.array(p) <= level + 1e-12).sum() <= stats.binom.ppf(0.995, len(p), level), level

    def test_power_grows_with_the_strength_of_epistasis(self):
        rejected = [
            (p_values("epistatic", range(8), overrides=(f"latent.departures.epistasis={s}",)) <= 0.05).mean()
            for s in (0.0, 0.75)
        ]
        assert rejected[0] <= 0.2 < 0.8 < rejected[1]

    def test_doses_and_other_coefficients(self):
        """A:2 against A² / ctrl, which saturation breaks and addition keeps."""
        honest = drawn("two-latents", 0, 500, conditions=("ctrl", "A", "A:2"))
        saturating = drawn("saturating", 0, 500, conditions=("ctrl", "A", "A:2"))
        found = additivity_test(honest, "A:2", rng=0)
        assert found.weights.tolist() == [1.0, -2.0, 1.0]
        assert found.p_value > 0.05
        broken = additivity_test(saturating, "A:2", rng=0)
        assert broken.p_value <= 0.01
        assert broken.statistic >= max(broken.null_quantiles.values()) > found.statistic


class TestScore:
    """R from the true densities: mean zero at the truth, of second order in the error of the ratios."""

    @staticmethod
    def true_logits(seed=0, n=4000):
        sampled = world("two-latents", seed=seed).simulator()
        data = sampled.sample(SQUARE, n, rng=seed).data
        x = data.x.astype(float)
        return data, np.column_stack([sampled.log_density(x, c) for c in SQUARE])

    @pytest.mark.statistical
    def test_its_mean_is_zero_and_its_variance_v(self):
        data, eta = self.true_logits()
        R, v = efficient_scores(eta, data.environment, W)
        assert abs(R.mean()) < 4 * R.std() / math.sqrt(len(R))
        assert (R**2).mean() == pytest.approx(v.mean(), rel=0.05)
        assert np.abs(R).max() <= 1.0

    @pytest.mark.statistical
    def test_an_error_in_one_ratio_leaves_it_and_in_the_target_does_not(self):
        """Wrong by sin(x) in A, under the formula also in A+B: exactly harmless. In A+B alone: not."""
        data, eta = self.true_logits()
        wrong = np.sin(data.x[:, 0] * 2)
        in_one = eta + np.outer(wrong, [0, 1, 0, 1])
        in_target = eta + np.outer(wrong, [0, 0, 0, 1])
        z = {}
        for name, logits in (("one", in_one), ("target", in_target)):
            R, v = efficient_scores(logits, data.environment, W)
            phi = wrong - v @ wrong / v.sum()
            z[name] = abs(R @ phi) / math.sqrt(R**2 @ phi**2)
        assert z["one"] < 3 < 8 < z["target"]

    def test_derivatives_against_differences(self):
        rng = np.random.default_rng(0)
        B, environment, U = (
            rng.normal(size=(30, 3)),
            rng.integers(0, 5, 30),
            _free(np.array([0.5, -1.0, -1.5, 1.0, 1.0])),
        )
        ridge, t = np.full(13, 0.1), rng.normal(size=13)
        gradient, hessian = _derivatives(_columns(B, U), B, environment, U, ridge, t)
        steps = 1e-5 * np.eye(13)
        slope = [
            (_objective(B, environment, U, ridge, t + s) - _objective(B, environment, U, ridge, t - s)) / 2e-5
            for s in steps
        ]
        bend = [(_derivatives(_columns(B, U), B, environment, U, ridge, t + s)[0] - gradient) / 1e-5 for s in steps]
        assert np.allclose(gradient, slope, atol=1e-8)
        assert np.allclose(hessian, bend, atol=1e-4)

    def test_the_fitted_logits_obey_the_formula(self):
        w = np.array([0.5, -1.0, -1.5, 1.0, 1.0])
        functions = _free(w)[:3]
        assert np.allclose(functions @ w, 0)


@pytest.fixture(scope="module")
def found():
    return additivity_test(drawn("epistatic", 1, 500), "A+B", rng=0)


@pytest.fixture(scope="module")
def proteins():
    table = pd.read_csv(TABLE)
    x = np.log(table.drop(columns="condition").to_numpy())
    return PerturbationData.from_arrays(x, table["condition"].to_numpy(), features=tuple(table.columns[1:]))


class TestRecord:
    def test_its_evidence_adds_up(self, found):
        assert found.conditions == ("ctrl", "A", "B", "A+B")
        assert found.weights.tolist() == W.tolist()
        assert found.p_value <= 0.01
        assert 0 < found.effective_cells < found.counts.sum() == 2000
        assert found.cross_entropy < found.prior_entropy == pytest.approx(math.log(4))
        assert found.observed_counts.sum(0).tolist() == found.counts.tolist()
        assert found.expected_counts.sum(1) == pytest.approx(found.observed_counts.sum(1))

    def test_the_slope_points_to_the_interaction(self, found):
        """Its sign is that of the true log ratio of the double to the product, along the column it names."""
        sim = world("epistatic", seed=1).simulator()
        data = sim.sample(SQUARE, 500, rng=10_001).data
        x = data.x.astype(float)
        truth = sum(w * sim.log_density(x, c) for w, c in zip(W, SQUARE, strict=True))
        column = data.features.index(found.feature)
        assert np.sign(found.slopes[column]) == np.sign(np.cov(truth, x[:, column])[0, 1])

    def test_its_words(self, found):
        said = found.in_words()
        assert said.startswith("A+B against A · B / ctrl: p = 0.00")
        assert "the product formula fails, most along" in said
        assert "no departure" in replace(found, p_value=0.5).in_words()
        assert "too little overlap" in replace(found, effective_cells=5.0).in_words()

    def test_seeds_reproduce_and_the_order_of_environments_does_not_matter(self, found):
        data = drawn("epistatic", 1, 500)
        assert additivity_test(data, "A+B", rng=0).p_value == found.p_value
        turned = additivity_test(data.select([3, 1, 0, 2]), "B+A", rng=0)
        assert set(turned.conditions) == set(SQUARE)
        assert turned.effective_cells == pytest.approx(found.effective_cells, rel=0.1)
        assert turned.p_value <= 0.01


class TestRelations:
    LABELS = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [2, 0]], dtype=float)

    def data(self, labels=LABELS, n=12):
        x = np.random.default_rng(0).normal(size=(n * len(labels), 2))
        return PerturbationData(x, labels, np.repeat(np.arange(len(labels)), n), ("A", "B"))

    def test_every_dependence_is_found_once_with_the_fewest_parts(self):
        assert additive_relations(self.data()) == {"A": {"A:2": 0.5}, "A+B": {"A": 1.0, "B": 1.0}}
        assert additive_relations(self.data(self.LABELS[:3])) == {}

    def test_doses_are_tested_between_their_neighbours_and_combinations_against_parts_at_their_doses(self):
        doses = np.array([[0, 0], [2, 0], [10, 0], [50, 0], [350, 0], [0, 1], [50, 1]], dtype=float)
        assert additive_relations(self.data(doses)) == {
            "A:2": {"A:10": pytest.approx(0.2)},
            "A:10": {"A:2": pytest.approx(5 / 6), "A:50": pytest.approx(1 / 6)},
            "A:50": {"A:10": pytest.approx(300 / 340), "A:350": pytest.approx(40 / 340)},
            "A:50+B": {"A:50": 1.0, "B": 1.0},
        }
        last = additivity_test(self.data(doses), "A:350", n_multipliers=19, rng=0)
        assert set(last.conditions) == {"A:10", "A:50", "A:350"}
        assert last.of_doses
        assert not additivity_test(self.data(doses), "A:50+B", n_multipliers=19, rng=0).of_doses

    def test_combinations_at_several_doses_are_tested_against_their_parts(self):
        labels = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [2, 0], [0, 2], [2, 2]], dtype=float)
        found = additive_relations(self.data(labels))
        assert found == {
            "A": {"A:2": 0.5},
            "B": {"B:2": 0.5},
            "A+B": {"A": 1.0, "B": 1.0},
            "A:2+B:2": {"A:2": 1.0, "B:2": 1.0},
        }

    def test_all_are_tested_and_corrected(self):
        found = additivity_tests(self.data(n=40), n_multipliers=99, rng=0)
        assert set(found.tests) == set(found.p_values) == {"A", "A+B"}
        alone = additivity_test(self.data(n=40), "A", n_multipliers=99, rng=0)
        assert alone.conditions == found.tests["A"].conditions

    def test_a_single_is_tested_against_what_contains_it(self):
        found = additivity_test(self.data(self.LABELS[:4], n=40), "A", n_multipliers=19, rng=0)
        assert dict(zip(found.conditions, found.weights, strict=True)) == {"ctrl": -1, "B": 1, "A+B": -1, "A": 1}

    @pytest.mark.parametrize(
        ("target", "settings", "message"),
        [
            ("ctrl", {}, "target must be a combination; received the reference 'ctrl'"),
            ("B", {}, "'B' must be a combination of other measured conditions; it is not"),
            ("A:3", {}, "condition 'A:3' must be measured; did you mean 'A:2'"),
            ("A:2", {"coefficients": {"A": 1.0}}, "coefficients must combine other conditions' shifts"),
            ("A:2", {"coefficients": {"A:2": 1.0}}, "coefficients must combine other conditions' shifts"),
            ("A:2", {"n_folds": 13}, "must have at least 13 cells; it has 12"),
            ("A:2", {"n_multipliers": 3}, "n_multipliers must be a whole number"),
        ],
    )
    def test_bad_input(self, target, settings, message):
        with pytest.raises(InputError, match=message):
            additivity_test(self.data(self.LABELS[[0, 1, 2, 4]]), target, **settings)

    def test_independent_labels_cannot_be_tested(self):
        with pytest.raises(InputError, match="measure a combination and its parts"):
            additivity_tests(self.data(self.LABELS[:3]))


@pytest.mark.skipif(not TABLE.is_file(), reason=f"{TABLE.name} is not beside the repository")
class TestProteins:
    """Eleven proteins, log scale: what the test says of the three doubles, and of a placebo made of the same cells."""

    @pytest.mark.statistical
    def test_two_doubles_fail_and_for_the_third_there_is_no_overlap(self, proteins):
        found = additivity_tests(proteins, rng=0)
        words = {target: test.in_words().split("; ")[1] for target, test in found.tests.items()}
        assert set(words) == {"AKTinh+ICAM2", "ICAM2+U0126", "G0076+ICAM2"}
        assert set(found.rejected(0.01)) >= {"AKTinh+ICAM2", "ICAM2+U0126"}
        assert words["G0076+ICAM2"] == "too little overlap to tell"
        assert found.tests["G0076+ICAM2"].effective_cells < 20

    @pytest.mark.slow
    @pytest.mark.statistical
    def test_a_placebo_passes(self, proteins):
        """Halves of ctrl as ctrl and B, halves of a drug's cells as A and A+B: the formula holds, in these laws."""
        p = np.array(
            [
                additivity_test(self.placebo(proteins, "ICAM2", seed), "A+B", n_multipliers=199, rng=seed).p_value
                for seed in range(10)
            ]
        )
        assert (p <= 0.1).sum() <= stats.binom.ppf(0.995, 10, 0.1)

    @staticmethod
    def placebo(data, drug, seed):
        rng = np.random.default_rng(seed)
        rows = [rng.permutation(data.rows_by_environment[data.conditions.index(c)]) for c in ("ctrl", drug)]
        parts = [rows[0][::2], rows[1][::2], rows[0][1::2], rows[1][1::2]]
        labels = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=float)
        environment = np.repeat(np.arange(4), [len(part) for part in parts])
        return PerturbationData(data.x[np.concatenate(parts)], labels, environment, ("A", "B"))


def test_many_features_are_fitted_in_the_span_of_the_cells(monkeypatch):
    """A ridge fit to 60 cells of 200 features is the same in 60 coordinates: every number of the test agrees."""
    labels, environment = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=float), np.repeat(np.arange(4), 20)
    x = np.random.default_rng(0).normal(size=(80, 200)) + np.pad(labels, ((0, 0), (0, 198)))[environment]
    data = PerturbationData(x, labels, environment, ("A", "B"))
    narrow = additivity_test(data, "A+B", n_multipliers=99, rng=0)
    monkeypatch.setattr("pdae_sim.analysis._constrained_logistic._rotated", lambda columns, at_seen: columns)
    wide = additivity_test(data, "A+B", n_multipliers=99, rng=0)
    assert (narrow.p_value, narrow.penalty) == (wide.p_value, wide.penalty)
    assert narrow.cross_entropy == pytest.approx(wide.cross_entropy, rel=1e-6)
    assert narrow.effective_cells == pytest.approx(wide.effective_cells, rel=1e-6)


@pytest.mark.parametrize(
    "x", [np.zeros((400, 3)), np.full((400, 3), 7.0), 1e-170 * np.random.default_rng(0).normal(size=(400, 3))]
)
def test_cells_that_do_not_vary_tell_nothing(x):
    data = PerturbationData.from_arrays(x, np.repeat(["ctrl", "A", "B", "A+B"], 100))
    with pytest.raises(InputError, match="all alike to rounding; nothing can be tested"):
        additivity_test(data, "A+B", rng=0)
    assert "all alike" in additivity_tests(data, rng=0).skipped["A+B"]
