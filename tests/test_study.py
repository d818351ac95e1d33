"""The study runner: pure tasks, files that count only when whole, failures as rows; evaluation; identification."""

from __future__ import annotations

import json
import os

import numpy as np
import pandas as pd
import pytest

from experiments import extrapolation
from pdae_sim import LinearLatentModel, PerturbationData, Simulator
from pdae_sim._checks import InputError
from pdae_sim.estimation.baselines import BASELINES
from pdae_sim.simulation.worlds import world
from pdae_sim.study import run as engine
from pdae_sim.study.evaluation import evaluate, halves
from pdae_sim.study.identification import identify
from pdae_sim.study.spec import Study, task_id
from pdae_sim.study.store import Store


def perform(task: dict) -> list[dict]:
    """A task that draws a number, or fails."""
    if task.get("fails") and not os.environ.get("PDAE_SIM_MENDED"):
        raise ArithmeticError("planted")
    value = float(np.random.default_rng(task["seed"]).normal())
    return [{"scenario": "s", "estimator": "e", "seed": task["seed"], "condition": "c", "metric": "m", "value": value}]


def study(n: int = 4, **last) -> Study:
    tasks = [{"seed": seed} for seed in range(n)]
    tasks[-1] |= last
    return Study("toy", "why?", "2.4", "because", tasks, perform)


def table(directory) -> pd.DataFrame:
    return pd.read_parquet(Store(directory).results).drop(columns="task_seconds")


def test_results_do_not_depend_on_the_number_of_workers(tmp_path):
    for workers in (1, 2):
        done = engine.run(study(), Store(tmp_path / str(workers)), workers=workers)
        assert (done.total, done.finished, done.failed) == (4, 4, 0)
    pd.testing.assert_frame_equal(table(tmp_path / "1"), table(tmp_path / "2"))


def test_finished_tasks_are_not_run_again_and_missing_ones_are(tmp_path):
    store = Store(tmp_path / "s")
    engine.run(study(), store)
    before = table(tmp_path / "s")
    files = sorted((tmp_path / "s" / "tasks").iterdir())
    stamps = [f.stat().st_mtime_ns for f in files[1:]]
    files[0].unlink()
    engine.run(study(), store)
    assert [f.stat().st_mtime_ns for f in files[1:]] == stamps
    pd.testing.assert_frame_equal(table(tmp_path / "s"), before)


def test_a_failure_is_a_row_with_traceback_and_seed_and_is_retried_on_request(tmp_path, monkeypatch):
    store, broken = Store(tmp_path / "s"), study(fails=True)
    assert engine.run(broken, store).failed == 1
    row = table(tmp_path / "s").query("status == 'failed'").iloc[0]
    assert "ArithmeticError: planted" in row["error"]
    assert row["seed"] == 3
    assert engine.run(broken, store).failed == 1
    monkeypatch.setenv("PDAE_SIM_MENDED", "1")
    assert engine.run(broken, store, retry=True).failed == 0


def undefined(task: dict) -> list[dict]:
    return [{**row, "value": float("nan")} for row in perform(task)]


def test_a_value_that_is_not_finite_is_a_failure_row_and_not_a_crash(tmp_path):
    store = Store(tmp_path / "s")
    assert engine.run(Study("toy", "", "", "", [{"seed": 0}], undefined), store).failed == 1
    row = table(tmp_path / "s").iloc[0]
    assert (row["status"], row["error"]) == ("failed", "value not finite")


def test_a_tasks_id_is_its_meaning():
    assert task_id("s", {"a": 1, "b": 2}) == task_id("s", {"b": 2, "a": 1})
    assert len({task_id("s", {"a": 1}), task_id("s", {"a": 2}), task_id("t", {"a": 1})}) == 3
    with pytest.raises(InputError, match="same task twice"):
        Study("s", "", "", "", [{"seed": 0}, {"seed": 0}], perform)


@pytest.fixture(scope="module")
def simulation():
    simulator = Simulator.random(LinearLatentModel.random(2, 3, rng=0), n_observed=4, rng=0)
    return simulator.sample(["ctrl", "A", "B", "A+B"], 240, rng=0, held_out=[False, False, False, True])


def test_evaluation_has_a_row_for_every_estimator_and_metric(simulation):
    estimators = {name: cls().fit(simulation.data) for name, cls in BASELINES.items()}
    rows = evaluate(estimators, simulation.data)
    assert {(r["estimator"], r["metric"]) for r in rows} == {
        (e, m)
        for e in [*BASELINES, "ceiling"]
        for m in ("energy_distance", "n_eff", "mmd", "mean_difference", "mean_r2")
    }
    assert json.dumps(rows, allow_nan=False)
    assert rows == evaluate(estimators, simulation.data)
    assert rows != evaluate(estimators, simulation.data, rng=1)


class Broken:
    def fit(self, data):
        return self

    def sample(self, label, n, *, rng=None):
        raise MemoryError("planted")


