"""Many fits at once: each as if it were alone, up to rounding."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from pdae_sim import PDAE, LinearLatentModel, Simulator
from pdae_sim.errors import InputError, TrainingError
from pdae_sim.estimation._bank import frame, start, training_cells
from pdae_sim.estimation._whitening import _frame, whiten
from pdae_sim.estimation.architecture import Architecture
from pdae_sim.estimation.presets import DEFAULT, PRESETS
from pdae_sim.estimation.replicates import _SHARE_JUDGED, fit_replicates, fit_restarts

SMALL = Architecture(width=16)
QUICK = tuple(replace(phase, steps=8, cells=16, held_out=0.3) for phase in DEFAULT.phases)
TOLERANCE = 1e-3
"""Of latents after a few steps: float32 rounding, some 1e-7, as Adam's division by small slots blows it up."""


def data_of(seed: int, cells: int = 80):
    latent = LinearLatentModel.random(2, 3, rng=seed)
    simulator = Simulator.random(latent, n_observed=5, rng=seed)
    return simulator.sample(["ctrl", "A", "B", "A+B"], cells, rng=seed, held_out=[False, False, False, True]).data


@pytest.mark.parametrize("settings", [{"n_latents": 4}, {"n_latents": 2, "architecture": replace(SMALL, n_noise=2)}])
def test_probes_and_decoder_noise_are_a_replicate_s_own(settings):
    data = data_of(2)
    settings = {"architecture": SMALL, "phases": [replace(phase, steps=5) for phase in QUICK], **settings}
    together = fit_replicates([PDAE(random_state=seed, **settings) for seed in (3, 4)], [data, data])
    for model in together:
        alone = PDAE(random_state=model.random_state, **settings).fit(data)
        np.testing.assert_allclose(model.encode(data.x), alone.encode(data.x), atol=TOLERANCE)
        np.testing.assert_allclose(model.sample("A+B", 9, rng=0), alone.sample("A+B", 9, rng=0), atol=TOLERANCE)


@pytest.mark.parametrize(
    ("phases", "charted"),
    [
        (QUICK, True),
        (PRESETS["joint"].phases, False),
        (PRESETS["represent"].phases, False),
        (PRESETS["published_small"].phases, False),
    ],
    ids=["staged", "joint", "represent", "published"],
)
def test_a_replicate_is_what_it_is_alone(phases, charted):
    short = tuple(replace(phase, steps=8, cells=16) for phase in phases)
    settings = {"phases": short, "architecture": replace(SMALL, charted=charted)}
    data = [data_of(0), data_of(1, cells=83), data_of(0)]
    together = fit_replicates([PDAE(2, random_state=seed, **settings) for seed in (0, 1, 5)], data)
    for model, each in zip(together, data, strict=True):
        alone = PDAE(2, random_state=model.random_state, **settings).fit(each)
        x = each.samples(1)
        np.testing.assert_allclose(model.encode(x), alone.encode(x), atol=TOLERANCE)
        np.testing.assert_allclose(model.perturbation_matrix_, alone.perturbation_matrix_, atol=TOLERANCE)
        np.testing.assert_allclose(model.sample("A+B", 9, rng=0), alone.sample("A+B", 9, rng=0), atol=TOLERANCE)
        assert [row["step"] for row in model.history_] == [row["step"] for row in alone.history_]
    assert not np.allclose(together[0].encode(x), together[2].encode(x), atol=10 * TOLERANCE)


def test_replicates_that_would_keep_out_other_numbers_of_cells_are_refused():
    models = [PDAE(2, architecture=SMALL, phases=QUICK, random_state=seed) for seed in (0, 1)]
    with pytest.raises(
        InputError, match=r"replicates must keep out as many cells .* received \[\(0, 0\), \(24, 72\)\]"
    ):
        fit_replicates(models, [data_of(0), data_of(1, cells=60)])


def test_rates_and_weights_are_a_replicate_s_own():
    data, slow = data_of(0), tuple(replace(phase, learning_rate=1e-3) for phase in QUICK)
    heavy = (QUICK[0], replace(QUICK[1], weights={"likelihood": 0.5, "density_ratio": 2.0, "inversion": 0.1}), QUICK[2])
    clipped = tuple(replace(phase, clip=0.01) for phase in QUICK)
    plans = (QUICK, slow, heavy, clipped)
    together = fit_replicates([PDAE(2, architecture=SMALL, phases=p) for p in plans], [data] * 4)
    x = data.samples(1)
    for model, plan in zip(together, plans, strict=True):
        alone = PDAE(2, architecture=SMALL, phases=plan).fit(data)
        np.testing.assert_allclose(model.encode(x), alone.encode(x), atol=TOLERANCE)
    assert not np.allclose(together[0].encode(x), together[1].encode(x), atol=10 * TOLERANCE)


