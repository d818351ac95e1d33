"""The adversarial autoencoder: what the adversary takes out of the code, and what it leaves with no weight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pdae_sim import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation._additive_code import AdditiveCode
from pdae_sim.estimation.adversarial import AdversarialAutoencoder, Adversary, _PredictedVariance, _standardised
from pdae_sim.estimation.architecture import Architecture
from tests.test_estimation.test_conditional import adversarial

SHIFT = 3.0


def toy(seed: int, shift: float = SHIFT) -> PerturbationData:
    """One coordinate that perturbation A shifts, and three that know nothing of it."""
    x = np.random.default_rng(seed).normal(size=(2000, 4))
    labels = np.repeat([[0.0], [1.0]], 1000, axis=0)
    return PerturbationData.from_arrays(x + shift * labels * [1, 0, 0, 0], labels, names=("A",))


def fitted(weight: float, seed: int = 0, steps: int = 400) -> AdversarialAutoencoder:
    return AdversarialAutoencoder(
        4,
        architecture=Architecture(width=32, depth=1),
        min_variance=0.1,
        adversary=Adversary(weight=weight, penalty=0.1, learning_rate=1e-2, width=32),
        phase=replace(AdversarialAutoencoder().phase, steps=steps, cells=64, learning_rate=2e-3),
        random_state=seed,
    ).fit(toy(0))


@pytest.fixture(scope="module")
def with_adversary():
    return fitted(10.0, steps=80)


@pytest.fixture(scope="module")
def brief():
    """Without an adversary that weighs."""
    return fitted(0.0, steps=80)


@pytest.fixture(scope="module")
def without():
    return fitted(0.0)


def read_off(model: AdversarialAutoencoder) -> float:
    """Share of fresh cells whose label a probe, quadratic in the basal code and fitted to other cells, reads off."""

    def features(data):
        z = _standardised(torch.from_numpy(model.basal(data.x))[None, None])[0, 0].numpy()
        pairs = z[:, :, None] * z[:, None]
        return np.column_stack([np.ones(len(z)), z, pairs[:, *np.triu_indices(z.shape[1])]])

    probe = np.linalg.lstsq(features(toy(1)), 2.0 * toy(1).environment - 1, rcond=None)[0]
    return float(((features(toy(2)) @ probe > 0) == toy(2).environment).mean())


@pytest.fixture(scope="module")
def several():
    """Five fits: now and then the adversary is outwitted, and the label stays in the code."""
    return [fitted(10.0, seed) for seed in (9, 10, 11, 12, 13)]


@pytest.mark.slow
@pytest.mark.statistical
def test_the_adversary_takes_the_label_out_of_the_code_and_no_adversary_does_not(several, without):
    assert read_off(without) > 0.9  # Φ(SHIFT / 2) = 0.93 is the best there is
    assert np.median([read_off(model) for model in several]) < 0.65


@pytest.mark.slow
@pytest.mark.statistical
def test_the_effect_then_carries_the_shift_and_else_it_need_not(several, without):
    """Control cells under A are moved by what the code was not left to tell."""

    def moved(model) -> float:
        return (model.sample("A", 3000, rng=0) - model.sample("ctrl", 3000, rng=0)).mean(0)[0]

    assert 0.5 * SHIFT < np.median([moved(model) for model in several]) < 1.3 * SHIFT
    assert abs(moved(without)) < 0.25 * SHIFT


def test_history_tells_what_the_adversary_knows(with_adversary, brief):
    assert set(brief.history_[-1]) == {"phase", "step", "likelihood", "adversary", "penalty"}
    known = {m: np.mean([row["adversary"] for row in m.history_[-10:]]) for m in (with_adversary, brief)}
    assert known[brief] < 0.5 < known[with_adversary]


def test_dose_curves_begin_at_nothing_and_rise():
    for curved in (False, True):
        likelihood, generators = _PredictedVariance(5, 1e-3), [torch.Generator().manual_seed(0)]
        network = AdditiveCode((3, 3, 2), Architecture(width=8), likelihood, generators, curved=curved)
        doses = torch.linspace(-3, 3, 13)[None, :, None].expand(1, 13, 2)
        response = network.response(doses)
        assert (response[0, 6] == 0).all()
        assert (response.diff(dim=1) > 0).all()


def test_effects_of_a_perturbation_never_seen_are_zero():
    data = toy(0)
    wider = replace(data, labels=np.column_stack([data.labels, [0.0, 0.0]]), names=("A", "B"))
    effects = adversarial().fit(wider).effects_
    assert effects.shape == (2, 8)
    assert (effects[1] == 0).all()
    assert (effects[0] != 0).all()


def test_codes_are_of_cells_of_as_many_coordinates(brief):
    assert brief.basal(np.zeros((3, 4))).shape == (3, 4)
    with pytest.raises(InputError, match="x must have 4 columns; received 3"):
        brief.basal(np.zeros((3, 3)))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Adversary(weight=-1.0), "adversary.weight must be a finite number ≥ 0"),
        (lambda: Adversary(rounds=0), "adversary.rounds must be a whole number"),
        (lambda: AdversarialAutoencoder(0), "n_latents must be a whole number"),
        (lambda: AdversarialAutoencoder(dose_curve="cubic"), "dose_curve must be one of linear, sigmoid"),
        (lambda: AdversarialAutoencoder(min_variance=0.0), "min_variance must be a finite number"),
        (lambda: AdversarialAutoencoder(architecture=Architecture(output="softplus")), "must be linear here"),
    ],
)
def test_bad_settings_are_refused_by_name(wrong, words):
    with pytest.raises(InputError, match=words):
        wrong()
