"""Claim 2.14: latent distances from cells alone, against Gaussian latents whose distances are known."""

import numpy as np
import pytest

from pdae_sim import InputError, PerturbationData
from pdae_sim.analysis import environment_geometry
from pdae_sim.analysis._geometry_tests import centred_gram, euclidean_p_value, greatest_p_value, rank_p_values

POINTS = np.array([[0.0, 0.0], [1.2, 0.0], [0.3, 1.0]])


def cells(rng, points, names, *, n=400, spread=1.0):
    """Cells with latents N(point, I), mixed by sinh after a rotation into four features; the last law has a spread."""
    Q = np.linalg.qr(rng.normal(size=(4, points.shape[1])))[0]
    noise = rng.normal(size=(len(points), n, points.shape[1]))
    noise[-1] *= spread
    z = (points[:, None] + noise).reshape(-1, points.shape[1])
    return PerturbationData.from_arrays(np.sinh(0.5 * z @ Q.T), np.repeat(names, n))


def distances(points):
    return ((points[:, None] - points) ** 2).sum(-1)


def error_draws(rng, E, scale, n=999):
    """Symmetric draws without a diagonal."""
    upper = np.triu(rng.normal(scale=scale, size=(n, E, E)), 1)
    return upper + upper.transpose(0, 2, 1)


@pytest.fixture(scope="module")
def plane():
    return environment_geometry(cells(np.random.default_rng(0), POINTS, ["ctrl", "A", "B"]), rng=0)


@pytest.mark.statistical
class TestDistances:
    def test_they_are_those_of_the_latents(self, plane):
        """Within 4 standard errors, and a tenth for what both fits miss alike."""
        truth = distances(POINTS)
        assert (abs(plane.squared_distances - truth) <= 4 * plane.standard_errors + 0.1 * truth).all()

    def test_a_label_in_the_span_has_its_distance(self, plane):
        truth = float(np.square(POINTS[1] + POINTS[2]).sum())
        assert abs(plane.squared_distance("A+B", "ctrl").value - truth) < 0.3 * truth + 1

    def test_lower_limits_are_below_the_truth(self, plane):
        assert (plane.lower_limits <= distances(POINTS) + 1e-9).all()
        assert plane.lower_limits[0, 1] > 0.5

    def test_the_gram_matrix_is_counted_from_the_reference(self, plane):
        assert np.allclose(plane.gram[0], 0)
        assert np.allclose(np.diag(plane.gram), plane.squared_distances[0])

    def test_no_overlap_is_told(self):
        far = environment_geometry(
            cells(np.random.default_rng(1), np.array([[0.0], [9.0]]), ["ctrl", "A"], n=60), rng=0
        )
        assert not far.enough_overlap[0, 1]
        assert far.rank is None
        assert far.constant_order is None

    def test_a_law_that_is_spread_out_is_no_shift(self):
        data = cells(np.random.default_rng(2), np.array([[0.0], [1.0]]), ["ctrl", "A"], n=1500, spread=2.0)
        assert environment_geometry(data, rng=0).constant_order <= 0.01


@pytest.mark.statistical
class TestTests:
    """Estimates are the truth plus a draw of the error: shares of p-values at most 5 %, in bands of four deviations."""

    def share(self, p_value, squares, repeats=200):
        rng = np.random.default_rng(0)
        errors = error_draws(rng, len(squares), 0.1)
        return np.mean(
            [p_value(squares + error, errors) <= 0.05 for error in error_draws(rng, len(squares), 0.1, repeats)]
        )

    def test_a_true_rank_is_rejected_as_often_as_is_said(self):
        assert self.share(lambda D, draws: rank_p_values(D, draws)[1], 4 * distances(np.arange(4.0)[:, None])) < 0.112

    def test_a_lower_rank_is_rejected(self):
        assert self.share(lambda D, draws: rank_p_values(D, draws)[0], distances(POINTS)) > 0.9

    def test_euclidean_distances_pass_and_others_do_not(self):
        line = 4 * distances(np.arange(4.0)[:, None])
        assert self.share(lambda D, draws: euclidean_p_value(D, draws, 1), line) < 0.112
        broken = line + 3 * (np.eye(4)[::-1])
        assert self.share(lambda D, draws: euclidean_p_value(D, draws, 1), broken) > 0.9

    def test_errors_as_large_as_distances_do_not_make_a_square_look_bent(self):
        """The least eigenvalue is pushed down by the others: against draws to first order it is too low too often."""
        square = distances(np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]]))

        def to_first_order(D, draws):
            inside = [np.eye(4)[:, 1:] - 0.25, centred_gram(D), centred_gram(draws)]
            free = np.linalg.qr(inside[0])[0]
            values, vectors = np.linalg.eigh(free.T @ inside[1] @ free)
            across = free @ vectors[:, 0]
            return np.mean(across @ inside[2] @ across <= values[0])

        errors = error_draws(np.random.default_rng(0), 4, 1.0)
        ways = (lambda D, draws: euclidean_p_value(D, draws, 2)), to_first_order
        shares = [
            np.mean([p(square + e, errors) <= 0.05 for e in error_draws(np.random.default_rng(1), 4, 1.0, 800)])
            for p in ways
        ]
        assert shares[0] < 0.07 < 0.08 < shares[1]

    def test_centred_gram_is_that_of_the_points(self):
        y = POINTS - POINTS.mean(0)
        assert np.allclose(centred_gram(distances(POINTS)), y @ y.T)

    def test_the_greatest_of_zeros_is_rejected_seldom(self):
        rng = np.random.default_rng(0)
        assert (
            np.mean([greatest_p_value(v, rng.normal(size=(199, 5))) <= 0.05 for v in rng.normal(size=(200, 5))]) < 0.12
        )
        assert greatest_p_value(np.full(5, 6.0), rng.normal(size=(199, 5))) == 1 / 200


class TestRefusals:
    def test_bad_input_is_named(self, plane):
        data = cells(np.random.default_rng(0), POINTS[:2], ["ctrl", "A"], n=20)
        with pytest.raises(InputError, match=r"'ctrl' has 20 cells; leave out"):
            environment_geometry(data)
        with pytest.raises(InputError, match="two training environments"):
            environment_geometry(data.select([0]))
        with pytest.raises(InputError, match="multipliers"):
            environment_geometry(data, n_multipliers=5)

    def test_a_label_outside_the_span_is_refused(self):
        labels = [[0, 0], [1, 0]]
        x = np.random.default_rng(0).normal(size=(80, 2))
        geometry = environment_geometry(PerturbationData(x, labels, np.repeat([0, 1], 40), ("A", "B")), rng=0)
        with pytest.raises(InputError, match="outside the span"):
            geometry.squared_distance("A+B", "ctrl")