class Undefined(Broken):
    def sample(self, label, n, *, rng=None):
        return np.full((n, 4), np.nan)


def test_an_estimator_that_fails_is_a_row_and_not_a_gap(simulation):
    rows = evaluate({"broken": Broken(), "undefined": Undefined()}, simulation.data)
    errors = {r["estimator"]: r["error"] for r in rows if r["status"] == "failed"}
    assert "planted" in errors["broken"]
    assert "not finite" in errors["undefined"]


def test_the_halves_are_disjoint_and_cover(simulation):
    first, second = halves(simulation.data.test, np.random.SeedSequence(0))
    rows = [tuple(row) for half in (first, second) for row in half.x]
    assert len(set(rows)) == len(rows) == 240


def test_the_ceiling_is_near_zero_and_below_a_wrong_prediction(simulation):
    rows = evaluate({"control": BASELINES["control"]().fit(simulation.data)}, simulation.data)
    distance = {r["estimator"]: r["value"] for r in rows if r["metric"] == "energy_distance"}
    assert abs(distance["ceiling"]) < 0.1 * distance["control"]


def test_too_few_held_out_cells_are_a_row_with_the_reason(simulation):
    data = simulation.data
    few = data.rows((data.environment != 3) | (np.arange(len(data.x)) >= len(data.x) - 5))
    (row,) = (r for r in evaluate({}, few) if r["condition"] == "A+B")
    assert (row["status"], row["estimator"]) == ("failed", "ceiling")
    assert "the condition has 5 cells" in row["error"]


@pytest.mark.statistical
def test_the_order_of_a_files_rows_is_no_input():
    x = np.random.default_rng(0).normal(size=(3000, 1))
    labels = np.repeat([[0.0], [1.0]], [1000, 2000], axis=0)
    results = []
    for cells in (x[1000:], np.sort(x[1000:], axis=0)):
        data = PerturbationData.from_arrays(np.vstack([x[:1000], cells]), labels, held_out=labels[:, 0] > 0)
        rows = evaluate({"control": BASELINES["control"]().fit(data)}, data)
        results.append({(r["estimator"], r["metric"]): r for r in rows})
    shuffled, ordered = (found["control", "energy_distance"] for found in results)
    assert ordered["high"] < 3 * shuffled["high"] + 0.01
    assert abs(results[1]["control", "mmd"]["value"]) < 0.01


def test_one_metric_that_fails_leaves_the_others():
    labels = np.repeat([[0.0], [1.0]], 30, axis=0)
    data = PerturbationData.from_arrays(np.ones((60, 1)), labels, held_out=labels[:, 0] > 0)
    rows = evaluate({"pool": BASELINES["pool"]().fit(data)}, data)
    found = {r["metric"]: r for r in rows if r["estimator"] == "pool"}
    assert found["mmd"]["status"] == "failed"
    assert found["mean_difference"]["value"] == 0.0


def exact_model(simulation, W):
    """Stands where a fitted model stands, with the true encoder and a given Ŵ."""
    from types import SimpleNamespace

    simulator = Simulator.from_state(simulation.simulator)
    R = simulator.latent.whitening
    return SimpleNamespace(encode=lambda x: simulator.mixing.inverse(x) @ R.T, perturbation_matrix_=W)


def test_identification_is_perfect_for_the_truth_and_rejects_a_wrong_matrix(simulation):
    W = simulation.truth.isotropic().perturbation_matrix
    found = identify(exact_model(simulation, W), simulation, n=200)
    assert found.alignment.orthogonal_r2 > 1 - 1e-9
    assert found.gram_error < 1e-9
    wrong = identify(exact_model(simulation, 1.5 * W), simulation, n=200)
    assert wrong.gram_error > 2 * wrong.gram_error_oracle[1]


def test_the_demo_world_shows_all_three_situations():
    from pdae_sim.analysis.verdict import judge
    from pdae_sim.verdicts import NOT_IDENTIFIED, OFF_SUPPORT, SUPPORTED

    simulation = world("demo", ("design.cells=4096", "design.test_cells=10")).simulate()
    train, test = simulation.data.train, simulation.data.test
    W = simulation.truth.isotropic().perturbation_matrix
    verdicts = judge(train.labels, test.labels, counts=train.counts, perturbation_matrix=W)
    assert [v.name for v in verdicts] == [SUPPORTED, OFF_SUPPORT, NOT_IDENTIFIED]


def test_the_extrapolation_study_declares_five_worlds():
    declared = extrapolation.study()
    assert [task["seed"] for task in declared.tasks] == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_the_extrapolation_study_runs_and_reports(tmp_path):
    from experiments.page import study_page
    from pdae_sim.report.page import render

    declared = extrapolation.study(**extrapolation.SMOKE)
    store = Store(tmp_path / "s")
    assert engine.run(declared, store).failed == 0
    rows = store.collect(declared)
    assert {"in span", "out of span"} == {row["scenario"] for row in rows}
    assert "What theory predicts" in render(study_page(declared, extrapolation, rows))
