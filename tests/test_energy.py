"""Energy distance and score: laws, a naive double loop, closed forms, gradients."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import norm

from pdae_sim import energy, strategies
from pdae_sim.energy import distance_sum, energy_distance, energy_loss, energy_score, mean_distance, paired_distances
from pdae_sim.errors import InputError

BETAS = (0.3, 1.0, 1.7)
# Squared distances from a matrix product are recomputed below this share of the squared norms (see energy._CANCELLED),
# so a distance keeps a relative error of some eps / share.
ROUNDING = {np.float64: 1e-9, np.float32: 1e-3}


@st.composite
def samples(draw, dtype=np.float64):
    """Two samples in 1 to 6 dimensions, near the origin or far from it, possibly with ties."""
    d = draw(st.integers(1, 6))
    elements = st.integers(-64, 64).map(lambda k: k / 8)
    x, y = (draw(hnp.arrays(dtype, (draw(st.integers(1, 8)), d), elements=elements)) for _ in range(2))
    offset = draw(st.sampled_from([0, 1, 1000]))
    return (x + offset).astype(dtype), (y + offset).astype(dtype)


def naive(x, y, beta=1.0, unbiased=False):
    """The definition in a double loop, in float64."""
    own = [len(v) * (len(v) - unbiased) for v in (x, y)]
    cross = _loop(x, y, beta) / (len(x) * len(y))
    return 2 * cross - _loop(x, x, beta) / own[0] - _loop(y, y, beta) / own[1]


def _loop(x, y, beta):
    pairs = itertools.product(x.astype(np.float64), y.astype(np.float64))
    return sum(np.sqrt(((a - b) ** 2).sum()) ** beta for a, b in pairs)


def normal(*shape, seed=0):
    """A float64 tensor of standard normal numbers."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def scale(x, y, beta=1.0):
    """The size of the terms whose difference is the distance."""
    return 1e-300 + _loop(x, y, beta) / (len(x) * len(y)) + _loop(x, x, beta) / len(x) ** 2


class TestLaws:
    @given(samples(), st.sampled_from(BETAS))
    def test_it_is_the_definition(self, pair, beta):
        assert abs(energy_distance(*pair, beta) - naive(*pair, beta)) <= 1e-9 * scale(*pair, beta)

    @given(samples(np.float32), st.sampled_from(BETAS))
    def test_it_is_the_definition_in_float32(self, pair, beta):
        assert abs(energy_distance(*pair, beta) - naive(*pair, beta)) <= ROUNDING[np.float32] * scale(*pair, beta)

    @given(samples())
    def test_it_is_symmetric(self, pair):
        assert abs(energy_distance(*pair) - energy_distance(*pair[::-1])) <= 1e-9 * scale(*pair)

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @given(data=st.data())
    def test_the_v_statistic_is_not_negative(self, dtype, data):
        assert energy_distance(*data.draw(samples(dtype))) >= 0

    @given(samples(), st.sampled_from(BETAS))
    def test_it_is_zero_on_equal_samples_in_any_order(self, pair, beta):
        x, _ = pair
        assert energy_distance(x, x[::-1].copy(), beta) <= 1e-9 * scale(x, x, beta)

    @given(samples())
    def test_repeating_a_sample_changes_nothing(self, pair):
        x, y = pair
        assert abs(energy_distance(np.repeat(x, 3, axis=0), y) - energy_distance(x, y)) <= 1e-9 * scale(x, y)

    @given(samples(), st.data(), st.sampled_from(BETAS))
    def test_rotations_and_translations_change_nothing(self, pair, data, beta):
        Q = data.draw(strategies.orthogonal_matrices(pair[0].shape[1]))
        moved = [v @ Q.T + 3.0 for v in pair]
        tie = 4 * 1e-11 ** min(beta, 1)  # what a distance of zero becomes: some eps · 1,000
        assert abs(energy_distance(*moved, beta) - energy_distance(*pair, beta)) <= 1e-9 * scale(*pair, beta) + tie

    @given(samples(), st.sampled_from([0.25, 3.0, 1e6]), st.sampled_from(BETAS))
    def test_it_is_homogeneous_of_degree_beta(self, pair, factor, beta):
        x, y = (v - v.mean() for v in pair)
        scaled = energy_distance(factor * x, factor * y, beta)
        assert abs(scaled - factor**beta * energy_distance(x, y, beta)) <= 1e-9 * factor**beta * scale(x, y, beta)

    @pytest.mark.slow
    @pytest.mark.parametrize("beta", BETAS)
    def test_dcor_agrees(self, beta):  # a second oracle beside the double loop; it compiles for seconds
        dcor = pytest.importorskip("dcor")
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(60, 5)), rng.normal(size=(40, 5)) + 0.3
        for unbiased, kind in ((False, "v"), (True, "u")):
            expected = dcor.energy_distance(x, y, exponent=beta, estimation_stat=kind)
            assert energy_distance(x, y, beta, unbiased=unbiased) == pytest.approx(float(expected), rel=1e-9)

    def test_vectors_are_samples_in_one_dimension(self):
        x, y = np.array([0.0, 1.0]), np.array([2.0, 5.0])
        assert energy_distance(x, y) == energy_distance(x[:, None], y[:, None])

    def test_neighbours_far_from_the_origin_are_told_apart(self):
        """By matrix product the squared distances here are rounding error alone."""
        x = np.zeros((4, 8), np.float32)
        x[:, 0] = [0, 1e-3, 2e-3, 3e-3]
        y = x + np.float32(1000)
        assert mean_distance(torch.from_numpy(y)) == pytest.approx(float(mean_distance(torch.from_numpy(y - 1000))))


