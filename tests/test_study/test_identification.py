"""The identifiability report of a fitted model: its record, its nulls and its figure."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import ortho_group

from pdae_sim import LinearLatentModel, PerturbationData, Simulator
from pdae_sim._json import plain
from pdae_sim.analysis import efficient_limit
from pdae_sim.analysis.identifiability.nested_maps import MAP_CLASSES
from pdae_sim.cli._app import run
from pdae_sim.estimation.baseline_encoders import random_encoder
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.estimation.presets import DEFAULT
from pdae_sim.study import identification
from pdae_sim.study.identification import _mean_matrix, identify


@pytest.fixture(scope="module")
def recovered():
    """A world, and the report of an exact model of it."""
    simulator = Simulator.random(LinearLatentModel.random(2, 3, rng=0), n_observed=4, rng=0)
    simulation = simulator.sample(["ctrl", "A", "B", "C"], 150, rng=0)
    R, Q = simulator.latent.whitening, ortho_group.rvs(2, random_state=0)
    W = Q @ simulation.truth.isotropic().perturbation_matrix
    model = SimpleNamespace(encode=lambda x: simulator.mixing.inverse(x) @ R.T @ Q.T, perturbation_matrix_=W)
    return simulation, model, identify(model, simulation, n=300, rng=0)


@pytest.fixture(scope="module")
def fitted(simulation, tmp_path_factory):
    """A model after two steps a phase, what it was fitted to, and a folder that holds both."""
    folder = tmp_path_factory.mktemp("identify")
    model = PDAE(2, phases=DEFAULT.shortened(2).phases, random_state=0).fit(simulation.data)
    model.save(folder / "m")
    simulation.write(folder / "d.h5ad")
    return model, simulation, folder


class TestReport:
    def test_an_exact_model_is_identified_up_to_orthogonal(self, recovered):
        _, _, found = recovered
        assert found.outcome.name == "identified up to orthogonal"
        assert found.outcome.beyond_null.low > 0.01
        assert max(found.joint.latents, found.joint.matrix, found.joint.base) < 1e-12

    def test_its_record_has_the_fields_of_the_contract_and_more(self, recovered):
        record = json.loads(json.dumps(plain(recovered[2].to_json()), allow_nan=False))
        contract = {"affine_r2", "orthogonal_r2", "singular_values", "gram_error", "rotation", "intervals"}
        assert contract | {"outcome", "maps", "joint", "effects", "angles", "gram", "nulls"} <= set(record)
        assert [row["condition"] for row in record["effects"]] == ["A", "B", "C"]
        assert len(record["angles"]) == 3
        for row in record["effects"]:
            assert row["learnt"] == pytest.approx(row["truth"])
            assert row["permuted"] < row["truth"]

    def test_whoever_learns_the_mixing_has_a_greater_error_than_whoever_sees_the_latents(self, recovered):
        simulation, _, found = recovered
        train, W = simulation.data.train, simulation.truth.isotropic().perturbation_matrix
        limit = efficient_limit(train.labels, counts=train.counts, perturbation_matrix=W, reference=train.reference)
        low, high = found.gram_error_oracle
        assert low < limit.gram_error_seen < high
        assert found.gram_error_limit == limit.gram_error > limit.gram_error_seen

    def test_it_is_the_same_every_time(self, recovered):
        simulation, model, found = recovered
        assert identify(model, simulation, n=300, rng=0).to_json() == found.to_json()

    def test_permuted_environments_have_no_effect(self, recovered):
        simulation, _, found = recovered
        low, high = found.nulls.permuted_gram_error
        assert found.gram_error < 1e-9 < 0.5 < low <= high
        z = simulation.truth.isotropic().z
        W, root = simulation.truth.perturbation_matrix, np.random.SeedSequence(0)
        again, sizes = identification._permuted_environments(z, simulation.data, W, found.shifts, root)
        assert (sizes < np.linalg.norm(found.true_moves, axis=1)).all()
        assert again[0] > 0.5

    def test_means_give_back_the_matrix(self, recovered):
        """Latents without any spread: least squares is exact."""
        simulation, _, _ = recovered
        W, data = simulation.truth.perturbation_matrix, simulation.data
        z = (data.labels @ W.T)[data.environment] + 3
        assert np.allclose(identification._mean_matrix(z, data), W)

    def test_a_random_encoder_is_white_random_and_no_oracle(self, recovered):
        simulation, model, found = recovered
        data = simulation.data
        first, other = (random_encoder(model, data, rng=seed)(data.x) for seed in (0, 1))
        within = first - np.array([first[data.environment == e].mean(0) for e in range(4)])[data.environment]
        assert np.allclose(np.cov(within.T), np.eye(2), atol=1e-6)
        assert not np.allclose(first, other)
        assert found.nulls.maps["orthogonal"].r2.high < found.maps["orthogonal"].r2.low

    def test_an_untrained_network_stands_for_a_trained_one(self, fitted):
        model, simulation, _ = fitted
        z = random_encoder(model, simulation.data, rng=0)(simulation.data.x)
        assert z.shape == (len(simulation.data.x), 2)
        assert not np.allclose(z, model.encode(simulation.data.x))

    def test_latents_that_collapse_have_no_rotation_and_no_name(self, recovered):
        simulation, model, _ = recovered
        flat = SimpleNamespace(
            encode=lambda x: 0 * model.encode(x), perturbation_matrix_=0 * model.perturbation_matrix_
        )
        found = identify(flat, simulation, n=100, rng=0)
        assert found.joint is None
        assert found.outcome.name == "not identified"

    def test_latents_of_shuffled_cells_are_not_identified(self, recovered):
        simulation, model, _ = recovered
        shuffled = SimpleNamespace(
            encode=lambda x: model.encode(x)[::-1], perturbation_matrix_=model.perturbation_matrix_
        )
        assert identify(shuffled, simulation, n=100, rng=0).outcome.name == "not identified"


class TestFigure:
    def test_it_is_returned_and_speaks(self, recovered):
        import matplotlib
        from matplotlib.figure import Figure

        from pdae_sim.report import figure_png, identifiability_figure

        figure = identifiability_figure(recovered[2])
        assert type(figure) is Figure
        words = {text.get_text() for text in figure.findobj(matplotlib.text.Text)}
        assert {"identified up to orthogonal", *MAP_CLASSES, "A", "B", "C"} <= words
        assert figure_png(figure, dpi=40).startswith(b"\x89PNG")

    def test_the_command_draws_it_once(self, fitted, capsys):
        folder, words = fitted[2], ["identify", "m", "d.h5ad", "--json", "--quiet", "--figure"]
        words[1:3] = [str(folder / word) for word in words[1:3]]
        assert run([*words, str(folder / "f.png")]) == 0
        assert json.loads(capsys.readouterr().out)["outcome"]["name"]
        assert (folder / "f.png").read_bytes().startswith(b"\x89PNG")
        assert run([*words, str(folder / "f.png")]) == 2
        assert "already exists" in capsys.readouterr().err
        assert run([*words, str(folder / "f.gif")]) == 2
        assert "--figure must end in .png" in capsys.readouterr().err


def test_mean_shifts_are_the_regression_over_cells():
    """Conditions of 3 to 90 cells, more of them than perturbations: every cell counts once, the reference's too."""
    rng, counts = np.random.default_rng(0), [3, 90, 20, 50, 7]
    labels = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 0.5]])
    environment = np.repeat(np.arange(5), counts)
    data = PerturbationData(rng.normal(size=(len(environment), 1)), labels, environment, ("A", "B"))
    z = rng.normal(size=(len(environment), 3))
    design = np.column_stack([np.ones(len(z)), labels[environment]])
    expected = np.linalg.lstsq(design, z, rcond=None)[0][1:].T
    np.testing.assert_allclose(_mean_matrix(z, data), expected, atol=1e-12)
    moved = replace(data, x=data.x, labels=np.add(labels, [0.5, -1.0]))  # no control: the first is the origin
    np.testing.assert_allclose(_mean_matrix(z, moved), expected, atol=1e-12)