def test_what_a_bank_must_share_is_named():
    data = data_of(0)
    for other, words in (
        (PDAE(1, phases=QUICK), "the same d_X, d_Z and K"),
        (PDAE(2, phases=QUICK, beta=0.5), "the same beta; received 1.0 and 0.5"),
        (PDAE(2, phases=QUICK, architecture=SMALL), "the same architecture"),
        (PDAE(2, phases=QUICK[:1]), "the same plan"),
        (PDAE(2, phases=[replace(phase, decay=0.1) for phase in QUICK]), "the same plan"),
    ):
        with pytest.raises(InputError, match=words):
            fit_replicates([PDAE(2, phases=QUICK), other], [data, data])
    with pytest.raises(InputError, match="the same training environments"):
        fit_replicates([PDAE(2, phases=QUICK) for _ in range(2)], [data, data.select([0, 1])])
    with pytest.raises(InputError, match="different objects"):
        fit_replicates([PDAE(2, phases=QUICK)] * 2, [data, data])
    with pytest.raises(InputError, match="as many"):
        fit_replicates([PDAE(2)], [])


def test_one_replicate_that_explodes_is_told():
    wild = tuple(replace(phase, learning_rate=1e30, clip=1e30) for phase in QUICK)
    with pytest.raises(TrainingError, match="not finite"):
        fit_replicates([PDAE(2, phases=QUICK), PDAE(2, phases=wild)], [data_of(0)] * 2)


def test_cells_given_twice_are_held_once():
    models = [PDAE(2, random_state=seed) for seed in (0, 1)]
    data = data_of(0)
    framed = [frame([model], [data])[0] for model in models]
    assert len(training_cells(models, [framed[0], framed[0]]).x) == 240
    assert len(training_cells(models, framed).x) == 480


class TestWhitening:
    def test_base_latents_are_white_and_the_matrix_is_least_squares(self):
        data = data_of(3, cells=500).train
        model = PDAE(2, architecture=SMALL, phases=[replace(QUICK[0], steps=3)]).fit(data)
        z, W = model.encode(data.x), model.perturbation_matrix_
        base = z - (data.labels @ W.T)[data.environment]
        means = np.array([base[data.environment == e].mean(0) for e in range(3)])
        within = np.concatenate([base[data.environment == e] - means[e] for e in range(3)])
        np.testing.assert_allclose(within.T @ within / (len(base) - 3), np.eye(2), atol=1e-4)
        np.testing.assert_allclose(means, 0, atol=1e-4)  # as many free shifts as conditions

    @pytest.mark.parametrize("n_noise", [0, 2])
    def test_the_decoder_follows_the_latents(self, n_noise):
        data = data_of(3, cells=200).train
        shape = replace(SMALL, n_noise=n_noise)
        model = PDAE(2, architecture=shape, phases=[replace(QUICK[0], steps=3, whiten=False)])
        network, cells = start([model], frame([model], [data]))

        def rebuilt():
            with torch.no_grad():
                return network.decoder(network.encoder(cells.x[None]), [torch.Generator().manual_seed(0)])

        before, latents = rebuilt(), network.encoder(cells.x[None]).detach()
        whiten(network, cells)
        assert not torch.allclose(network.encoder(cells.x[None]), latents, atol=0.1)
        torch.testing.assert_close(rebuilt(), before, atol=1e-4, rtol=1e-4)

    def test_the_regression_weighs_conditions_by_their_cells_and_takes_any_labels(self):
        rng = np.random.default_rng(0)
        labels = np.array([[1.0, 1.0, 0.0], [1.0, 2.0, 0.0], [1.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 0.5]])
        counts = np.array([50, 500, 2000, 60, 300])
        means, root = rng.normal(size=(5, 2)), np.array([[2.0, 0.5], [0.5, 1.0]])
        found_root, offset, W = _frame(labels, counts, means, root @ root)
        design = np.column_stack([np.ones(5), labels[:, 1:]])  # the first column repeats the intercept
        normal = design.T @ (counts[:, None] * design)
        wanted = np.linalg.solve(normal, design.T @ (counts[:, None] * means))
        np.testing.assert_allclose(offset + labels @ np.linalg.solve(found_root.T, W).T, design @ wanted, atol=1e-9)
        np.testing.assert_allclose(found_root, np.linalg.inv(root), atol=1e-9)
        unweighted = np.linalg.lstsq(design, means, rcond=None)[0]
        assert not np.allclose(design @ unweighted, design @ wanted, atol=0.05)

    def test_cells_that_vary_in_fewer_directions_than_latents_are_refused(self):
        data = data_of(0)
        flat = replace(data, x=np.repeat(data.x[:, :2], 2, axis=1), features=("a", "b", "c", "d"))
        with pytest.raises(InputError, match="n_latents must not exceed 2, the directions in which x varies"):
            PDAE(3, phases=QUICK).fit(flat)

    def test_a_linear_world_is_solved_before_the_first_step(self):
        rng = np.random.default_rng(0)
        W, mixing = np.array([[1.0, 0.0], [0.0, 2.0]]), rng.normal(size=(2, 6))
        labels = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        environment = np.repeat([0, 1, 2], 20_000)
        z = rng.normal(size=(60_000, 2)) + (labels @ W.T)[environment]
        from pdae_sim import PerturbationData

        data = PerturbationData.from_arrays(z @ mixing, labels[environment])
        fitted = PDAE(2, phases=[replace(DEFAULT.phases[0], steps=0)]).fit(data).perturbation_matrix_
        np.testing.assert_allclose(fitted.T @ fitted, W.T @ W, atol=5 * np.sqrt(8 * 2 / 20_000))