def gaussian_gap(mu, s):
    """E|Z| for Z ~ N(mu, s²)."""
    return s * np.sqrt(2 / np.pi) * np.exp(-(mu**2) / (2 * s**2)) + mu * (1 - 2 * norm.cdf(-mu / s))


@pytest.mark.statistical
class TestPopulation:
    @pytest.mark.parametrize(
        ("mu", "s"),
        [pytest.param(0.0, 1.0, marks=pytest.mark.slow), pytest.param(1.0, 1.0, marks=pytest.mark.slow), (0.5, 2.0)],
    )
    def test_the_u_statistic_is_unbiased_for_the_closed_form_of_gaussians(self, mu, s):
        truth = 2 * gaussian_gap(mu, np.hypot(1, s)) - gaussian_gap(0, np.sqrt(2)) - gaussian_gap(0, np.sqrt(2) * s)
        rng = np.random.default_rng(0)
        pairs = [(rng.normal(size=20), rng.normal(mu, s, 15)) for _ in range(1500)]
        values = np.array([energy_distance(*pair, unbiased=True) for pair in pairs])
        assert abs(values.mean() - truth) < 5 * values.std() / np.sqrt(len(values))

    def test_the_v_statistic_exceeds_it_by_the_gap_of_n_eff(self):
        """V − U = E‖X−X'‖/n + E‖Y−Y'‖/m in expectation: the negative control of the test above."""
        rng = np.random.default_rng(1)
        values = np.array([energy_distance(rng.normal(size=20), rng.normal(size=15)) for _ in range(800)])
        excess = gaussian_gap(0, np.sqrt(2)) * (1 / 20 + 1 / 15)
        assert abs(values.mean() - excess) < 5 * values.std() / np.sqrt(len(values))
        assert values.mean() > 10 * values.std() / np.sqrt(len(values))

    def test_the_score_is_best_at_the_true_law(self):
        rng = np.random.default_rng(2)
        x = rng.normal(size=1500)
        own, shifted, wide = (energy_score(v, x) for v in (rng.normal(size=1500), x[::-1] + 0.5, 2 * x[::-1]))
        for worse in (shifted, wide):
            difference = own - worse
            assert difference.mean() > 5 * difference.std() / np.sqrt(len(x))


class TestScoreAndLoss:
    @pytest.mark.parametrize(("size", "dtype"), [(1e200, np.float64), (1e30, np.float32)])
    def test_values_too_large_for_squares_are_refused(self, size, dtype):
        x = np.random.default_rng(0).normal(size=(8, 2)).astype(dtype)
        for pair in ((size * x, x), (x, size * x)):
            with pytest.raises(InputError, match="values too large for torch"):
                energy_score(*(side.astype(dtype) for side in pair))

    @given(samples(), st.sampled_from(BETAS))
    def test_the_score_is_the_definition(self, pair, beta):
        predicted, x = pair
        own = _loop(predicted, predicted, beta) / len(predicted) ** 2
        expected = [0.5 * own - _loop(predicted, row[None], beta) / len(predicted) for row in x]
        score = energy_score(predicted, x, beta)
        assert score.shape == (len(x),)
        # Not centred: far from the origin the share of cancelled digits is larger than in energy_distance.
        assert np.allclose(score, expected, rtol=0, atol=1e-8 * scale(*pair, beta))

    @pytest.mark.parametrize("beta", BETAS)
    def test_the_loss_is_minus_the_mean_score_over_distinct_pairs(self, beta):
        rng = np.random.default_rng(0)
        predicted, x = rng.normal(size=(7, 4)), rng.normal(size=(9, 4))
        loss = energy_loss(torch.from_numpy(predicted), torch.from_numpy(x), beta)
        assert float(loss) == pytest.approx(-energy_score(predicted, x, beta, unbiased=True).mean())

    @pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
    def test_leading_dimensions_are_a_loop(self, lead):
        x, y = normal(*lead, 6, 5), normal(*lead, 4, 5, seed=1)
        pairs = list(zip(x.reshape(-1, 6, 5), y.reshape(-1, 4, 5), strict=True))
        for function, looped in (
            (distance_sum, [distance_sum(a, b) for a, b in pairs]),
            (energy_loss, [energy_loss(a, b) for a, b in pairs]),
        ):
            assert torch.allclose(function(x, y), torch.stack(looped).reshape(lead))
        assert torch.allclose(distance_sum(x), torch.stack([distance_sum(a) for a, _ in pairs]).reshape(lead))

    def test_paired_distances_are_the_diagonal(self):
        x, y = normal(5, 4), normal(5, 4, seed=1)
        assert torch.allclose(paired_distances(x, y, beta=1.3), torch.cdist(x, y).diagonal() ** 1.3)


