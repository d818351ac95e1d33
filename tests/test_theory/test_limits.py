"""Claims 2.7e, 2.10e, 2.10f, 2.14 to 2.14c and 2.16: what their checks refuse, and simulated cells."""

import numpy as np
import pytest
from scipy import stats

from theory.engine.checker import assess
from theory.engine.instances import worlds
from theory.identifiability import affinity, bounds, limits
from theory.prediction import only_gaussian, unknown_fields, unknown_mixing


def passed(measurements):
    return [assess(m).passed for m in measurements]


@pytest.mark.parametrize("measure", [affinity.measure, limits.measure_scores, only_gaussian.measure, bounds.measure])
def test_a_relative_error_of_a_thousandth_is_seen(measure):
    for world in worlds(3):
        assert all(passed(measure(world)))
        assert not any(passed(measure(world, 1e-3)))


def cells_in_pieces(draw, n, effect, *, shrunk, width=1e-5):
    """y of n cells of either label: z̃ ~ N(0, 1) or N(effect/shrunk, 1) cut into pieces, each displaced at random."""
    z = np.concatenate([draw.normal(size=n), draw.normal(size=n) + effect / shrunk])
    pieces, inverse = np.unique(np.floor(z / width), return_inverse=True)
    return shrunk * z + np.sqrt(1 - shrunk**2) * draw.normal(size=len(pieces))[inverse]


def test_an_effect_four_times_as_large_behind_pieces_looks_like_the_small_one():
    draw, n, effect = np.random.default_rng(0), 400, 1.0
    y = cells_in_pieces(draw, n, effect, shrunk=0.25)
    assert stats.kstest(y[:n], stats.norm.cdf).pvalue > 0.01
    assert stats.kstest(y[n:] - effect, stats.norm.cdf).pvalue > 0.01
    area = stats.mannwhitneyu(y[n:], y[:n]).statistic / n**2
    assert abs(area - stats.norm.cdf(effect / np.sqrt(2))) < 0.06
    assert stats.norm.cdf(4 * effect / np.sqrt(2)) > 0.99


def test_wide_pieces_give_the_larger_effect_away():
    """Cells of one piece lie side by side, so with few pieces there are ties that no normal sample has."""
    draw = np.random.default_rng(0)
    y = np.sort(cells_in_pieces(draw, 400, 1.0, shrunk=0.25, width=0.05))
    assert np.median(np.diff(y)) < 0.5 * np.median(np.diff(np.sort(draw.normal(size=800))))


def test_a_fit_with_errors_underestimates_the_distance():
    draw, d = np.random.default_rng(1), 1.5
    e, f = draw.normal(size=200_000), draw.normal(size=200_000) + d
    for error in (lambda z: 0 * z, lambda z: 0.5 * np.sin(3 * z), lambda z: 0.3 * z):
        ratio = [d * z - d**2 / 2 + error(z) for z in (e, f)]  # log p_f/p_e
        square = -4 * np.log(np.exp(ratio[0] / 2).mean() * np.exp(-ratio[1] / 2).mean())
        assert square < d**2 + 0.03


@pytest.mark.parametrize(("effect", "share"), [(0.25, 0.992), (0.5, 0.970), (1.0, 0.888), (2.0, 0.639), (3.0, 0.377)])
def test_the_information_left_is_that_of_the_plan(effect, share):
    assert unknown_mixing.share_left(effect) == pytest.approx(share, abs=6e-4)
    assert unknown_mixing.share_left(effect) <= 8 / (8 + effect**2)
    assert all(passed(unknown_mixing.measure(effect)))
    assert not any(passed(unknown_mixing.measure(effect, 1e-3)))


def test_an_error_in_what_fields_leave_is_seen():
    for world in worlds(6):
        assert all(passed(unknown_fields.measure(world)))
        assert not any(passed(unknown_fields.measure(world, 1e-3)))


def test_a_field_that_is_no_rotation_leaves_something_of_one():
    turn, stretch = np.array([[0.0, 1.0], [-1.0, 0.0]]), np.array([[0.0, 1.0], [1.0, 0.0]])
    mean = np.array([1.0, 2.0])
    for A, left in ((turn, 0.0), (stretch, 4.0)):
        field = unknown_fields.Field(lambda z, A=A: z @ A.T, lambda z, A=A: np.broadcast_to(A, (len(z), 2, 2)))
        assert unknown_fields.by_scores(field, mean, A @ mean) == pytest.approx(left, abs=1e-12)


def test_an_effect_in_units_of_the_spread_has_the_information_of_affine_mixings():
    """Cohen's d, for f known up to a unit and an origin: variance 2/n (1 + δ²/8)."""
    draw, n, effect = np.random.default_rng(0), 400, 2.0
    cells = draw.normal(size=(2, 4000, n)) + np.array([0.0, effect])[:, None, None]
    estimates = (cells[1].mean(1) - cells[0].mean(1)) / np.sqrt(cells.var(axis=2, ddof=1).mean(0))
    assert 2 / n / estimates.var() == pytest.approx(8 / (8 + effect**2), rel=0.08)
