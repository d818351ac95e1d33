"""Spans of thousands of conditions: the same certificates as by fractions, in a time that grows with the design."""

from fractions import Fraction

import numpy as np
import pytest

from pdae_sim import PerturbationData
from pdae_sim._linalg import row_echelon
from pdae_sim.analysis import _nearest as nearest
from pdae_sim.analysis._exact import RowSpace
from pdae_sim.analysis.hypothesis_tests import _relations as relations
from pdae_sim.analysis.span import check_span


def doubles(rng, K, n):
    """n different labels of two of K perturbations."""
    pairs = {tuple(sorted(rng.choice(K, 2, replace=False).tolist())) for _ in range(2 * n)}
    return np.array([np.isin(np.arange(K), pair) for pair in sorted(pairs)[:n]], dtype=float)


def singles_and_doubles(rng, K):
    return np.vstack([np.zeros(K), np.eye(K), doubles(rng, K, K)])


def chain(rng, K):
    """A, A+B, B+C, …, and the last by itself: one cycle through all."""
    return np.vstack([np.zeros(K), np.eye(K) + np.eye(K, k=1), np.eye(K)[:3]])


def only_doubles(rng, K):
    return np.vstack([np.zeros(K), doubles(rng, K, 2 * K)])


def doses(rng, K):
    some = (rng.random((K, K)) < 3 / K) * rng.integers(1, 21, (K, K)) / 10
    return np.unique(np.vstack([np.zeros(K), np.eye(K) / 2, 2 * np.eye(K)[: K // 2], some]), axis=0)


DESIGNS = [singles_and_doubles, chain, only_doubles, doses]


def targets(rng, train):
    labels = train[rng.integers(0, len(train), 12)] + train[rng.integers(0, len(train), 12)]
    labels[:3] += rng.random((3, labels.shape[1])) < 0.1
    return np.round(labels, 1)


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("design", DESIGNS)
def test_lifting_gives_the_floats_that_fractions_give(design, counted, monkeypatch):
    rng = np.random.default_rng(len(design.__name__))
    train = design(rng, 50)
    labels, counts = targets(rng, train), rng.integers(1, 5000, len(train)) if counted else None
    monkeypatch.setattr(nearest, "_SMALL", 4)
    lifted = check_span(train, labels, counts=counts)
    monkeypatch.setattr(nearest, "_SMALL", 10**9)
    for a, b in zip(lifted, check_span(train, labels, counts=counts), strict=True):
        assert (a.identified, a.noise_gain, a.arithmetic) == (b.identified, b.noise_gain, "exact")
        for one, other in ((a.coefficients, b.coefficients), (a.witness, b.witness)):
            assert (one is None and other is None) or one.tolist() == other.tolist()


@pytest.mark.parametrize("design", DESIGNS)
def test_the_row_space_by_components_is_that_of_one_elimination(design):
    rng = np.random.default_rng(1)
    D = np.rint(10 * design(rng, 30)).astype(int)[:25]
    D[:, rng.integers(0, 30, 4)] = 0
    pivots, rows, denominator = row_echelon(D)
    space = RowSpace.of(D)
    assert (space.pivots.tolist(), space.denominator) == (pivots.tolist(), denominator)
    assert (space.numerators == rows[:, space.others]).all()


def test_a_weight_that_vanishes_is_zero():
    """In a ring of doubles with all singles but one, symmetry gives some conditions no weight at all."""
    K = 40
    train = np.vstack([np.zeros(K), np.eye(K), np.eye(K) + np.roll(np.eye(K), 1, axis=1)])
    label = np.zeros(K)
    label[[0, 20]] = 1, -1
    (found,) = check_span(train, [label])
    assert found.coefficients[[11, 31]].tolist() == [0.0, 0.0]
    assert np.abs(found.coefficients @ train - label).max() < 1e-15


@pytest.mark.parametrize(("K", "n_doubles"), [(2000, 0), (1000, 1000)])
def test_two_thousand_conditions_are_judged(K, n_doubles):
    rng = np.random.default_rng(0)
    measured, asked = np.split(doubles(rng, K, n_doubles + 500), [n_doubles])
    train, asked = np.vstack([np.zeros(K), np.eye(K), measured]), asked + 0.0
    found = check_span(train, asked)
    relations.walked(data_of(train), relations.by_parts(data_of(train)))
    assert all(c.identified for c in found)
    assert max(np.abs(c.coefficients @ train - label).max() for c, label in zip(found, asked, strict=True)) < 1e-14


def data_of(labels):
    return PerturbationData.from_codes(np.empty((len(labels), 0)), np.arange(len(labels)), labels)


class TestRelations:
    @pytest.mark.parametrize("seed", range(12))
    def test_one_elimination_finds_what_one_span_a_condition_finds(self, seed):
        rng = np.random.default_rng(seed)
        K = int(rng.integers(2, 8))
        labels = (rng.random((20, K)) < 0.35) * (rng.integers(1, 5, (20, K)) / 10 if seed % 2 else 1.0)
        labels = rng.permutation(np.unique(np.vstack([np.zeros(K), labels]), axis=0))
        data = data_of(labels)
        order, before, expected = relations.by_parts(data), [data.reference], {}
        for e in order:
            alpha = check_span(labels[before], labels[[e]], labels[data.reference])[0].coefficients
            if alpha is None:
                before.append(e)
            else:
                names = [data.conditions[b] for b in before]
                expected[data.conditions[e]] = {n: a for n, a in zip(names, alpha.tolist(), strict=True) if a}
        assert relations.walked(data, order) == expected

    def test_measured_doses_are_judged_to_a_tolerance(self):
        data = data_of(np.array([[0, 0], [np.pi, 0], [0, np.e], [np.pi, np.e]]))
        (alpha,) = relations.walked(data, relations.by_parts(data)).values()
        assert list(alpha.values()) == pytest.approx([1, 1])


def test_fractions_that_are_equal_are_one_value():
    train = np.array([[Fraction(0), Fraction(0)], [Fraction(1, 3), Fraction(0)], [Fraction(0), Fraction(1, 3)]])
    (found,) = check_span(train, [[Fraction(2, 6), Fraction(1, 3)]])
    assert found.coefficients.tolist() == [0, 1, 1]
