"""Presets: the published settings, and plans that run on the networks they are meant for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pdae_sim import PDAE
from pdae_sim.estimation.architecture import Architecture
from pdae_sim.estimation.presets import PRESETS


def test_the_published_preset_has_the_published_settings():
    model = PDAE.published(101)
    (phase,) = model.phases
    assert phase.weights == {"all_pairs": 10.0, "reconstruction": 0.1, "pooled_prior": 1e-4, "sparsity": 1e-4}
    assert (phase.cells, phase.sampling, phase.schedule, phase.learning_rate) == (128, "cells", "constant", 1e-4)
    shape = model.architecture
    assert (shape.hidden, shape.activation, shape.output) == ((512, 256, 256, 128), "elu", "softplus")
    assert (shape.n_noise, shape.noise_scale, shape.skip, shape.charted) == (27, 0.1, False, False)


def test_the_published_plan_fits_counts_and_never_predicts_below_zero(simulation):
    data = replace(simulation.data, x=np.exp(simulation.data.x))
    model = PDAE.published(2, steps=2)
    fitted = model.set_params(phases=[replace(model.phases[0], cells=16)]).fit(data)
    assert {"all_pairs", "reconstruction", "pooled_prior", "sparsity"} <= set(fitted.history_[-1])
    assert (fitted.sample("A+B", 50, rng=0) >= 0).all()


def test_the_joint_plan_runs_and_its_weights_are_recorded(simulation):
    phases = tuple(replace(phase, steps=5, cells=8) for phase in PRESETS["joint"].phases)
    fitted = PDAE(2, phases=phases, architecture=Architecture(width=16)).fit(simulation.data)
    assert {"perturbation", "autoencoding", "prior"} <= set(fitted.history_[-1])


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_trains_its_own_networks(name, simulation):
    preset = PRESETS[name].shortened(1)
    phases = [replace(phase, cells=8) for phase in preset.phases]
    data = replace(simulation.data, x=np.exp(simulation.data.x))
    assert np.isfinite(PDAE(2, phases=phases, architecture=preset.architecture).fit(data).sample("A", 5, rng=0)).all()


def test_steps_are_those_of_every_phase_or_left_alone():
    assert {phase.steps for phase in PRESETS["staged"].shortened(7).phases} == {7}
    assert PRESETS["staged"].shortened(None) is PRESETS["staged"]
