"""Points from squared distances: exact where these are, through others where some are unknown, honest where noisy."""

import numpy as np
import pytest
from scipy import optimize

from pdae_sim.analysis._placement import along_axes, brought_to, classical, placed
from pdae_sim.analysis.geometry import EnvironmentGeometry
from pdae_sim.labels import LabelSpace


def squares_of(points: np.ndarray) -> np.ndarray:
    return ((points[:, None] - points[None]) ** 2).sum(-1)


POINTS = np.random.default_rng(0).normal(size=(8, 3)) * [3, 2, 1]
ALL = 1.0 - np.eye(8)


class TestPlaced:
    def test_exact_distances_give_the_points_up_to_rigid_motion(self):
        for found in (placed(squares_of(POINTS), ALL, 3), classical(squares_of(POINTS), 3)):
            np.testing.assert_allclose(brought_to(found, POINTS), POINTS, atol=1e-4)

    def test_unknown_distances_follow_from_the_others(self):
        known = ALL * ~np.isin(np.arange(64).reshape(8, 8), [7, 56, 11, 25])  # of 28 two are not known
        squares = np.where(known > 0, squares_of(POINTS), 0.0)
        np.testing.assert_allclose(squares_of(placed(squares, known, 3)), squares_of(POINTS), rtol=1e-3, atol=1e-3)

    @pytest.mark.parametrize("scale", [0.1, 1.0, 10.0, 30.0])
    def test_distances_known_far_better_than_others_leave_the_least_of_all_errors(self, scale):
        rng = np.random.default_rng(0)
        truth, pairs = POINTS[:, :2] * scale, np.triu_indices(8, 1)
        errors = 0.3 * (0.05 + squares_of(truth))
        errors[0, 1] = errors[1, 0] = 1e-3
        noise = np.triu(rng.normal(size=(8, 8)) * errors, 1)
        known, weights = squares_of(truth) + noise + noise.T, errors**-2 * ALL

        def residuals(flat: np.ndarray) -> np.ndarray:
            return (np.sqrt(weights) * (squares_of(flat.reshape(8, 2)) - known))[pairs]

        found = placed(known, weights, 2).ravel()
        least = optimize.least_squares(residuals, found, x_scale="jac", max_nfev=500).fun  # beside it
        assert residuals(found) @ residuals(found) < 1.001 * (least @ least)

    def test_points_lie_along_their_axes_the_longest_first(self):
        found = along_axes(POINTS)
        spread = (found**2).sum(0)
        np.testing.assert_allclose(squares_of(found), squares_of(POINTS))
        assert (np.diff(spread) < 0).all()
        np.testing.assert_allclose(found.T @ found, np.diag(spread), atol=1e-9)


def geometry(squares: np.ndarray, error: float, rng: np.random.Generator) -> EnvironmentGeometry:
    E = len(squares)
    noise = rng.normal(size=(200, E, E)) * error
    noise = np.triu(noise, 1) + np.triu(noise, 1).transpose(0, 2, 1)
    return EnvironmentGeometry(
        LabelSpace(tuple(f"P{k}" for k in range(E - 1))), np.eye(E)[:, 1:], 0, squares, error * ALL[:E, :E],
        0.8 * squares, np.ones((E, E), bool), None, None, None, None, noise,
    )  # fmt: skip


class TestGeometry:
    @pytest.mark.slow
    def test_the_ellipses_hold_the_points(self):
        inside = []
        for seed in range(60):
            rng = np.random.default_rng(seed)
            noise = np.triu(rng.normal(size=(8, 8)) * 0.3, 1)
            points, covariances = geometry(squares_of(POINTS) + noise + noise.T, 0.3, rng).placed(3)
            away = brought_to(points, POINTS) - POINTS
            turned = np.trace(covariances, axis1=1, axis2=2)
            inside += [(away**2).sum(1) / turned]
        assert 0.7 < np.mean(inside) < 1.3

    def test_places_are_surer_where_distances_are(self):
        rng = np.random.default_rng(0)
        sizes = [np.trace(geometry(squares_of(POINTS), e, rng).placed(3)[1].sum(0)) for e in (0.05, 0.5)]
        assert sizes[1] > 50 * sizes[0]
