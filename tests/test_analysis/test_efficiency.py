"""What an unknown mixing costs: against the theory, scores of simulated cells, and an estimator that attains it."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdae_sim.analysis import efficient_limit
from pdae_sim.errors import InputError
from theory.prediction.unknown_mixing import galerkin, share_left

PLANE = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
SINGLES = np.vstack([np.zeros(3), np.eye(3)])


def limit(W, labels=SINGLES, *, counts=None, **settings):
    counts = [1000] * len(labels) if counts is None else counts
    return efficient_limit(labels, counts=counts, perturbation_matrix=W, **settings)


class TestOneLatent:
    """One effect: claim 2.10e, by finite differences of a differential equation and by polynomials on a line."""

    @pytest.mark.parametrize("effect", [0.25, 0.5, 1.0, 2.0, 3.0])
    def test_polynomials_come_near_the_share_of_all_fields_from_above(self, effect):
        found = limit([[effect]], [[0], [1]], degree=15).ratio ** -2
        assert share_left(effect) - 1e-4 < found < share_left(effect) + 2e-3

    @pytest.mark.parametrize("degree", [1, 2, 3, 7])
    def test_every_degree_leaves_what_the_theory_says(self, degree):
        assert limit([[2.0]], [[0], [1]], degree=degree).ratio ** -2 == pytest.approx(galerkin(2.0, degree), rel=1e-8)

    def test_with_the_latents_seen_it_is_the_error_of_a_difference_of_means(self):
        found = limit([[2.0]], [[0], [1]], counts=[100, 400])
        assert found.errors_seen[0, 0] == pytest.approx(2 * 2.0 * np.sqrt(1 / 100 + 1 / 400))


def test_scores_of_simulated_cells_leave_as_much():
    """The same projection in 400,000 cells, fields of degree 2 as plain monomials, and no integration by parts."""
    draw, n = np.random.default_rng(0), 100_000
    rows, fields = [], []
    for label in SINGLES:
        zeta = draw.normal(size=(n, 2))
        z1, z2 = (zeta + PLANE @ label).T
        one = np.ones(n)
        monomials = [one, z1, z2, z1**2, z1 * z2, z2**2]
        slopes = [(0 * one, 0 * one), (one, 0 * one), (0 * one, one), (2 * z1, 0 * one), (z2, z1), (0 * one, 2 * z2)]
        fields.append(
            np.column_stack(
                [zeta[:, i] * m - slope[i] for i in range(2) for m, slope in zip(monomials, slopes, strict=True)]
            )
        )
        rows.append(np.column_stack([zeta[:, i] * label[k] for i in range(2) for k in range(3)]))
    scores, others = np.vstack(rows), np.vstack(fields)
    rest = scores - others @ np.linalg.lstsq(others, scores, rcond=None)[0]
    covariance = np.linalg.pinv(rest.T @ rest / n * 1000, rcond=1e-6)
    lead = np.zeros((9, 6))  # of the Gram matrix, row by row
    for place in range(6):
        change = np.eye(6)[place].reshape(2, 3)
        lead[:, place] = (change.T @ PLANE + PLANE.T @ change).ravel()
    errors = np.sqrt(np.diag(lead @ covariance @ lead.T)).reshape(3, 3)
    assert limit(PLANE, degree=2).errors == pytest.approx(errors, rel=0.02)


def test_maximum_likelihood_of_a_linear_mixing_attains_the_limit_of_affine_fields():
    """The Gram matrix of means whitened within conditions, where all that is known of f is that it is linear."""
    draw, n, W = np.random.default_rng(0), 400, 2.5 * PLANE
    G, squares = W.T @ W, []
    for _ in range(600):
        z = draw.normal(size=(4, n, 2)) + (SINGLES @ W.T)[:, None]
        x = z @ draw.normal(size=(2, 2))
        moves = (x[1:] - x[:1]).mean(axis=1)
        within = np.mean([np.cov(cells.T) for cells in x], axis=0)
        squares.append(((moves @ np.linalg.solve(within, moves.T) - G) ** 2).sum() / (G**2).sum())
    affine, cubic = (limit(W, counts=[n] * 4, degree=k) for k in (1, 3))
    assert np.sqrt(np.mean(squares)) == pytest.approx(affine.gram_error, rel=0.04)
    assert affine.ratio > 1.2  # far from what it is with the latents seen
    assert cubic.ratio > affine.ratio + 0.04  # who does not know that f is linear pays more


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 3), st.integers(1, 4), st.integers(0, 2**32 - 1), st.floats(0.1, 20), st.integers(0, 3)
)  # fmt: skip
def test_laws(d, n_effects, seed, size, degree):
    draw = np.random.default_rng(seed)
    W = size * draw.normal(size=(d, n_effects)) / np.sqrt(d)
    labels = np.vstack([np.zeros(n_effects), np.eye(n_effects), draw.integers(0, 3, (2, n_effects))])
    counts = draw.integers(20, 4000, len(labels))
    found = limit(W, labels, counts=counts, degree=degree)
    close = {"rel": 1e-3, "abs": 1e-6 * found.errors.max()}
    turned = np.linalg.qr(draw.normal(size=(d, d)))[0] @ W
    assert limit(turned, labels, counts=counts, degree=degree).errors == pytest.approx(found.errors, **close)
    assert limit(W, labels, counts=4 * counts, degree=degree).errors == pytest.approx(found.errors / 2, **close)
    mixed = np.linalg.qr(draw.normal(size=(n_effects, n_effects)))[0]
    assert limit(W @ mixed, labels @ mixed, counts=counts, degree=degree).errors == pytest.approx(found.errors, **close)
    units = 10.0 ** draw.integers(-9, 10, n_effects)
    scaled = limit(W / units, labels * units, counts=counts, degree=degree)
    assert scaled.errors == pytest.approx(found.errors, **close)
    assert (found.errors >= found.errors_seen).all()
    assert (limit(W, labels, counts=counts, degree=degree + 1).errors >= found.errors * (1 - 1e-6)).all()


def test_a_condition_measured_as_well_makes_errors_smaller():
    more = np.vstack([SINGLES, [[1, 1, 0]]])
    assert (limit(PLANE, more).errors[:3, :3] < limit(PLANE).errors).all()


def test_labels_that_no_condition_moves_alone_have_no_part():
    """A and B always together are one effect, their sum."""
    both = limit(PLANE[:, :2], [[0, 0], [1, 1]])
    alone = limit(PLANE[:, :2].sum(axis=1, keepdims=True), [[0], [1]])
    assert both.errors == pytest.approx(alone.errors)


def test_without_an_effect_nothing_is_relative_to_it():
    found = limit(0 * PLANE)
    assert found.ratio == 1
    assert found.gram_error == np.inf


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"reference": 4}, "reference must be a row of train_labels, 0 to 3; received 4"),
        ({"labels": np.ones((2, 3))}, "no row of train_labels differs from the reference"),
        ({"W": np.ones((30, 3)), "degree": 3}, "degree 3 with 30 latents has 163,680 unknowns, more than 12,000"),
        (
            {"W": np.ones((9, 300)), "labels": np.eye(300)},
            "299 effects in 9 latents have 2,691 entries, more than 2,500",
        ),
        ({"degree": -1}, "degree"),
        ({"counts": [1, 2]}, "counts"),
    ],
)
def test_refusals(changed, says):
    given = {"W": PLANE, **changed}
    with pytest.raises(InputError, match=re.escape(says)):
        limit(given.pop("W"), **given)
