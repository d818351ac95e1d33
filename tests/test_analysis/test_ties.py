"""p-values where statistics tie, against all relabellings of small sparse samples in 40 digits."""

from __future__ import annotations

import itertools
import math
from functools import partial

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdae_sim.analysis._kernels import bandwidths, gaussian
from pdae_sim.analysis._permutation import (
    aggregated,
    centred,
    distances_between,
    merge_ties,
    quadratic_forms,
    relabellings,
    upper_p_value,
)
from pdae_sim.analysis.hypothesis_tests.additivity import additivity_test
from pdae_sim.analysis.hypothesis_tests.latent_law import (
    _dispersions,
    common_law_test,
    energy_to_normal,
    normal_law_test,
)
from pdae_sim.analysis.hypothesis_tests.two_sample import energy_test, mmd_test
from pdae_sim.analysis.prediction_error import energy_estimate
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError

SMALLEST_GAP = mpmath.mpf(10) ** -25  # of statistics that differ, in 40 digits


@st.composite
def sparse_rows(draw, n_rows):
    """Counts of few positive cells, of binary genes in 1 to 10 % of cells, or of Poisson means from 0.005 to 1."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    shape = (n_rows, draw(st.sampled_from([1, 2, 20])))
    kind = draw(st.sampled_from(["one cell", "two cells", "three cells", "binary", "poisson"]))
    if kind.endswith(("cell", "cells")):
        z = np.zeros(shape)
        cells = rng.permutation(n_rows)[: ["one", "two", "three"].index(kind.split()[0]) + 1]
        z[cells, rng.integers(0, shape[1], len(cells))] = rng.integers(1, 3, len(cells))
    elif kind == "binary":
        z = (rng.random(shape) < draw(st.floats(0.01, 0.1))).astype(float)
    else:
        z = rng.poisson(math.exp(draw(st.floats(math.log(0.005), 0.0))), shape).astype(float)
    if not z.any():
        z[rng.integers(n_rows), 0] = 1.0
    return z


def all_labellings(n, m):
    """(N, N over n) columns that are 1 at rows of the first sample, 0 elsewhere."""
    columns = np.zeros((n + m, math.comb(n + m, n)), dtype=np.int64)
    for b, rows in enumerate(itertools.combinations(range(n + m), n)):
        columns[list(rows), b] = 1
    return columns


def pair_counts(z, H):
    """Squared distances that occur, and for each the whole number hᵀ [‖z_i − z_j‖² equals it] h by column h."""
    squared = ((z[:, None] - z) ** 2).sum(-1).astype(np.int64)
    values = np.unique(squared)
    return values.tolist(), np.array([(H * ((squared == v) @ H)).sum(0) for v in values]).T


def exact_forms(z, H, kernel, resolution=SMALLEST_GAP):
    """Σ_ij h_i k(‖z_i − z_j‖²) h_j for whole numbers h, by column, in 40 digits; equal where they are equal."""
    values, counts = pair_counts(z, H)
    with mpmath.workdps(40):
        weights = [kernel(mpmath.mpf(v)) for v in values]
        forms = [mpmath.fdot(zip(row, weights, strict=True)) for row in counts.tolist()]
    return without_rounding(forms, resolution)


def without_rounding(values, resolution=SMALLEST_GAP):
    """Values of which those that differ by less than the resolution are equal."""
    order, merged = sorted(range(len(values)), key=values.__getitem__), list(values)
    for before, b in itertools.pairwise(order):
        if values[b] - values[before] < resolution:
            merged[b] = merged[before]
    return merged


def counted(values):
    """Of each value, how many are no greater, and the share of those that are no less: rank and p-value."""
    place = {value: i for i, value in enumerate(sorted(set(values)))}
    places = np.array([place[value] for value in values])
    return (places <= places[:, None]).sum(1), (places >= places[:, None]).mean(1)


def exact_aggregate(rows):
    """The greatest rank over statistics, equal ones ordered by the greatest standardised statistic."""
    count, ranks = len(rows[0]), np.stack([counted(row)[0] for row in rows]).max(0)
    with mpmath.workdps(40):
        standard = [standardised(row) for row in rows]
        tie_breaks = counted(without_rounding([max(column) for column in zip(*standard, strict=True)]))[0]
    return [int(rank) * count + int(second) for rank, second in zip(ranks, tie_breaks, strict=True)]


def standardised(row):
    mean = mpmath.fsum(row) / len(row)
    spread = mpmath.sqrt(mpmath.fsum((v - mean) ** 2 for v in row) / len(row))
    return [(v - mean) / spread if len(set(row)) > 1 else mpmath.mpf(0) for v in row]


def each_observed(values):
    """The p-value with each labelling as the observed one."""
    return np.array([upper_p_value(np.r_[values[b], np.delete(values, b)]) for b in range(len(values))])


SIZES = st.sampled_from([(4, 4), (3, 6), (2, 7)])


class TestAllRelabellings:
    @given(st.data(), SIZES)
    def test_energy(self, data, sizes):
        (n, m), z = sizes, data.draw(sparse_rows(sum(sizes)))
        first = all_labellings(n, m)
        exact = counted([-v for v in exact_forms(z, (n + m) * first - n, mpmath.sqrt)])[1]
        forms, rounding = quadratic_forms(z, np.where(first, 1 / n, -1 / m), [np.array])
        assert np.array_equal(each_observed(merge_ties(-forms, rounding)[0]), exact)

    @given(st.data(), SIZES)
    def test_mmd_over_bandwidths(self, data, sizes):
        (n, m), z = sizes, data.draw(sparse_rows(sum(sizes)))
        first, widths = all_labellings(n, m), bandwidths(z, 3)
        kernels = [lambda squared, w=w: mpmath.exp(-squared / mpmath.mpf(w) ** 2) for w in widths]
        ours = [partial(gaussian, bandwidth=w) for w in widths]
        forms, rounding = quadratic_forms(z, np.where(first, 1 / n, -1 / m), ours)
        least = (n * m) ** 2 * rounding  # exp(−36) is no tie in 40 digits, and one in 16
        exact = [exact_forms(z, (n + m) * first - n, *k) for k in zip(kernels, least, strict=True)]
        values, exact = aggregated(merge_ties(forms, rounding)), counted(exact_aggregate(exact))[1]
        assert np.array_equal(each_observed(values), exact)

    @given(sparse_rows(7))
    def test_common_law(self, z):
        sizes = (3, 2, 2)
        codes = np.array(sorted(set(itertools.permutations(np.repeat(np.arange(3), sizes).tolist()))))
        within = [exact_forms(z, np.equal(codes.T, j).astype(np.int64), mpmath.sqrt) for j in range(3)]
        with mpmath.workdps(40):
            total = [sum(v / n for v, n in zip(parts, sizes, strict=True)) for parts in zip(*within, strict=True)]
        exact = counted(without_rounding([-v for v in total]))[1]
        assert np.array_equal(each_observed(_dispersions(z, codes, sizes)), exact)

    @given(sparse_rows(8), st.sampled_from([0.1, 1 / 3, 7e-5, 1e6]), st.sampled_from([0.0, 0.7, -1.0]))
    def test_units_do_not_matter(self, z, scale, origin):
        H = np.where(all_labellings(4, 4), 1 / 4, -1 / 4)
        first, second = (
            merge_ties(*quadratic_forms(x, H, [lambda D: -D, partial(gaussian, bandwidth=unit)]))
            for x, unit in ((z, 1.0), (scale * (z + origin), scale))
        )
        for ours, rescaled in zip(first, second, strict=True):
            assert np.array_equal(each_observed(ours), each_observed(rescaled))


class TestTests:
    @pytest.mark.parametrize("test", [energy_test, mmd_test])
    @pytest.mark.parametrize("n", [20, 300])
    def test_with_one_positive_cell_all_labellings_tie(self, test, n):
        for d in (1, 20):
            z = np.zeros((2 * n, d))
            z[n + 3] = 0.1
            assert test(z[:n], z[n:], n_permutations=99, rng=0).p_value == 1.0

    @pytest.mark.parametrize("test", [energy_test, mmd_test])
    def test_two_positive_cells_are_in_one_sample_in_19_of_39_labellings(self, test):
        z = np.zeros((40, 3))
        z[[2, 5]] = 1.0
        together = test(z[:20], z[20:], n_permutations=1999, rng=0).p_value
        assert abs(together - 19 / 39) < 4 * math.sqrt(19 * 20 / 39**2 / 2000)
        assert test(z[::2], z[1::2], n_permutations=1999, rng=0).p_value == 1.0

    def test_samples_without_dispersion_tie(self):
        assert common_law_test({"A": np.full((5, 2), 0.1), "B": np.full((9, 2), 0.1)}, rng=0).p_value == 1.0

    def test_a_large_offset_or_outlier_leaves_ties_ties(self):
        z = np.zeros((40, 30))
        z[:, 0] = 1e5
        z[7], z[30, 1] = 1e7, 1.0  # one outlier a sample: wherever both are, the other rows tie
        assert energy_test(z[:20], z[20:], n_permutations=99, rng=0).p_value == 1.0

    def test_constant_cells_say_nothing_about_additivity(self):
        data = PerturbationData.from_arrays(np.full((80, 2), 0.1), np.repeat(["ctrl", "A", "B", "A+B"], 20))
        with pytest.raises(InputError, match="nothing can be tested"):
            additivity_test(data, "A+B", n_multipliers=99, rng=0)


class TestRounding:
    @pytest.mark.parametrize(("n", "m"), [(4, 4), (30, 30), (200, 50), (600, 600)])
    def test_it_is_an_upper_bound_far_below_the_spread(self, n, m):
        """With one positive cell a form has two values; with normal rows forms differ by their spread."""
        rng = np.random.default_rng(0)
        H = relabellings(n, m, 99, rng)
        z = np.zeros((n + m, 2))
        z[0] = 0.3, 0.7
        kernels = [np.array, np.sqrt, partial(gaussian, bandwidth=0.2), partial(gaussian, bandwidth=5.0)]
        forms, rounding = quadratic_forms(z, H, kernels)
        for side in (H[0] > 0, H[0] < 0):
            assert (np.ptp(forms[:, side], axis=1) <= rounding / 4).all()
        forms, rounding = quadratic_forms(rng.normal(size=z.shape), H, kernels)
        assert (rounding < 1e-8 * np.ptp(forms, axis=1)).all()

    def test_chains_of_ties_are_one_tie(self):
        values = np.array([[2.0, 1.0, 1.1, 1.2, 3.0], [0.0, 0.2, 0.1, 5.0, 9.0]])
        merged = merge_ties(values, np.array([0.15, 0.0]))
        assert merged.tolist() == [[2.0, 1.0, 1.0, 1.0, 3.0], values[1].tolist()]

    @pytest.mark.parametrize("n", [1, 2, 5, 200, 1001])
    def test_rows_are_centred_at_the_lower_median(self, n):
        z = np.random.default_rng(n).integers(-999, 999, (n, 3)).astype(float)
        assert np.array_equal(centred(z), z - np.sort(z, axis=0)[(n - 1) // 2])

    def test_distances_of_whole_numbers_are_exact_in_any_dimension(self):
        x = np.random.default_rng(0).poisson(0.05, (60, 40)).astype(float)
        x[0] = 1e6
        squared = ((x[:, None] - x) ** 2).sum(-1)
        assert np.array_equal(distances_between(x, x), np.sqrt(squared))


class TestNoNumber:
    def test_no_order_has_a_place_for_nan(self):
        for values in ([math.nan, 0.0, 1.0], [0.0, math.nan, 1.0]):
            with pytest.raises(InputError, match="statistics must be finite"):
                upper_p_value(np.array(values))
            with pytest.raises(InputError, match="statistics must be finite"):
                merge_ties(np.array(values), 0.0)

    @pytest.mark.parametrize(
        "test",
        [
            energy_test,
            mmd_test,
            energy_estimate,
            lambda x, y: common_law_test({"x": x, "y": y}),
            lambda x, y: normal_law_test(x),
        ],
    )
    @pytest.mark.parametrize("d", [2, 20])
    @pytest.mark.parametrize("scale", [1e200, 1e307])
    def test_values_too_large_for_a_distance_are_refused(self, test, d, scale):
        x = scale * np.random.default_rng(0).uniform(size=(2, 10, d))
        with pytest.raises(InputError, match="too large for float64; rescale them"):
            test(*x)

    @pytest.mark.parametrize("d", [99, 101, 400])
    def test_many_latents_have_a_distance_to_the_normal_law(self, d):
        """E‖a − Z‖ at one point, where scipy's ₁F₁ overflows from 100 dimensions on."""
        a = np.sqrt(0.9) * np.ones((2, d))
        b, x = mpmath.mpf(d) / 2, mpmath.mpf(0.9 * d) / 2
        spread = mpmath.gamma(b + 0.5) / mpmath.gamma(b)
        exact = 2 * mpmath.sqrt(2) * spread * mpmath.hyp1f1(-0.5, b, -x) - 2 * spread
        assert energy_to_normal(a) == pytest.approx(float(exact), rel=1e-10)
        z = np.random.default_rng(0).normal(size=(9, d))
        assert normal_law_test(z, n_resamples=99, rng=0).p_value > 0.05
        assert normal_law_test(2.0 * z, n_resamples=99, rng=0).p_value == 0.01
