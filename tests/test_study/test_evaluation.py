"""Evaluation and identification: every estimator judged alike, on held-out conditions and against the truth."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from pdae_sim import LinearLatentModel, PerturbationData, Simulator
from pdae_sim.contexts import in_contexts
from pdae_sim.estimation.baselines import BASELINES
from pdae_sim.study._effects import EFFECT_METRICS, ExpressionScale, scaled
from pdae_sim.study._held_out import halves
from pdae_sim.study.evaluation import PREDICTION_METRICS, effect_cells, evaluate


@pytest.fixture(scope="module")
def simulation():
    simulator = Simulator.random(LinearLatentModel.random(2, 3, rng=0), n_observed=4, rng=0)
    return simulator.sample(["ctrl", "A", "B", "A+B"], 240, rng=0, held_out=[False, False, False, True])


def test_evaluation_has_a_row_for_every_estimator_and_metric(simulation):
    estimators = {name: cls().fit(simulation.data) for name, cls in BASELINES.items()}
    shares: list[float] = []
    rows = evaluate(estimators, simulation.data, n_samples=200, rng=0, on_share=shares.append)
    predictions = len(simulation.data.test.conditions) * (len(estimators) + 1)
    assert shares == [(k + 1) / predictions for k in range(predictions)]
    assert {(r["estimator"], r["metric"]) for r in rows} == {
        (e, m) for e in [*BASELINES, "ceiling"] for m in PREDICTION_METRICS
    }
    assert json.dumps(rows, allow_nan=False)
    assert rows == evaluate(estimators, simulation.data, n_samples=200, rng=0)
    assert rows != evaluate(estimators, simulation.data, n_samples=200, rng=1)


class Broken:
    def fit(self, data):
        return self

    def sample(self, label, n, *, rng=None):
        raise MemoryError("planted")


class Undefined(Broken):
    def sample(self, label, n, *, rng=None):
        return np.full((n, 4), np.nan)


def test_an_estimator_that_fails_is_a_row_and_not_a_gap(simulation):
    rows = evaluate({"broken": Broken(), "undefined": Undefined()}, simulation.data, rng=0)
    errors = {r["estimator"]: r["error"] for r in rows if r["status"] == "failed"}
    assert "planted" in errors["broken"]
    assert "not finite" in errors["undefined"]


def test_the_halves_are_disjoint_and_cover(simulation):
    first, second = halves(simulation.data.test, np.random.SeedSequence(0))
    rows = [tuple(row) for half in (first, second) for row in half.x]
    assert len(set(rows)) == len(rows) == 240


def test_the_ceiling_is_near_zero_and_below_a_wrong_prediction(simulation):
    rows = evaluate({"control": BASELINES["control"]().fit(simulation.data)}, simulation.data, rng=0)
    distance = {r["estimator"]: r["value"] for r in rows if r["metric"] == "energy_distance"}
    assert abs(distance["ceiling"]) < 0.1 * distance["control"]


def test_the_limit_of_the_ceiling_is_the_mean_over_all_ways_to_leave_half_of_it_out():
    x = np.random.default_rng(0).normal(size=(48, 2))
    data = PerturbationData.from_arrays(x, ["ctrl"] * 40 + ["A"] * 8, held_out=[False] * 40 + [True] * 8)
    (row,) = evaluate({}, data, metrics=["energy_distance"], rng=0)
    reference, replicate = (half.x for half in halves(data.test, np.random.SeedSequence(0)))
    mean = lambda a, b: np.linalg.norm(a[:, None] - b, axis=2).mean()  # noqa: E731
    distance = lambda cells: 2 * mean(cells, reference) - mean(cells, cells) - 4 / 3 * mean(reference, reference)  # noqa: E731
    pairs = [distance(replicate[list(pair)]) for pair in itertools.combinations(range(4), 2)]
    assert row["cells"] == 4
    assert row["limit"] == pytest.approx(2 * distance(replicate) - np.mean(pairs))
    assert row["limit_low"] <= max(row["limit"], 0.0) <= row["limit_high"]


def test_too_few_held_out_cells_are_rows_with_the_reason(simulation):
    data = simulation.data
    few = data.rows((data.environment != 3) | (np.arange(len(data.x)) >= len(data.x) - 5))
    rows = [row for row in evaluate({}, few, rng=0) if row["condition"] == "A+B"]
    assert [row["metric"] for row in rows] == list(PREDICTION_METRICS)
    assert all((row["status"], row["estimator"]) == ("failed", "ceiling") for row in rows)
    assert all("the condition has 5 cells" in row["error"] for row in rows)


@pytest.mark.statistical
def test_the_order_of_a_files_rows_is_no_input():
    x = np.random.default_rng(0).normal(size=(3000, 1))
    labels = np.repeat([[0.0], [1.0]], [1000, 2000], axis=0)
    results = []
    for cells in (x[1000:], np.sort(x[1000:], axis=0)):
        data = PerturbationData.from_arrays(np.vstack([x[:1000], cells]), labels, held_out=labels[:, 0] > 0)
        rows = evaluate({"control": BASELINES["control"]().fit(data)}, data, rng=0)
        results.append({(r["estimator"], r["metric"]): r for r in rows})
    shuffled, ordered = (found["control", "energy_distance"] for found in results)
    assert ordered["high"] < 3 * shuffled["high"] + 0.01
    assert abs(results[1]["control", "mmd"]["value"]) < 0.01


def test_one_metric_that_fails_leaves_the_others():
    labels = np.repeat([[0.0], [1.0]], 30, axis=0)
    data = PerturbationData.from_arrays(np.ones((60, 1)), labels, held_out=labels[:, 0] > 0)
    rows = evaluate({"pool": BASELINES["pool"]().fit(data)}, data, rng=0)
    found = {r["metric"]: r for r in rows if r["estimator"] == "pool"}
    assert found["mmd"]["status"] == "failed"
    assert found["mean_difference"]["value"] == 0.0


@pytest.mark.parametrize("metric", ["n_eff", "mse"])
def test_metrics_not_asked_for_are_not_measured_and_change_no_other(simulation, metric):
    control = {"control": BASELINES["control"]().fit(simulation.data)}
    rows = evaluate(control, simulation.data, n_samples=200, metrics=(metric,), rng=0)
    every = evaluate(control, simulation.data, n_samples=200, rng=0)
    assert rows == [row for row in every if row["metric"] == metric]


@pytest.fixture(scope="module")
def screen():
    """Counts of twelve genes under control, four singles and three held-out doubles."""
    rng = np.random.default_rng(0)
    names = np.array(["ctrl", "A", "B", "C", "D", "A+B", "C+D", "A+C"])
    effects = {name: rng.normal(size=12) for name in "ABCD"} | {"ctrl": np.zeros(12)}
    rate = 6 * rng.random(12)
    cells = [rng.poisson(rate * np.exp(sum(effects[part] for part in name.split("+"))), (400, 12)) for name in names]
    held_out = np.repeat(["+" in name for name in names], 400)
    return PerturbationData.from_arrays(np.vstack(cells).astype(float), np.repeat(names, 400), held_out=held_out)


def test_effects_are_scaled_between_the_pool_and_a_replicate(screen):
    estimators = {name: BASELINES[name]().fit(screen) for name in ("pool", "control", "additive")}
    rows = evaluate(estimators, screen, metrics=EFFECT_METRICS, rng=0)
    assert len(rows) == 4 * 3 * len(EFFECT_METRICS)
    assert not any("scaled" in row for row in evaluate({}, screen, metrics=["mean_difference"], rng=0))
    place = {(r["condition"], r["estimator"], r["metric"]): r["scaled"] for r in rows}
    for condition in ("A+B", "C+D", "A+C"):
        for metric in ("pearson_delta", "pearson_delta_pert", "mse", "mae", "overlap_at_N"):
            assert place[condition, "pool", metric] == 0
            assert place[condition, "ceiling", metric] == 1
    value = {(r["condition"], r["estimator"], r["metric"]): r["value"] for r in rows}
    assert value["A+B", "ceiling", "pearson_delta"] > 0.99
    assert abs(value["A+B", "control", "pearson_delta"]) < 0.8
    assert all(value[c, "ceiling", "discrimination_score_l1"] == 1 for c in ("A+B", "C+D", "A+C"))


def test_effects_of_counts_are_those_of_their_logarithms(screen):
    logged = ExpressionScale.of(screen.train.x)
    data = replace(screen, x=logged(screen.x))
    counts, logs = (
        evaluate({"control": BASELINES["control"]().fit(d)}, d, metrics=EFFECT_METRICS, rng=0) for d in (screen, data)
    )
    assert [r["value"] for r in counts] == pytest.approx([r["value"] for r in logs])


@pytest.mark.parametrize(
    ("metric", "values", "place"),
    [
        ("mse", (1.0, 2.0, 0.5), 2 / 3),
        ("pearson_delta", (0.5, 0.1, 0.9), 0.5),
        ("pearson_delta", (0.5, 0.9, 0.9), None),
        ("mae", (0.5, 0.4, 0.9), None),
        ("pearson_delta", (None, 0.1, 0.9), None),
    ],
)
def test_the_place_of_a_value(metric, values, place):
    assert scaled(metric, *values) == (None if place is None else pytest.approx(place))


def test_what_has_no_effect_to_compare_with_says_so():
    x = np.random.default_rng(0).normal(size=(120, 3))
    held_out = [False, False, True] * 40
    data = PerturbationData.from_arrays(x, ["A", "B", "A+B"] * 40, held_out=held_out, no_control=True)
    rows = evaluate({}, data, metrics=EFFECT_METRICS, rng=0)
    errors = {r["metric"]: r["error"] for r in rows if r["status"] == "failed"}
    assert "no control condition" in errors["pearson_delta"]
    assert "there is only one" in errors["discrimination_score_l1"]
    assert {r["metric"] for r in rows if r["status"] == "ok"} == {"pearson_delta_pert", "mse", "mae"}


def test_changes_count_from_the_control_of_the_same_context():
    """Lines a and b, b moved by 10 in every feature: what is measured and predicted counts from ctrl@b, not ctrl@a."""
    effects = {"ctrl": [0.0, 0.0, 0.0], "A": [1.0, 0.0, 0.0], "B": [0.0, 1.0, 0.0], "A+B": [1.0, 1.0, 0.0]}
    rng, rows, names, lines = np.random.default_rng(0), [], [], []
    for line, offset in (("a", 0.0), ("b", 10.0)):
        for name, effect in effects.items():
            rows.append(rng.normal(scale=0.01, size=(40, 3)) + offset + effect)
            names += [name] * 40
            lines += [line] * 40
    data = in_contexts(PerturbationData.from_arrays(np.vstack(rows), names), [lines], shared=1)
    data = replace(data, held_out=np.isin(data.conditions, ["A+B@b", "B@b"]))
    fitted = {name: BASELINES[name]().fit(data) for name in ("control", "additive", "pseudobulk")}
    means = {name: each.sample("A+B@b", 400, rng=0).mean(0) for name, each in fitted.items()}
    np.testing.assert_allclose(means["control"], [10, 10, 10], atol=0.02)
    np.testing.assert_allclose(means["additive"], [11, 11, 10], atol=0.02)
    assert means["pseudobulk"].max() < 9  # of both lines: A@a, B@a, A+B@a and A@b
    chosen = ["pearson_delta", "pearson_delta_pert", "discrimination_score_l1", "mae"]
    values = {
        (row["estimator"], row["metric"]): row["value"]
        for row in evaluate(fitted, data, metrics=chosen, rng=0)
        if row["condition"] == "A+B@b"
    }
    assert values["additive", "pearson_delta"] == pytest.approx(1.0, abs=1e-3)
    assert abs(values["control", "pearson_delta"]) < 0.95  # noise: it changes nothing from its own control
    assert values["additive", "pearson_delta_pert"] == pytest.approx(1.0, abs=1e-3)  # from A@b, the only one of b
    assert values["additive", "discrimination_score_l1"] == 1.0
    cells = effect_cells({"additive": fitted["additive"]}, replace(data, x=data.x.clip(0)), rng=0)["real"]
    assert (cells.conditions, cells.names) == (("ctrl", "B", "A+B"), ("A", "B"))
    np.testing.assert_allclose(cells.samples(0).mean(0), [10, 10, 10], atol=0.02)
