"""Claims 2.2, 2.2a and 2.3: what the checks refuse, agreement with `align`, and the map that reverses level lines."""

import numpy as np
import pytest
from scipy import stats

from pdae_sim import align
from theory.engine.checker import assess, residual, vanishes
from theory.engine.instances import worlds
from theory.engine.proof import Equation
from theory.identifiability import affine, jacobian, orthogonal, rivals

WORLDS = worlds(8)
each_world = pytest.mark.parametrize("world", WORLDS, ids=lambda world: f"d{len(world.W)}")


def passed(measurements):
    return {m.name: assess(m).passed for m in measurements}


def step_of(claim, name):
    return next(item for item in claim.proof if item.name == name)


@each_world
class TestChecksSeeARelativeErrorOf1e5:
    def test_affine(self, world):
        H = affine.linear_map(world)
        W, Sigma = affine.rival_matrix(world, H), H @ world.Sigma @ H.T
        assert all(passed(affine.measure(world, W, Sigma)).values())
        larger = passed(affine.measure(world, W * (1 + 1e-5), Sigma))
        assert not larger["shifts"]
        assert not larger["covariance"]
        assert not passed(affine.measure(world, W, Sigma * (1 + 1e-4)))["covariance"]

    def test_jacobian(self, world):
        H = affine.linear_map(world)
        W = affine.rival_matrix(world, H)
        assert all(passed(jacobian.measure(world, W, H)).values())
        assert not any(passed(jacobian.measure(world, W * (1 + 1e-5), H)).values())

    def test_isotropy_is_what_makes_the_map_orthogonal(self, world):
        H = affine.linear_map(world)
        assert all(passed(orthogonal.measure(world, orthogonal.rival_matrix(world))).values())
        if len(world.W) > 1:
            wrong = passed(orthogonal.measure(world, affine.rival_matrix(world, H)))
            assert not wrong["orthogonality"]

    def test_align_finds_the_same_indeterminacy(self, world):
        """The library measures on latents what the chapters derive: affine for H, orthogonal for Q."""
        H, z = affine.linear_map(world), world.z_base
        result = align(z @ H.T + world.u, z)
        np.testing.assert_allclose(np.sort(result.singular_values), np.linspace(1, 2, len(H)), rtol=1e-9)
        assert result.affine_r2 == pytest.approx(1, abs=1e-9)
        assert align(z @ world.Q.T + world.u, z).orthogonal_r2 == pytest.approx(1, abs=1e-9)
        assert len(H) == 1 or result.orthogonal_r2 < 0.999


class TestWrongFormulas:
    def test_the_precision_transforms_with_the_transpose(self):
        step = step_of(affine.CLAIM, "precision")
        assert residual(step, step.equations) == "0"
        wrong = type(step)(step.name, "", affine.H * affine.P_rival * affine.H.T, step.right)
        assert residual(wrong, step.equations) != "0"

    def test_the_volume_factor_must_be_that_of_one_mixing(self):
        step = step_of(jacobian.CLAIM, "determinants_cancel")
        changed = Equation(step.equations[2].rests_on, step.equations[2].old, step.equations[2].new + jacobian.volume)
        assert residual(step, (*step.equations[:2], changed)) != "0"


class TestLevelLines:
    """The counterexample of `rivals.one_quadratic`, h = (F_s⁻¹(1 - F_s(z_1)), s), built numerically."""

    def test_the_means_are_diverse_and_the_ratios_are_not(self):
        premises = rivals.one_quadratic(1).premises
        assert all(vanishes(premise) for premise in premises)
        means = np.array([[1 / 2, 2 / 3], [1, 2]])
        assert np.linalg.det(means) == pytest.approx(1 / 3)

    @pytest.mark.statistical
    @pytest.mark.parametrize("j", [0, 1, 2])
    def test_every_training_law_is_preserved_by_a_map_that_is_not_affine(self, j):
        z = _law(j, n=1_500)
        image = _reversed(z)
        mean, deviation = j * np.array([1 / (1 + j), 1]), np.array([1 / np.sqrt(1 + j), 1])
        uniform = stats.norm.cdf((image - mean) / deviation)
        diagonals = ((image - mean) / deviation) @ np.array([[1, 1], [1, -1]]) / np.sqrt(2)
        for column in (*uniform.T, *stats.norm.cdf(diagonals).T):
            assert stats.kstest(column, "uniform").pvalue > 1e-3
        np.testing.assert_allclose(_quadratic(image), _quadratic(z), atol=1e-9)
        assert align(image, z).affine_r2 < 0.99

    @pytest.mark.statistical
    def test_another_reversal_does_not_preserve_them(self):
        """The reflection of z_1 keeps s by moving z_2, but not the law of the control."""
        z = _law(0, n=4_000)
        flipped = np.column_stack([-z[:, 0], z[:, 1] + 2 * z[:, 0]])
        np.testing.assert_allclose(_quadratic(flipped), _quadratic(z), atol=1e-9)
        assert stats.kstest(flipped[:, 1], "norm").pvalue < 1e-6


def _law(j, n):
    draws = np.random.default_rng(j).normal(size=(n, 2))
    return j * np.array([1 / (1 + j), 1]) + draws / np.sqrt([1 + j, 1])


def _quadratic(z):
    return -(z[:, 0] ** 2) / 2 + z[:, 0] + z[:, 1]


def _reversed(z, n_points=1_001):
    """h for rows z: the distribution function of z_1 given s under the control, by trapezoids on a grid."""
    s, grid = _quadratic(z), np.linspace(-7, 7, n_points)
    log_density = -(grid**2) / 2 - (s[:, None] + grid**2 / 2 - grid) ** 2 / 2
    density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    steps = (density[:, 1:] + density[:, :-1]) / 2
    F = np.concatenate([np.zeros((len(z), 1)), np.cumsum(steps, axis=1)], axis=1) / steps.sum(axis=1, keepdims=True)
    first = [np.interp(1 - np.interp(t, grid, row), row, grid) for t, row in zip(z[:, 0], F, strict=True)]
    return np.column_stack([first, s - np.array(first) + np.square(first) / 2])