def reference_sum(x, y, beta):
    """Σ ‖x_i − y_j‖^β from differences, whose gradient autograd takes; without zero distances."""
    squared = (x[..., :, None, :] - y[..., None, :, :]).square().sum(-1)
    apart = squared > 0
    return (torch.where(apart, squared, 1.0).pow(beta / 2) * apart).sum((-2, -1))


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("d", [2, 5])
@pytest.mark.parametrize("same", [True, False])
def test_marginal_sums_are_those_of_the_matrix_of_distances(monkeypatch, d, beta, same):
    monkeypatch.setattr(energy, "_BLOCK_ELEMENTS", 1)
    x, y = normal(150, d), None if same else normal(80, d, seed=1)
    D = torch.cdist(x, x if y is None else y, compute_mode="donot_use_mm_for_euclid_dist") ** beta
    rows, columns = energy.marginal_sums(x, y, beta=beta)
    torch.testing.assert_close(rows, D.sum(1))
    torch.testing.assert_close(columns, D.sum(0))


@pytest.mark.parametrize("same", [True, False])
def test_blocks_are_larger_on_a_card(same):
    """Its kernels are over before the next one is sent; every pair is in one block, on or above the diagonal."""
    few, many = (list(energy._blocks(1, 20_000, 20_000, same, device)) for device in ("cuda", "cpu"))
    assert 10 * len(few) < len(many)
    pairs = sum((rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in few)
    diagonal = sum((rows.stop - rows.start) ** 2 for rows, columns in few if rows == columns)
    assert pairs == ((20_000**2 + diagonal) / 2 if same else 20_000**2)


class TestGradients:
    @pytest.mark.parametrize("beta", BETAS)
    @pytest.mark.parametrize("d", [2, 5])
    def test_gradcheck(self, d, beta):
        x, y = (normal(2, n, d, seed=n).requires_grad_() for n in (5, 3))
        assert torch.autograd.gradcheck(lambda x, y: distance_sum(x, y, beta=beta), (x, y))
        assert torch.autograd.gradcheck(lambda x: distance_sum(x, beta=beta), (x,))
        assert torch.autograd.gradcheck(lambda x, y: energy_distance(x[0], y[0], beta, unbiased=True), (x, y))

    @pytest.mark.parametrize("shape", [(150, None), (130, 70), (10, 300), (500, 10)])
    @pytest.mark.parametrize("d", [2, 5])
    def test_several_blocks(self, monkeypatch, shape, d):
        """Blocks on and off the diagonal, square and not, with a remainder: value and gradient of a reference."""
        monkeypatch.setattr(energy, "_BLOCK_ELEMENTS", 1)
        n, m = shape
        assert len(list(energy._blocks(1, n, m or n, m is None))) > 1
        x = normal(2, n, d).requires_grad_()
        y = None if m is None else normal(2, m, d, seed=1).requires_grad_()
        inputs = (x,) if y is None else (x, y)
        upstream = torch.tensor([1.0, -2.5], dtype=torch.float64)
        blocks, whole = distance_sum(x, y, beta=1.3), reference_sum(x, x if y is None else y, 1.3)
        assert torch.allclose(blocks, whole)
        for got, wanted in zip(*(torch.autograd.grad(v, inputs, upstream) for v in (blocks, whole)), strict=True):
            assert torch.allclose(got, wanted)

    def test_gradcheck_over_several_blocks(self, monkeypatch):
        monkeypatch.setattr(energy, "_BLOCK_ELEMENTS", 1)
        x, y = (normal(1, n, 2, seed=n).requires_grad_() for n in (90, 140))
        assert torch.autograd.gradcheck(lambda x, y: energy_loss(x, y, 1.3), (x, y), fast_mode=True)

    @pytest.mark.parametrize("same", [True, False])
    def test_without_gradients_the_value_is_the_same(self, monkeypatch, same):
        monkeypatch.setattr(energy, "_BLOCK_ELEMENTS", 1)
        x = normal(1, 150, 5)
        y = None if same else normal(1, 80, 5, seed=1)
        tracked = distance_sum(x.clone().requires_grad_(), y, beta=0.7)
        assert torch.allclose(distance_sum(x, y, beta=0.7), tracked.detach())

    @pytest.mark.parametrize("beta", BETAS)
    @pytest.mark.parametrize("d", [1, 5])
    def test_they_are_zero_at_ties(self, beta, d):
        """The gradient of a norm at zero: NaN in a naive implementation, as the reports of peers say."""
        x = torch.ones(4, d, requires_grad=True)
        y = torch.ones(3, d, requires_grad=True)
        values = (
            distance_sum(x, y, beta=beta),
            distance_sum(x, beta=beta),
            paired_distances(x[:3], y, beta=beta).sum(),
        )
        for value in (*values, energy_distance(x, y, beta)):
            assert value == 0
            for gradient in torch.autograd.grad(value, (x, y), allow_unused=True):
                assert gradient is None or torch.equal(gradient, torch.zeros_like(gradient))

    @pytest.mark.parametrize("beta", BETAS)
    def test_a_tie_adds_nothing_to_the_pull_of_the_others(self, beta):
        rows = normal(6, 5)
        x, y = rows.clone().requires_grad_(), torch.cat([rows[:2], normal(3, 5, seed=1)])
        got, wanted = (torch.autograd.grad(f(x, y, beta=beta), x)[0] for f in (distance_sum, reference_sum))
        assert torch.allclose(got, wanted)

    def test_descent_moves_one_sample_onto_the_other(self):
        y = normal(64, 2) + 3
        x = normal(64, 2, seed=1).requires_grad_()
        before = energy_distance(x.detach(), y)
        for _ in range(60):
            (gradient,) = torch.autograd.grad(energy_distance(x, y), x)
            x = (x - 16 * gradient).detach().requires_grad_()
        assert energy_distance(x.detach(), y) < 0.02 * before


class TestKinds:
    def test_arrays_give_floats_and_tensors_give_tensors_of_their_dtype(self):
        x = np.ones((3, 2), np.float32)
        assert isinstance(energy_distance(x, x), float)
        assert energy_score(x, x).dtype == np.float64
        value = energy_distance(torch.ones(3, 2), torch.ones(2, 2))
        assert (value.dtype, value.shape) == (torch.float32, ())

    def test_read_only_arrays_stay_as_they_are(self):
        x = np.random.default_rng(0).normal(size=(5, 4))
        before = x.copy()
        x.flags.writeable = False
        energy_distance(x, x[::2])
        energy_score(x, x)
        assert np.array_equal(x, before)

    @pytest.mark.parametrize(
        ("x", "y", "options", "message"),
        [
            (np.ones((2, 2)), np.ones((2, 3)), {}, "x and y must have shapes"),
            (np.ones((2, 2)), np.ones((0, 2)), {}, "at least one row"),
            (np.ones((2, 2)), np.full((2, 2), np.nan), {}, "y must be finite; 4 of 4"),
            (np.ones((2, 2)), [["a", "b"]], {}, "y must be numeric"),
            (np.ones((2, 2)), np.ones((2, 2)), {"beta": 2.0}, "beta must lie strictly between 0"),
            (np.ones((2, 2)), np.ones((2, 2)), {"beta": 0}, "beta must lie strictly between 0"),
            (np.ones((1, 2)), np.ones((2, 2)), {"unbiased": True}, "x must have at least 2 rows for the U-statistic"),
            (torch.ones(2, 2), torch.full((2, 2), torch.inf), {}, "x and y must be finite"),
            (torch.ones(2, 2), np.ones((2, 2)), {}, "must be of one kind and dtype; received Tensor of torch.float32"),
            (torch.ones(2, 2), torch.ones(2, 2).double(), {}, "must be of one kind and dtype"),
        ],
    )
    def test_bad_input(self, x, y, options, message):
        with pytest.raises(InputError, match=message):
            energy_distance(x, y, **options)
