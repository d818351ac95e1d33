"""PDAE: the laws of an estimator, persistence, interruption, and failures that name themselves."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from pdae_sim import PDAE, PerturbationData
from pdae_sim.errors import InputError, TrainingError
from pdae_sim.estimation import _checkpoint as checkpoints
from pdae_sim.estimation._pdae_files import config_of
from pdae_sim.estimation._sources import environment_weights
from pdae_sim.estimation.architecture import Architecture
from pdae_sim.estimation.phases import Phase
from pdae_sim.estimation.presets import DEFAULT, PRESETS

QUICK = tuple(replace(phase, steps=12, cells=16, held_out=0.3) for phase in DEFAULT.phases)
SMALL = Architecture(width=16, depth=2)


@pytest.fixture(scope="module")
def model(simulation):
    return quick().fit(simulation.data)


def quick(**fields) -> PDAE:
    return PDAE(2, **{"phases": QUICK, "architecture": SMALL, **fields})


def drawn(model: PDAE) -> np.ndarray:
    return model.sample("A+B", 50, rng=1)


def test_the_same_seed_gives_the_same_result_and_another_seed_another(simulation, model):
    assert np.array_equal(drawn(quick().fit(simulation.data)), drawn(model))
    assert not np.array_equal(drawn(quick(random_state=1).fit(simulation.data)), drawn(model))


def test_no_global_seed_is_read_or_set(simulation, model):
    torch.manual_seed(123)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    again = quick().fit(simulation.data)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    assert np.array_equal(drawn(again), drawn(model))


def test_held_out_cells_are_never_looked_at(simulation, model):
    data = simulation.data
    x = data.x.copy()
    x[data.held_out[data.environment]] = 1e9
    assert np.array_equal(drawn(quick().fit(replace(data, x=x))), drawn(model))


def test_the_order_of_environments_is_no_input(simulation, model):
    permuted = simulation.data.select([2, 0, 3, 1])
    assert np.array_equal(drawn(quick().fit(permuted)), drawn(model))


def test_the_control_may_have_another_name(simulation, model):
    renamed = replace(simulation.data, control="DMSO")
    assert np.array_equal(drawn(quick().fit(renamed)), drawn(model))


def test_rescaled_doses_rescale_the_matrix_and_nothing_else(simulation, model):
    data = simulation.data
    scaled = quick().fit(replace(data, labels=data.labels * [4.0, 0.5, 1.0]))
    np.testing.assert_allclose(scaled.perturbation_matrix_ * [4.0, 0.5, 1.0], model.perturbation_matrix_, rtol=1e-6)
    np.testing.assert_allclose(scaled.sample([4.0, 0.5, 0.0], 50, rng=1), drawn(model), rtol=1e-5, atol=1e-5)


def test_units_of_x_are_undone_in_sample(simulation, model):
    data = simulation.data
    other = quick().fit(replace(data, x=data.x * 1024.0 + 3.0))
    np.testing.assert_allclose((drawn(other) - 3.0) / 1024.0, drawn(model), atol=2e-2)


def test_a_perturbation_never_seen_has_no_effect_rather_than_a_random_one(model):
    assert (model.perturbation_matrix_[:, 2] == 0).all()
    assert np.array_equal(model.sample("A+C", 20, rng=1), model.sample("A", 20, rng=1))


def test_transport_to_the_source_is_reconstruction_and_moves_row_for_row(simulation, model):
    x = simulation.data.samples(1)
    np.testing.assert_allclose(model.transport(x, "A", "A"), model.decode(model.encode(x)))
    forth = model.transport(x, "A", "B")
    assert forth.shape == x.shape
    assert not np.allclose(forth, model.transport(x, "A", "A"))
    np.testing.assert_allclose(model.transport(x[::-1], "A", "B"), forth[::-1], rtol=1e-5, atol=1e-5)


def test_transport_and_sample_take_labels_and_conditions(simulation, model):
    x = simulation.data.samples(0)
    assert np.array_equal(model.transport(x, "ctrl", "A:0.5+B"), model.transport(x, [0, 0, 0], [0.5, 1, 0]))
    assert np.array_equal(model.sample("A+B", 7, rng=3), model.sample([1, 1, 0], 7, rng=3))


def test_environments_weigh_the_same_in_sample_whatever_their_cells(simulation):
    data = simulation.data
    kept = data.rows(~((data.environment == 0) & (np.arange(len(data.x)) % 2 != 0)))
    fitted = quick().fit(kept)
    share = environment_weights(
        "pool", np.zeros(len(data.names)), fitted.train_labels_, fitted.perturbation_matrix_, fitted.train_counts_
    )
    assert share.tolist() == pytest.approx([1 / 3] * 3)


def test_save_and_load_give_the_same_model_without_the_data(model, tmp_path):
    model.save(tmp_path / "m")
    again = PDAE.load(tmp_path / "m")
    x = np.ones((3, 5))
    assert np.array_equal(again.encode(x), model.encode(x))
    np.testing.assert_allclose(drawn(again), drawn(model), rtol=1e-5, atol=1e-6)
    assert again.history_ == model.history_
    assert config_of(again) == config_of(model)
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == ["config.json", "history.json", "weights.safetensors"]


def test_save_does_not_overwrite_unless_told_to_and_never_a_folder_that_is_no_model(model, tmp_path):
    model.save(tmp_path / "m")
    with pytest.raises(InputError, match="already exists"):
        model.save(tmp_path / "m")
    model.save(tmp_path / "m", force=True)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("years")
    with pytest.raises(InputError, match="not a model"):
        model.save(tmp_path / "precious", force=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m", "precious"]


@pytest.mark.parametrize("name", ["config.json", "history.json", "weights.safetensors"])
def test_a_damaged_model_says_so_in_one_line(model, tmp_path, name):
    model.save(tmp_path / "m")
    content = (tmp_path / "m" / name).read_bytes()
    (tmp_path / "m" / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="fit it again") as caught:
        PDAE.load(tmp_path / "m")
    assert "\n" not in str(caught.value)


def test_a_finished_fit_is_whitened_no_more_than_once(simulation, tmp_path):
    settling = (*QUICK[:1], replace(QUICK[1], whiten=True))
    path = tmp_path / "checkpoint"
    first = quick(phases=settling).fit(simulation.data, checkpoint=path)
    again = quick(phases=settling).fit(simulation.data, checkpoint=path)
    x = simulation.data.x
    assert np.array_equal(again.encode(x), first.encode(x))
    assert again.history_ == first.history_


class InterruptedFitError(Exception):
    pass


@pytest.mark.parametrize("stop_at", [5, 12, 24, *(pytest.param(k, marks=pytest.mark.slow) for k in (11, 20, 23, 35))])
def test_an_interrupted_fit_resumes_to_the_same_bits(simulation, model, tmp_path, monkeypatch, stop_at):
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.0)
    path, seen = tmp_path / "checkpoint", []

    def interrupt(progress):
        seen.append(progress.step)
        if len(seen) > stop_at:
            raise InterruptedFitError

    with pytest.raises(InterruptedFitError):
        quick().fit(simulation.data, checkpoint=path, on_step=interrupt)
    resumed = quick().fit(simulation.data, checkpoint=path, on_step=lambda progress: seen.append(progress.step))
    assert np.array_equal(drawn(resumed), drawn(model))
    assert resumed.history_ == model.history_
    assert len(seen) < 2 * 36  # it did resume
    assert path.exists()  # the caller deletes it once the model is saved


def test_a_checkpoint_of_another_fit_is_not_resumed(simulation, model, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.0)
    path, seen = tmp_path / "checkpoint", []

    def interrupt(progress):
        seen.append(progress.step)
        if len(seen) > 5:
            raise InterruptedFitError

    with pytest.raises(InterruptedFitError):
        quick(random_state=5).fit(simulation.data, checkpoint=path, on_step=interrupt)
    with caplog.at_level(logging.WARNING):
        fresh = quick().fit(simulation.data, checkpoint=path)
    assert "starting afresh" in caplog.text
    assert np.array_equal(drawn(fresh), drawn(model))


def test_relabelled_cells_are_another_fit(simulation, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.0)
    path, data = tmp_path / "checkpoint", simulation.data
    quick().fit(data, checkpoint=path)
    swapped = replace(data, environment=np.array([0, 2, 1, 3])[data.environment])
    with caplog.at_level(logging.WARNING):
        quick().fit(swapped, checkpoint=path)
    assert "starting afresh" in caplog.text


def test_what_is_not_fitted_or_not_data_says_so(simulation):
    with pytest.raises(InputError, match="not fitted"):
        PDAE(2).sample([1], 3)
    with pytest.raises(InputError, match="received ndarray"):
        PDAE(2).fit(simulation.data.x)
    with pytest.raises(InputError, match="at least two training conditions"):
        PDAE(2).fit(simulation.data.select([0]))


def test_a_dose_beyond_decoding_is_refused(model):
    with pytest.raises(InputError, match="too far from the training latents"):
        model.sample([1e39, 0, 0], 3)


def test_a_large_offset_is_not_taken_for_a_constant():
    from pdae_sim.estimation._scaling import Scaling

    x = 1e7 + 5 * np.random.default_rng(0).normal(size=(400, 1))
    data = PerturbationData.from_arrays(np.hstack([x, np.full((400, 1), 0.1)]), np.repeat([[0.0], [1.0]], 200, axis=0))
    scale = Scaling.of(data).scale
    assert scale[0] == pytest.approx(5, rel=0.1)
    assert scale[1] == 1.0


def test_a_loss_that_explodes_is_named_with_phase_step_and_term(simulation):
    x = simulation.data.x.astype(np.float32).copy()
    wild = tuple(replace(phase, learning_rate=1e30, clip=1e30) for phase in QUICK)
    with pytest.raises(TrainingError, match=r"(loss term '\w+'|gradient of) .*at step \d+ of phase 'chart'"):
        quick(phases=wild).fit(replace(simulation.data, x=x))


def test_nan_in_data_is_caught_where_it_enters():
    with pytest.raises(InputError, match=r"x must be finite; 1 of 12 values are not, the first at \(2, 1\)"):
        PerturbationData.from_arrays(np.where(np.arange(12).reshape(6, 2) == 5, np.nan, 1.0), np.zeros((6, 1)))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"beta": 2.0}, "beta must lie strictly between"),
        ({"random_state": -1}, "random_state must be a whole number"),
        ({"n_latents": 0}, "n_latents must be a whole number"),
        ({"phases": PRESETS["quick"]}, r"phases must be one Phase or more, such as PRESETS\['quick'\].phases"),
        ({"phases": "quick"}, "phases must be one Phase or more"),
        ({"phases": []}, "phases must be one Phase or more"),
        ({"device": "tpu"}, "device must be cpu, cuda"),
        pytest.param(
            {"device": "cuda"},
            "device must be .* can use",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="it can be used here"),
        ),
    ],
)
def test_bad_settings_are_refused_by_name(fields, words):
    with pytest.raises(InputError, match=words):
        PDAE(**{"n_latents": 2, **fields})


def test_more_latents_than_observed_coordinates_are_refused(simulation):
    with pytest.raises(InputError, match="must not exceed the observed dimension 5"):
        PDAE(6, phases=QUICK).fit(simulation.data)


def test_hidden_layers_are_modules_of_their_own(model):
    weights = model._network.encoder.map.weights
    assert len({id(weight) for weight in weights}) == len(weights) == SMALL.depth + 1
    assert len({id(p) for p in model._network.parameters()}) == len(list(model._network.parameters()))


def test_noise_injection_makes_the_decoder_random_and_its_absence_does_not(simulation, model):
    z = np.zeros((4, 2))
    assert np.array_equal(model.decode(z, rng=1), model.decode(z, rng=2))
    noisy = quick(architecture=replace(SMALL, n_noise=2)).fit(simulation.data)
    assert not np.array_equal(noisy.decode(z, rng=1), noisy.decode(z, rng=2))
    assert np.array_equal(noisy.decode(z, rng=1), noisy.decode(z, rng=1))


def test_softplus_output_is_non_negative_in_the_units_of_the_data(simulation):
    data = replace(simulation.data, x=np.exp(simulation.data.x))
    fitted = quick(architecture=replace(SMALL, output="softplus")).fit(data)
    assert (fitted.sample("A+B", 200, rng=0) >= 0).all()


def test_many_environments_take_part_in_turns():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.vstack([np.zeros(20), np.eye(20)]), 6, axis=0)
    data = PerturbationData.from_arrays(rng.normal(size=(len(labels), 4)), labels)
    phases = tuple(replace(phase, steps=4, cells=4, environments=5) for phase in DEFAULT.phases)
    assert PDAE(2, phases=phases, architecture=SMALL).fit(data).sample("P3+P4", 5, rng=0).shape == (5, 4)


def test_cells_drawn_one_by_one_make_environments_weigh_by_their_numbers():
    from pdae_sim.estimation._bank import frame, training_cells

    labels = np.repeat([[0.0], [1.0]], [300, 100], axis=0)
    data = PerturbationData.from_arrays(np.random.default_rng(0).normal(size=(400, 3)), labels)
    model = PDAE(1)
    cells = training_cells([model], frame([model], [data]))
    phase = Phase("p", 10, {"pooled_prior": 1.0}, cells=40, sampling="cells")
    seen = np.concatenate([cells.batch(phase, step)[1][0, :, 0].numpy() for step in range(10)])
    assert (len(seen), seen.sum()) == (400, 100)  # one epoch holds every cell once


def test_a_model_of_another_schema_says_what_to_do(model, tmp_path):
    model.save(tmp_path / "m")
    config = tmp_path / "m" / "config.json"
    for version, words in ((2, "fit the model again"), (99, "update pdae_sim")):
        config.write_text(config.read_text().replace('"schema_version": 4', f'"schema_version": {version}'))
        with pytest.raises(InputError, match=words):
            PDAE.load(tmp_path / "m")
        config.write_text(config.read_text().replace(f'"schema_version": {version}', '"schema_version": 4'))


@pytest.mark.parametrize("architecture", [{"depth": 0}, {"skip": False}, {"widths": [8, 4]}, {"charted": False}])
def test_every_shape_of_network_fits_and_loads(simulation, tmp_path, architecture):
    shape = replace(SMALL, **architecture)
    phases = QUICK if shape.charted else PRESETS["joint"].phases
    fitted = quick(architecture=shape, phases=tuple(replace(p, steps=3, cells=8) for p in phases)).fit(simulation.data)
    fitted.save(tmp_path / "m")
    np.testing.assert_allclose(drawn(PDAE.load(tmp_path / "m")), drawn(fitted), rtol=1e-5, atol=1e-6)
