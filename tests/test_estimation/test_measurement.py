"""Units of a measurement: counts recovered from their transforms exactly, tables that are none refused, round trips."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdae_sim import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation._measurement import (
    CountUnits,
    StandardUnits,
    is_centred,
    recognise_counts,
    share_of_zeros,
    standardised,
)
from pdae_sim.estimation._scaling import Scaling

TARGET = 1e4


def counts_of(seed: int, depth: float, least: int = 1) -> np.ndarray:
    """Cells of ten genes at some depth, among them one of zeros, one of one molecule, one whose least count is `least`.

    No other has a common divisor: what cannot be told is how many molecules a cell of 2, 4 and 6 has.
    """
    rng = np.random.default_rng(seed)
    counts = rng.poisson(depth * rng.gamma(2.0, 0.5, (40, 1)) * rng.dirichlet(np.ones(10), 40))
    counts[:, 0] = 1
    counts[0], counts[1], counts[2] = 0, 0, 0
    counts[1, 3], counts[2, 4:7] = 1, (least, least + 1, 3 * least + 1)
    return counts.astype(float)


def log_normalised(counts: np.ndarray) -> np.ndarray:
    total = counts.sum(1, keepdims=True)
    return np.log1p(counts * (TARGET / np.where(total == 0, 1.0, total)))


def stored(x: np.ndarray, how: str) -> np.ndarray:
    return np.round(x, 4) if how == "4 decimals" else x.astype(how)


cells = st.builds(counts_of, st.integers(0, 2**32 - 1), st.floats(5.0, 60.0), st.integers(1, 6))
storage = st.sampled_from(["float32", "float64", "4 decimals"])


class TestCounts:
    def recovered(self, x: np.ndarray, transform: str) -> np.ndarray:
        units = recognise_counts(x)
        assert units is not None
        assert units.transform == transform
        return units.forward(x)

    @given(cells, storage)
    def test_whole_numbers_are_counts(self, counts, how):
        assert np.array_equal(self.recovered(stored(counts, how), "counts"), counts)

    @given(cells, storage)
    def test_log1p_is_undone(self, counts, how):
        assert np.array_equal(self.recovered(stored(np.log1p(counts), how), "log1p"), counts)

    @given(cells, storage)
    def test_log_normalisation_is_undone(self, counts, how):
        x = stored(log_normalised(counts), how)
        assert np.array_equal(self.recovered(x, "log_normalise"), counts)
        assert recognise_counts(x).target == pytest.approx(TARGET, rel=1e-3)

    @given(cells, storage)
    def test_features_may_be_left_out_after_log_normalisation(self, counts, how):
        x = stored(log_normalised(np.hstack([counts, counts[:, ::-1] + 5]))[:, :10], how)
        x[0] = 0.0
        assert np.array_equal(self.recovered(x, "log_scaled"), counts)

    @given(cells, storage, st.booleans())
    def test_what_was_measured_comes_back_in_the_units_of_the_table(self, counts, how, cut):
        wide = np.hstack([counts, counts[:, ::-1] + 5]) if cut else counts
        for x in (stored(table[:, :10], how) for table in (wide, np.log1p(wide), log_normalised(wide))):
            units = recognise_counts(x)
            back = units.inverse(units.forward(x), units.exposure(x))
            np.testing.assert_allclose(back, x, rtol=1e-3 if how == "4 decimals" else 1e-5, atol=1e-4)

    @given(cells)
    def test_totals_go_with_their_cells(self, counts):
        assert np.array_equal(CountUnits("log1p").exposure(np.log1p(counts))[:, 0], counts.sum(1))

    def test_single_molecules_are_counts(self):
        x = np.eye(5)[np.random.default_rng(0).integers(0, 5, 60)]
        assert np.array_equal(self.recovered(x, "counts"), x)

    @pytest.mark.parametrize("depth", [30.0, 3000.0])
    def test_counts_with_a_little_noise_are_none(self, depth):
        counts = counts_of(0, depth)
        for x in (counts, np.log1p(counts), log_normalised(counts)):
            noisy = x * (1 + 0.05 * np.random.default_rng(0).normal(size=x.shape))
            assert recognise_counts(noisy) is None

    @pytest.mark.parametrize(
        "x",
        [
            np.random.default_rng(0).normal(size=(60, 5)),
            np.random.default_rng(0).gamma(2.0, size=(60, 5)),
            np.random.default_rng(0).gamma(2.0, size=(60, 1)),
            np.random.default_rng(0).uniform(0, 0.04, (60, 5)),
            np.random.default_rng(0).dirichlet(np.ones(100), 60),
            np.random.default_rng(0).poisson(3.0, (60, 5)) + 0.01,
            np.random.default_rng(0).poisson(3.0, (60, 5)) - 1.0,
            np.random.default_rng(0).gamma(2.0, size=(60, 5)) * np.eye(5)[np.arange(60) % 5],
            np.log1p(np.random.default_rng(0).gamma(2.0, size=(60, 5))),
            np.zeros((60, 5)),
            *(np.random.default_rng(0).normal(size=(60, 5)) + far for far in (42, 80, 300, 1000)),
            np.random.default_rng(0).normal(size=(60, 5)).round(2) + 300,
        ],
        ids=[
            "normal",
            "gamma",
            "one-feature",
            "small",
            "shares",
            "shifted",
            "negative",
            "one-positive",
            "log-gamma",
            "zeros",
            *("at 42", "at 80", "at 300", "at 1000"),
            "two decimals at 300",
        ],
    )
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_what_is_no_table_of_counts_is_not_taken_for_one(self, x, dtype):
        assert recognise_counts(x.astype(dtype)) is None

    def test_a_cell_that_is_none_is_refused_by_its_row(self):
        x = np.log1p(counts_of(0, 50.0))
        x[7, 0] = 0.9
        with pytest.raises(InputError, match=r"row 7 of those given\) that is no table of counts under 'log1p'"):
            CountUnits("log1p").forward(x)


class TestStandardUnits:
    DATA = PerturbationData.from_arrays(
        np.exp(np.random.default_rng(0).normal(size=(60, 4)) * [0.1, 1.0, 2.0, 0.0]), ["ctrl"] * 30 + ["A"] * 30
    )

    @pytest.mark.parametrize("transform", ["none", "log"])
    def test_cells_come_back(self, transform):
        units, x = standardised(self.DATA, transform), self.DATA.x
        measured = units.forward(x)
        np.testing.assert_allclose(measured.std(0), [1, 1, 1, 0], atol=1e-5)
        np.testing.assert_allclose(units.inverse(measured), x, rtol=1e-5, atol=1e-6)
        assert units.exposure(x).shape == (60, 0)

    def test_zeros_come_back_as_zeros(self):
        """Else a predicted table of an assay with dropout would hold none."""
        units = StandardUnits(Scaling(np.array([0.1, -3.3, 1e3]), np.array([0.7, 1e-3, 17.0])))
        x = np.array([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]])
        assert np.array_equal(units.inverse(units.forward(x)) == 0, x == 0)

    def test_logarithms_need_positive_values(self):
        with pytest.raises(InputError, match="x must be positive for log-normal noise; received 0"):
            standardised(self.DATA, "log").forward(np.zeros((1, 4)))


class TestTables:
    def test_centred_log_ratios_are_recognised(self):
        x = np.random.default_rng(0).normal(size=(50, 6))
        clr = x - x.mean(1, keepdims=True)
        assert is_centred(clr)
        assert is_centred(clr.astype(np.float32))
        assert not is_centred(x)
        assert not is_centred(np.vstack([clr, x[:1]]))  # one cell that is none
        assert not is_centred(clr[:, :5])

    def test_zeros_count_where_a_feature_has_other_values(self):
        x = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 2.0], [0.0, 0.0, 3.0], [0.0, 4.0, 1.0]])
        assert share_of_zeros(x) == pytest.approx((3 / 8, 1 / 4))
        assert share_of_zeros(np.zeros((4, 2))) == (0, 0)

    def test_rounded_values_are_zero_as_often_as_next_to_it(self):
        x = np.random.default_rng(0).normal(size=(4000, 3)).round(1)
        zeros, beside = share_of_zeros(x)
        assert zeros == pytest.approx(beside, rel=0.2)
        x[:800, 1] = 0
        assert share_of_zeros(x)[0] - zeros == pytest.approx(0.2 / 3, abs=0.01)
        assert share_of_zeros(x)[1] <= beside

    def test_of_features_without_zeros_no_value_is_beside(self):
        assert share_of_zeros(np.full((5, 2), 3.0)) == (0, 0)
