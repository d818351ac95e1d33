"""Metrics of identification in rows, for models and for the oracle."""

from __future__ import annotations

import numpy as np
import pytest

from pdae_sim import LinearLatentModel, Simulator
from pdae_sim.study.identification import identify
from pdae_sim.study.identification_metrics import identification_rows, oracle_rows


@pytest.fixture(scope="module")
def simulation():
    simulator = Simulator.random(LinearLatentModel.random(2, 3, rng=0), n_observed=4, rng=0)
    return simulator.sample(["ctrl", "A", "B", "A+B"], 240, rng=0, held_out=[False, False, False, True])


def exact_model(simulation, W):
    """Stands where a fitted model stands, with the true encoder and a given Ŵ."""
    from types import SimpleNamespace

    simulator = Simulator.from_state(simulation.simulator)
    R = simulator.latent.whitening
    return SimpleNamespace(encode=lambda x: simulator.mixing.inverse(x) @ R.T, perturbation_matrix_=W)


def test_identification_is_perfect_for_the_truth_and_rejects_a_wrong_matrix(simulation):
    W = simulation.truth.isotropic().perturbation_matrix
    found = identify(exact_model(simulation, W), simulation, n=200, rng=0)
    assert found.alignment.orthogonal_r2 > 1 - 1e-9
    assert found.gram_error < 1e-9
    wrong = identify(exact_model(simulation, 1.5 * W), simulation, n=200, rng=0)
    assert wrong.gram_error > 2 * wrong.gram_error_oracle[1]


def wider_model(simulation, W):
    """As `exact_model`, with a third latent that is noise."""
    from types import SimpleNamespace

    exact, rng = exact_model(simulation, np.vstack([W, np.zeros(W.shape[1])])), np.random.default_rng(0)
    wider = lambda x: np.column_stack([exact.encode(x), rng.normal(size=len(x))])  # noqa: E731
    return SimpleNamespace(encode=wider, perturbation_matrix_=exact.perturbation_matrix_)


@pytest.mark.parametrize("model", [exact_model, wider_model])
def test_identification_in_rows_also_with_a_latent_too_many(model, simulation):
    W = simulation.truth.isotropic().perturbation_matrix
    rows = {
        r["metric"]: r
        for r in identification_rows(model(simulation, W), simulation, ("affine_r2", "gram_error"), n=200, rng=0)
    }
    assert rows["affine_r2"]["value"] > 1 - 1e-9
    assert rows["gram_error"]["value"] < 1e-9
    wrong = identification_rows(model(simulation, -2 * W), simulation, ("gram_error",), n=200, rng=0)
    assert wrong[0]["value"] > 1


def test_the_oracles_gram_error_is_within_the_range_of_its_redraws(simulation):
    (row,) = oracle_rows(simulation, ("gram_error",), rng=0)
    assert row["estimator"] == "oracle"
    assert 0.2 * row["low"] < row["value"] < 5 * row["high"]
