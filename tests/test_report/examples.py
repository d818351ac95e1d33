"""One example of every figure, with names that are long, hostile or both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pdae_sim.analysis.design import plan_experiments
from pdae_sim.analysis.hypothesis_tests.additivity import additivity_test
from pdae_sim.analysis.hypothesis_tests.goodness import FitSamples, goodness_of_fit
from pdae_sim.analysis.hypothesis_tests.multiple_testing import adjust_p_values
from pdae_sim.analysis.hypothesis_tests.predictive_checks import observation_fit
from pdae_sim.analysis.span import check_span
from pdae_sim.data import PerturbationData
from pdae_sim.report import (
    additivity_figure,
    counterexample_figure,
    design_figure,
    evaluation_figure,
    geometry_figure,
    goodness_figure,
    training_figure,
    verdict_figure,
)
from pdae_sim.report._causal_graph import causal_graph
from pdae_sim.report._cell_comparison import cell_comparison
from pdae_sim.report._forest import forest
from pdae_sim.report._latent_scatter import latent_scatter
from pdae_sim.report._shift_vectors import shift_vectors
from pdae_sim.report._study_presentation import presentation
from pdae_sim.report._support_map import support_map
from pdae_sim.study import Expectation, Study
from pdae_sim.verdicts import NOT_IDENTIFIED, OFF_SUPPORT, SUPPORTED

HOSTILE = '<script>alert("x")</script>$a_{$ & \'"'
LONG = "KLF1+CEBPE:0.5+AHR"


def sample(n=300, d=2, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def result(condition, estimator, value, low=None, high=None, metric="energy_distance"):
    row = {"condition": condition, "estimator": estimator, "metric": metric}
    return row | {"value": value, "low": low, "high": high}


RESULTS = [
    result(HOSTILE, "pdae", 0.002, 0.0, 0.004),
    result(HOSTILE, "pool", 0.5, 0.4, 0.6),
    result(HOSTILE, "linear", float("nan")),
    result(HOSTILE, "ceiling", -0.001, 0.0, 0.001),
    result("A+B", "pdae", -0.003, 0.0, 0.001),
    result("A+B", "pool", None),
    result("A+B", "pdae", 900.0, 100.0, None, metric="n_eff"),
]

HISTORY = [
    {"phase": "ratios", "step": step, "density_ratio": 2.0 / (1 + step), "moments": float("nan") if step == 40 else 0.1}
    for step in range(0, 400, 10)
] + [
    {"phase": HOSTILE, "step": step, "perturbation": -0.5 + 1 / (1 + step), "note": "text"} for step in range(0, 100, 5)
]

VERDICT_ROWS = [
    {
        "condition": name, "verdict": verdict, "effective_cells": cells, "effective_cells_interval": interval,
        "standard_error": error, "truth": true and {"effective_cells": true},
    }
    for name, verdict, cells, interval, error, true in [
        ("A+B", SUPPORTED, 548.0, (300.0, 800.0), 0.04, 600.0),
        ("$a_{$", OFF_SUPPORT, 4e-9, (1e-10, 3e-8), 0.12, 3e-9),
        ("A:2", OFF_SUPPORT, 60.0, (0.05, 130.0), 0.06, None),
        (LONG, NOT_IDENTIFIED, None, None, None, None),
        (HOSTILE, "identified", None, None, 0.03, None),
    ]
]  # fmt: skip

ZERO, A, B = [0, 0, 0], [1, 0, 0], [0, 1, 0]
TARGETS = [[1, 1, 0], [1, 0, 1], [1, 0, 0]]
PLAN = plan_experiments([ZERO, A], TARGETS, candidates=[B])
BEFORE = check_span([ZERO, A], TARGETS, counts=[1, 1])


def square(n=90, *, extra):
    """Control, two singles and their double, with an interaction in the first column."""
    labels = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=float)
    environment = np.repeat(np.arange(4), n)
    moved = np.hstack([labels, extra * labels[:, :1] * labels[:, 1:]])[environment]
    features = ("first", HOSTILE, "third")
    return PerturbationData(sample(4 * n, 3) + moved, labels, environment, ("A", "B"), features=features)


DATA = square(extra=2.0)
TEST = additivity_test(DATA, "A+B", n_multipliers=99, rng=0)
ONE_TEST = adjust_p_values({"A+B": TEST.p_value}, tests={"A+B": TEST})
TESTS = adjust_p_values(
    {"A+B": TEST.p_value, LONG: 0.6}, tests={"A+B": TEST, LONG: replace(TEST, effective_cells=12.3)}
)


def fit_samples(*, shift):
    """Cells of one normal law wherever a right model makes them so, those transported to A shifted."""

    def draw(part, moved=0.0):
        return {c: sample(60, 1, [part, i]) + moved * (c == "A") for i, c in enumerate(["ctrl", "A", HOSTILE])}

    return FitSamples(draw(0, shift), draw(1), draw(2), {"ctrl": sample(60, 1, 9)}, draw(3), draw(4))


GOODNESS = goodness_of_fit(fit_samples(shift=2.0), rng=0)


def observed_features():
    """Cells of a normal law: over-dispersed, with half of the entries lost, under-dispersed, above the mean, right."""
    y = np.random.default_rng(3).normal(size=(60, 500, 6))
    x = y[0] * [2, 1, 0.4, 1, 1, 1] + [0, 0, 0, 0.5, 0, 0]
    x[::2, 1] = 0.0
    return observation_fit(x, y[1:], features=("CD3", HOSTILE, "CD19", LONG, "CD8", "CD4"), rng=0)


OBSERVATION = observed_features()

MEANS = [[0, 0], [1, 0], [1.5, 1.5], [4, 4], [0.5, 0]]
ROLES = ["train", "train", OFF_SUPPORT, NOT_IDENTIFIED, SUPPORTED]
W = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, -1.0]])
ADJACENCY = np.array([[0, 0, 0], [0.8, 0, 0], [-0.5, 1.2, 0]])
TWINS = {c: tuple(sample(600, 5, i).reshape(2, 300, 5)) for i, c in enumerate(["ctrl", "A", "B", "A+C"])}

STUDY_ROWS = [
    {"metric": "n_eff", "seed": seed, "condition": c, "value": 10.0**k * (1 + seed), "status": "ok"}
    for k, c in enumerate(("A+B", LONG, HOSTILE, "C"))
    for seed in range(7)
]
COMPARED = {"of": {"condition": "C"}, "over": {"condition": "A+B"}}
EXPECTED = [
    Expectation(that=f"worth 100 cells, {HOSTILE}", metric="n_eff", of={}, each=["condition"], at_least=100),
    Expectation(that="C is worth more than A+B", metric="n_eff", **COMPARED, at_least=1),
    Expectation(that="it is near " * 12, metric="mmd", of={}, at_most=0.1),
]
EXPECTED += [
    Expectation(that="all failed", metric="mse", of={}, at_least=100),
    Expectation(that="one failed", metric="mae", of={}, each=["condition"], at_most=3, at_least=-1),
]
STUDY_ROWS += [
    {"metric": metric, "seed": seed, "condition": "A", "value": 1.0 + seed, "status": status}
    for metric, status in (("mse", "failed"), ("mae", "ok"))
    for seed in range(7)
]
STUDY_ROWS[-1]["status"] = "failed"
STUDY = Study("study", "?", "none", "", [{"scenario": HOSTILE, "seed": 0}], dict)

FIGURES = {
    "expectations": lambda: forest(EXPECTED, STUDY_ROWS),
    "medians": lambda: presentation(STUDY, None).figure(
        [{**row, "scenario": row["condition"], "estimator": "pdae"} for row in STUDY_ROWS]
    ),
    "verdicts": lambda: verdict_figure(VERDICT_ROWS),
    "design": lambda: design_figure(
        PLAN, ["A+B", LONG, "A"], ["B"], before=BEFORE, cells={"ctrl": (750, 0), LONG: (0, 12_400)}
    ),
    "additivity of one": lambda: additivity_figure(ONE_TEST, DATA.features),
    "additivity of many": lambda: additivity_figure(TESTS),
    "evaluation": lambda: evaluation_figure(RESULTS),
    "goodness": lambda: goodness_figure(GOODNESS),
    "goodness and observation": lambda: goodness_figure(GOODNESS, OBSERVATION),
    "training": lambda: training_figure(HISTORY),
    "counterexample": lambda: counterexample_figure(TWINS, {"A": 0.4, "A+C": 0.001}),
    "causal graph": lambda: causal_graph(ADJACENCY, np.eye(3), ("A", "B", HOSTILE)),
    "geometry": lambda: geometry_figure(
        MEANS, np.full((len(MEANS), 2, 2), 0.02) * [[1, 0.5], [0.5, 2]], ["ctrl", "A", "A+B", HOSTILE, "A:0.5"]
    ),
    "support map": lambda: support_map(MEANS, ["ctrl", "A", "A+B", HOSTILE, "A:0.5"], ROLES),
    "cells": lambda: cell_comparison(
        sample(d=3), sample(d=3, seed=1) + 0.2, title=HOSTILE, features=[HOSTILE, "x1", "x2"]
    ),
    "latents": lambda: latent_scatter(sample()[:, ::-1], sample() + 0.1 * sample(seed=1), sample()),
    "shifts": lambda: shift_vectors(W, W + 0.1, ("A", "B", HOSTILE), identified=[True, True, False]),
}