def test_the_bank_keeps_the_precision_of_its_cells():
    model = PDAE(2, phases=QUICK, architecture=SMALL).fit(data_of(0))
    assert {p.dtype for p in model._network.parameters()} == {torch.float32}


class TestRestarts:
    def test_the_best_of_several_is_returned_by_cells_no_step_saw(self, caplog):
        data = data_of(0, cells=300)
        models = [PDAE(2, architecture=SMALL, phases=QUICK, random_state=seed) for seed in range(3)]
        with caplog.at_level(logging.INFO, "pdae_sim"):
            best = fit_restarts(models, data)
        told = next(r.getMessage() for r in caplog.records if r.getMessage().startswith("restarts:"))
        losses = [float(part) for part in told.removeprefix("restarts: ").split(", ")]
        assert best is models[int(np.argmin(losses))]
        assert len(set(losses)) == 3

    def test_a_model_that_learnt_nothing_is_not_chosen(self):
        data = data_of(0, cells=300)
        longer = tuple(replace(phase, steps=60) for phase in QUICK)
        idle = tuple(replace(phase, learning_rate=0.0) for phase in longer)
        models = [PDAE(2, architecture=SMALL, phases=plan) for plan in (idle, longer, idle)]
        assert fit_restarts(models, data) is models[1]

    def test_held_out_conditions_are_never_looked_at(self):
        data = data_of(0, cells=300)
        spoilt = replace(data, x=np.where(data.held_out[data.environment][:, None], 1e3, data.x))
        found = [
            fit_restarts([PDAE(2, architecture=SMALL, phases=QUICK, random_state=s) for s in (0, 1)], each)
            for each in (data, spoilt)
        ]
        assert found[0].random_state == found[1].random_state
        np.testing.assert_array_equal(found[0].perturbation_matrix_, found[1].perturbation_matrix_)

    def test_what_is_judged_no_step_saw(self):
        models = [PDAE(2, architecture=SMALL, phases=QUICK)]
        cells = training_cells(models, frame(models, [data_of(0, cells=300)]))
        judged = cells.split_held_out(_SHARE_JUDGED)[1][0]
        seen = cells.split_held_out(QUICK[0].held_out)[0]
        rows = {tuple(row) for each in seen.rows[0] for row in cells.x[each].tolist()}
        assert judged.shape[2] == 30
        assert not rows & {tuple(row) for row in judged.flatten(0, 2).tolist()}

    def test_phases_that_keep_too_few_out_and_conditions_too_small_are_refused(self):
        models = [PDAE(2, phases=PRESETS["joint"].phases, random_state=seed) for seed in (0, 1)]
        with pytest.raises(InputError, match=r"phase 'joint' must have held_out of at least 0\.1; received 0"):
            fit_restarts(models, data_of(0))
        models = [PDAE(2, architecture=SMALL, phases=QUICK, random_state=seed) for seed in (0, 1)]
        with pytest.raises(InputError, match="one has too few cells"):
            fit_restarts(models, data_of(0, cells=12))

    def test_the_number_of_latents_is_estimated_once_for_all(self, caplog):
        models = [PDAE(architecture=SMALL, phases=QUICK, random_state=seed) for seed in range(3)]
        with caplog.at_level(logging.INFO, "pdae_sim"):
            fit_replicates(models, [data_of(0)] * 3)
        assert caplog.text.count("n_latents = 2") == 1
        assert all(model.dimension_ is models[0].dimension_ for model in models)
