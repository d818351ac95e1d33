"""Defects of the published code, one test each: a few lines that have the defect, and the library beside them.

The naive lines are written here from the description of each defect.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from pdae_sim.analysis._permutation import merge_ties, quadratic_forms, relabellings, upper_p_value
from pdae_sim.analysis.hypothesis_tests.multiple_testing import adjust_p_values, two_sample_tests
from pdae_sim.analysis.hypothesis_tests.two_sample import disjoint_halves, energy_test
from pdae_sim.analysis.identifiability.alignment import align, gram_error
from pdae_sim.analysis.span import check_span
from pdae_sim.data import PerturbationData
from pdae_sim.estimation.baselines import Control, Pool
from pdae_sim.labels import LabelSpace
from pdae_sim.study.evaluation import evaluate

LABELS = np.array([[0.0, 0], [1, 0], [0, 1], [2, 1]])
CONDITIONS = ("ctrl", "A", "B", "A:2+B")
W = np.array([[1.0, 0.3], [-0.4, 0.9]])


def decode(z):
    """An invertible mixing of two latents."""
    return np.sinh(z @ np.array([[1.0, 0.5], [-0.5, 1.0]]).T)


def encode(x):
    return np.linalg.solve(np.array([[1.0, 0.5], [-0.5, 1.0]]), np.arcsinh(x).T).T


def cells(seed, n=120):
    rng = np.random.default_rng(seed)
    return {c: decode(rng.normal(size=(n, 2)) + W @ label) for c, label in zip(CONDITIONS, LABELS, strict=True)}


def transported(halves, W_hat, target, sources):
    """x → f(g(x) + Ŵ (l_target − l_source))."""
    label = dict(zip(CONDITIONS, LABELS, strict=True))
    return np.vstack([decode(encode(halves[s][1]) + W_hat @ (label[target] - label[s])) for s in sources])


@pytest.mark.statistical
@pytest.mark.parametrize("wrong", [-W, 0 * W, W[:, ::-1]], ids=["reversed", "no effect", "columns exchanged"])
def test_defect_1_goodness_of_fit_is_not_from_an_environment_to_itself(wrong):
    """Own source and own target: the shift cancels, and a wrong Ŵ passes. From the other environments it does not."""
    halves = {c: disjoint_halves(x, rng=0) for c, x in cells(0).items()}
    observed = {c: first for c, (first, _) in halves.items()}

    def judged(W_hat, *, own):
        predicted = {
            c: transported(halves, W_hat, c, [c] if own else [s for s in CONDITIONS if s != c]) for c in CONDITIONS
        }
        return two_sample_tests(predicted, observed, n_permutations=199, rng=1).rejected()

    assert not judged(wrong, own=True)  # the defect
    assert judged(wrong, own=False)
    assert not judged(W, own=False)


@pytest.mark.statistical
def test_defect_2_p_values_are_calibrated_over_bandwidths_and_environments():
    """One p-value per bandwidth and environment, none corrected: something is nearly always below 5 %."""
    naive, ours, worlds, level = 0, 0, 60, 0.05
    for seed in range(worlds):
        rng = np.random.default_rng(seed)
        pairs = {c: rng.normal(size=(2, 15, 2)) for c in CONDITIONS}
        naive += any(p <= level for x, y in pairs.values() for p in by_bandwidth(x, y, rng))
        predicted, observed = ({c: pair[side] for c, pair in pairs.items()} for side in (0, 1))
        ours += bool(two_sample_tests(predicted, observed, kind="mmd", n_permutations=99, rng=seed).rejected(level))
    most = stats.binom.ppf(0.995, worlds, level)
    assert naive > most  # the defect
    assert ours <= most


def by_bandwidth(x, y, rng, widths=(0.5, 1.0, 2.0, 4.0)):
    kernels = [lambda D, w=w: np.exp(-((D / w) ** 2)) for w in widths]
    forms = quadratic_forms(np.vstack([x, y]), relabellings(len(x), len(y), 99, rng), kernels)
    return [upper_p_value(values) for values in merge_ties(*forms)]


@pytest.mark.parametrize(
    ("train", "test"),
    [([[1, 0, 0], [0, 1, 0]], [1, 1, 1e-6]), ([[1e7, 0, 0], [0, 1e7, 0]], [1, 1, 1])],
    ids=["a tiny dose of an unseen one", "large doses of the seen ones"],
)
def test_defect_3_span_is_not_a_float_rank(train, test):
    """Ranks of float32 matrices, with the tolerance that grows with the largest entry, and a boolean for an answer."""
    L = torch.tensor(train, dtype=torch.float32)
    with_test = torch.cat([L, torch.tensor([test], dtype=torch.float32)])
    tolerance = 1e-5 * float(torch.linalg.svdvals(with_test)[0])
    rank = [int((torch.linalg.svdvals(rows) > tolerance).sum()) for rows in (L, with_test)]
    assert rank[0] == rank[1]  # the defect: no new direction
    certificate = check_span([[0, 0, 0], *train], [test])[0]
    assert (certificate.identified, certificate.arithmetic) == (False, "exact")
    assert np.allclose(certificate.witness, [0, 0, 1 / test[2]])


def test_defect_4_results_are_found_by_value():
    """Tensors hash by identity: what is stored under one is not found under its equal."""
    naive = {torch.tensor([1.0, 1.0]): 0.3}
    assert torch.tensor([1.0, 1.0]) not in naive  # the defect
    space, found = LabelSpace(("A", "B")), adjust_p_values({"A+B": 0.3, "A:0.5": 0.2})
    for same in ([1, 1], (1.0, 1.0), np.array([1.0, 1.0]), torch.tensor([1.0, 1.0]).numpy()):
        assert found.p_values[space.condition(same)] == 0.3
    assert found.p_values[space.condition(space.vector("B + A"))] == 0.3
    assert space.condition([1, 0]) not in found.p_values


def test_defect_5_doses_that_cancel_are_not_the_control():
    """A label whose doses sum to zero is an environment like any other."""
    labels = np.array([[1.0, -1.0], [0.0, 0.0], [1.0, 0.0]])
    assert (labels.sum(1) == 0).tolist() == [True, True, False]  # the defect
    data = PerturbationData(np.zeros((3, 1)), labels, np.arange(3), ("A", "B"))
    assert (data.reference, check_span(labels, labels)[0].reference) == (1, 1)
    assert data.conditions == ("A+B:-1", "ctrl", "A")
    assert check_span(labels, [[0, 1]])[0].identified
    assert not check_span(labels[1:], [[0, 1]])[0].identified


@pytest.mark.statistical
def test_defect_10_latents_and_shifts_are_measured():
    """Where only laws are compared, a model with wrong latents and a wrong W is as good as the right one."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(500, 2))
    angle = 2.0 * np.linalg.norm(z, axis=1)
    swirled = np.column_stack([np.cos(angle) * z[:, 0] - np.sin(angle) * z[:, 1],
                               np.sin(angle) * z[:, 0] + np.cos(angle) * z[:, 1]])  # fmt: skip
    turned = np.column_stack([W[:, 0], np.linalg.norm(W[:, 1]) / np.linalg.norm(W[:, 0]) * W[:, 0]])
    assert energy_test(swirled, rng.normal(size=(500, 2)), n_permutations=199, rng=0).p_value > 0.05  # the defect
    assert np.allclose(np.linalg.norm(turned, axis=0), np.linalg.norm(W, axis=0))  # strengths alone agree too
    assert align(swirled, z).affine_r2 < 0.5 < 0.999 < align(z @ [[0.6, 0.8], [-0.8, 0.6]], z).orthogonal_r2
    shifts = (LABELS - LABELS[0])[1:]
    rotated = np.array([[0.6, 0.8], [-0.8, 0.6]]) @ W
    assert gram_error(rotated, W, shifts) < 1e-12 < 0.3 < gram_error(turned, W, shifts)


