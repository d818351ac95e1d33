"""Metrics of effects: against cell-eval, whose definitions they are, and against naive forms."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from pdae_sim.analysis.effect_metrics import (
    ControlCells,
    DifferentialExpression,
    direction_match,
    discrimination_score,
    overlap_at_n,
    pearson_delta,
)
from pdae_sim.errors import InputError
from tests.test_analysis.cell_eval_pair import FEATURES, PERTURBATIONS, cell_eval_scores, expression_pair

STORED = json.loads((Path(__file__).parent / "cell_eval.json").read_text(encoding="utf-8"))["scores"]


def own_scores() -> dict[str, dict[str, float]]:
    """The metrics of the pair by this package."""
    measured, predicted = expression_pair()
    control = ControlCells(measured["ctrl"], log1p=True)
    real, guess = (
        {name: x.mean(0, dtype=float) for name, x in cells.items() if name != "ctrl"} for cells in (measured, predicted)
    )
    tests = {name: [control.differential_expression(cells[name]) for cells in (predicted, measured)] for name in real}
    effects = np.array(list(real.values())) - control.mean

    def discrimination(name: str, distance: str) -> float:
        kept = np.array(FEATURES) != name
        effect, index = (guess[name] - control.mean)[kept], PERTURBATIONS.index(name)
        return discrimination_score(effect, effects[:, kept], index, distance=distance)

    return {
        "pearson_delta": {name: pearson_delta(guess[name], real[name], control.mean) for name in real},
        "mse": {name: float(((guess[name] - real[name]) ** 2).mean()) for name in real},
        "mae": {name: float(np.abs(guess[name] - real[name]).mean()) for name in real},
        "discrimination_score_l1": {name: discrimination(name, "l1") for name in real},
        "discrimination_score_cosine": {name: discrimination(name, "cosine") for name in real},
        "de_direction_match": {name: direction_match(*tests[name]) for name in real},
        "overlap_at_N": {name: overlap_at_n(*tests[name]) for name in real},
    }


@pytest.mark.parametrize("tool", STORED)
def test_they_agree_with_cell_eval(tool):
    own = own_scores()
    assert set(STORED[tool]) == set(own)
    for metric, scores in STORED[tool].items():
        assert own[metric] == pytest.approx(scores, abs=1e-6), metric  # cell-eval's means are in float32


def test_they_agree_with_cell_eval_as_it_is_installed():
    pytest.importorskip("cell_eval", reason="compares with the stored values alone")
    for metric, scores in cell_eval_scores().items():
        assert own_scores()[metric] == pytest.approx(scores, abs=1e-6), metric


@pytest.mark.parametrize("kind", ["continuous", "counts", "constant"])
def test_p_values_are_scipys(kind):
    rng = np.random.default_rng(0)
    draw = {
        "continuous": lambda n: rng.normal(size=(n, 20)),
        "counts": lambda n: rng.poisson(0.3, size=(n, 20)).astype(float),
        "constant": lambda n: np.ones((n, 2)),
    }[kind]
    control, x = draw(150), draw(40)
    p = stats.mannwhitneyu(x, control, axis=0, method="asymptotic").pvalue
    expected = stats.false_discovery_control(np.nan_to_num(p, nan=1.0))
    found = ControlCells(control, log1p=False).differential_expression(x)
    assert found.fdr == pytest.approx(expected, abs=1e-12)
    assert found.change == pytest.approx(x.mean(0) - control.mean(0))


def test_up_and_down_are_told_apart():
    effects = np.array([[1.0, 2.0, 0.0], [-1.0, -2.0, 0.0], [0.0, 0.0, 1.0]])
    for distance in ("l1", "l2", "cosine"):
        assert discrimination_score(effects[0], effects, 0, distance=distance) == 1.0
        assert discrimination_score(effects[1], effects, 0, distance=distance) == pytest.approx(1 / 3)


def test_equal_distances_share_their_rank():
    effects = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [-1.0, 0.0]])
    scores = [discrimination_score(np.zeros(2), effects, i, distance=d) for i in range(4) for d in ("l1", "cosine")]
    assert scores == [1 - 1.5 / 4] * 8


def test_a_change_alike_in_all_features_has_no_correlation():
    change = np.array([0.1, 0.3, 0.7])
    assert math.isnan(pearson_delta(change + 0.2, change + 1.0, change + 0.1))
    assert pearson_delta(-change, change, np.zeros(3)) == pytest.approx(-1)


def test_nothing_expressed_differentially_is_no_score():
    none = DifferentialExpression(np.ones(3), np.ones(3))
    some = DifferentialExpression(np.ones(3), np.zeros(3))
    assert math.isnan(direction_match(some, none))
    assert math.isnan(overlap_at_n(some, none))
    assert overlap_at_n(none, some) == 0.0


def test_fold_changes_are_of_expression():
    control, x = np.log1p([[2.0, 0.0, 0.0], [2.0, 0.0, 0.0]]), np.log1p([[8.0, 1.0, 0.0], [8.0, 1.0, 0.0]])
    found = ControlCells(control, log1p=True).differential_expression(x)
    assert found.change.tolist() == pytest.approx([2.0, np.inf, 0.0])


def test_an_unknown_distance_is_refused():
    with pytest.raises(InputError, match="distance must be one of l1, l2, cosine"):
        discrimination_score(np.zeros(2), np.zeros((2, 2)), 0, distance="l3")
