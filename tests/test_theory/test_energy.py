"""The chapters on the energy distance, against the library and against wrong versions of themselves."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Rational, simplify, symbols

import pdae_sim
from theory.energy import distance as energy
from theory.energy import gaussian, maps, worth
from theory.engine.checker import assess
from theory.engine.instances import worlds


class TestPropriety:
    @given(st.integers(0, 2**31), st.sampled_from([0.5, 1.0, 1.5]))
    @settings(max_examples=20)
    def test_the_library_computes_the_same_for_samples(self, seed, beta):
        draw = np.random.default_rng(seed)
        x, y = draw.normal(size=(5, 2)), draw.normal(size=(7, 2))
        p, q = np.r_[np.full(5, 1 / 5), np.zeros(7)], np.r_[np.zeros(5), np.full(7, 1 / 7)]
        witness = energy.energy_distance(np.vstack([x, y]), p, q, beta)
        assert math.isclose(witness, pdae_sim.energy_distance(x, y, beta), rel_tol=1e-9, abs_tol=1e-12)

    @pytest.mark.parametrize("world", worlds(3))
    def test_the_mixture_of_another_exponent_is_refused(self, world):
        assert assess(energy.measure(world, 1.0)).passed
        assert not assess(energy.measure(world, 1.0, assumed=1.0 + 1e-4)).passed

    def test_beyond_two_it_is_negative(self):
        """Coins ±1 and ±2: -6 (1 - 4)² for β = 4; at β = 2 nothing, as the means agree."""
        points = np.array([[-2.0], [-1.0], [1.0], [2.0]])
        p, q = np.array([0, 0.5, 0.5, 0]), np.array([0.5, 0, 0, 0.5])
        assert energy.energy_distance(points, p, q, 4.0) == -54
        assert energy.energy_distance(points, p, q, 2.0) == 0
        assert energy.energy_distance(points, p, q, 1.0) == 1


class TestMaps:
    @pytest.mark.parametrize("world", worlds(4)[1:])
    def test_a_map_that_is_no_similarity_is_refused(self, world):
        stretch = world.Q * np.linspace(1, 1.01, len(world.Q))
        assert assess(maps.measure_map(world, world.Q, 1.0)).passed
        assert not assess(maps.measure_map(world, stretch, 1.0)).passed

    def test_the_power_of_the_scale_is_the_exponent(self):
        world = worlds(1)[0]
        assert assess(maps.measure_map(world, 2 * world.Q, 2**0.5, 0.5)).passed
        assert not assess(maps.measure_map(world, 2 * world.Q, 2.0, 0.5)).passed


class TestWorth:
    @pytest.mark.parametrize("n_cells", [2, 3])
    def test_a_worth_off_by_one_cell_is_refused(self, n_cells):
        world = worlds(2)[1]
        points, p, _ = energy.laws(world)
        points, p = points[:3], p[:3] / p[:3].sum()
        spread = p @ np.linalg.norm(points[:, None] - points[None], axis=2) @ p
        assert assess(worth.measure_worth(world, n_cells, spread / n_cells)).passed
        assert not assess(worth.measure_worth(world, n_cells, spread / (n_cells + 1))).passed

    @pytest.mark.statistical
    def test_the_library_s_statistics_are_off_by_the_worth(self):
        """Two samples of one law: the V-statistic has mean m (1/n + 1/k), the U-statistic 0."""
        draw, n, k, repeats = np.random.default_rng(0), 4, 6, 400
        pairs = [(draw.normal(size=(n, 1)), draw.normal(size=(k, 1))) for _ in range(repeats)]
        for unbiased, expected in ((False, 2 / math.sqrt(math.pi) * (1 / n + 1 / k)), (True, 0.0)):
            values = [pdae_sim.energy_distance(x, y, unbiased=unbiased) for x, y in pairs]
            assert abs(np.mean(values) - expected) < 4 * np.std(values) / math.sqrt(repeats)


class TestGaussian:
    def test_equal_laws_are_at_distance_zero(self):
        m, v = symbols("m", real=True), symbols("v", positive=True)
        assert simplify(gaussian.energy_distance_line((m, v), (m, v))) == 0
        assert gaussian.energy_distance_line((Rational(1, 3), 2), (Rational(1, 3), 2)) == 0

    @given(st.floats(-5, 5), st.floats(0.1, 5), st.floats(-5, 5), st.floats(0.1, 5))
    @settings(max_examples=25)
    def test_scaling_and_symmetry(self, m, v, k, w):
        value = float(gaussian.energy_distance_line((m, v), (k, w)))
        assert math.isclose(value, float(gaussian.energy_distance_line((k, w), (m, v))), abs_tol=1e-12)
        scaled = float(gaussian.energy_distance_line((3 * m, 9 * v), (3 * k, 9 * w)))
        assert math.isclose(scaled, 3 * value, rel_tol=1e-9, abs_tol=1e-9)
        assert value >= -1e-12

    @pytest.mark.parametrize("beta", [0.5, 1.0, 1.7])
    def test_axes_of_the_covariance_do_not_matter_and_its_lengths_do(self, beta):
        world = worlds(4)[3]
        Q, mean, lengths = world.Q, world.u, np.diag([1.0, 2.0, 3.0, 0.0])
        plain = gaussian.mean_norm(mean, lengths, beta)
        assert math.isclose(gaussian.mean_norm(Q @ mean, Q @ lengths @ Q.T, beta), plain, rel_tol=1e-9)
        assert not math.isclose(gaussian.mean_norm(mean, 1.01 * lengths, beta), plain, rel_tol=1e-4)

    def test_a_point_mass(self):
        assert gaussian.mean_norm(np.zeros(2), np.zeros((2, 2))) == 0
        assert math.isclose(gaussian.mean_norm(np.array([3.0, 4.0]), np.zeros((2, 2))), 5.0, rel_tol=1e-9)

    def test_a_wrong_formula_is_refused(self):
        world = worlds(1)[0]
        assert assess(gaussian.measure_line(world)).passed
        assert not assess(gaussian.measure_line(world, factor=1 + 1e-6)).passed

    @pytest.mark.statistical
    @pytest.mark.parametrize("beta", [0.7, 1.0])
    def test_the_library_on_samples_of_three_dimensions(self, beta):
        """U-statistics of 40 pairs of samples against the quadrature; half the shift as negative control."""
        draw, spread = np.random.default_rng(1), np.diag([1.0, 0.5, 2.0])
        mean, root = np.array([0.6, 0.0, -0.4]), np.sqrt(np.diag(spread))
        values = [
            pdae_sim.energy_distance(
                draw.normal(size=(300, 3)), mean + draw.normal(size=(300, 3)) * root, beta, unbiased=True
            )
            for _ in range(40)
        ]
        standard_error = np.std(values, ddof=1) / math.sqrt(len(values))

        def expected(shift):
            return gaussian.energy_distance((np.zeros(3), np.eye(3)), (shift, spread), beta)

        assert abs(np.mean(values) - expected(mean)) < 4 * standard_error
        assert abs(np.mean(values) - expected(mean / 2)) > 8 * standard_error