@pytest.mark.statistical
def test_defect_12_r2_of_the_mean_never_stands_alone():
    """Columns differ far more than conditions do: the control has an R² near 1 and is worth a handful of cells."""
    rng = np.random.default_rng(0)
    environment, level = np.repeat(np.arange(4), 200), np.linspace(0, 20, 10)
    x = level + rng.normal(size=(800, 10)) + 0.7 * (LABELS[environment] @ np.ones((2, 10)))
    data = PerturbationData(x, LABELS, environment, ("A", "B"), held_out=np.array([False, False, False, True]))
    r2 = 1 - ((x[:200].mean(0) - x[600:].mean(0)) ** 2).sum() / ((x[600:].mean(0) - x[600:].mean()) ** 2).sum()
    assert r2 > 0.85  # the defect: a prediction that ignores the perturbation, judged by this alone
    rows = evaluate({"control": Control().fit(data), "pool": Pool().fit(data)}, data, rng=0)
    found = {(row["estimator"], row["metric"]): row for row in rows}
    for estimator in ("control", "pool", "ceiling"):
        assert {"mean_r2", "energy_distance", "n_eff"} <= {metric for name, metric in found if name == estimator}
    assert found["control", "mean_r2"]["value"] > 0.85
    assert found["control", "n_eff"]["high"] < 5
    assert found["ceiling", "n_eff"]["low"] > 20
