"""Fits of many cells of counts: no hidden copies, precision, stochastic decoders with outputs that are counts' own."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from pdae_sim import PDAE, PerturbationData, energy_distance
from pdae_sim.energy import distance_sum, paired_distances
from pdae_sim.errors import InputError
from pdae_sim.estimation import _scaling as scaling
from pdae_sim.estimation._losses import TERMS, Step
from pdae_sim.estimation._networks import Network
from pdae_sim.estimation._observation import OBSERVATION_MODELS
from pdae_sim.estimation._scaling import Scaling
from pdae_sim.estimation.architecture import Architecture
from pdae_sim.estimation.presets import DEFAULT, PRESETS
from pdae_sim.estimation.replicates import fit_replicates
from pdae_sim.simulation.worlds import world

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
SHORT = tuple(replace(phase, steps=20, cells=32) for phase in DEFAULT.phases)


def short(steps: int) -> tuple:
    return tuple(replace(phase, steps=steps) for phase in SHORT)


SMALL = Architecture(width=16)


@pytest.fixture(scope="module")
def counts():
    """Log-normalised counts of 50 genes."""
    return world("counts", ("design.cells=400", "design.test_cells=1000")).simulate().data


def few_at_once(monkeypatch) -> None:
    """Blocks of 16 rows wherever cells are passed through."""
    monkeypatch.setattr(scaling, "BLOCK_ELEMENTS", 16 * 50)


class TestCopies:
    def test_an_order_of_all_environments_shares_their_cells(self, counts):
        train = counts.train
        assert np.shares_memory(train.select(np.arange(len(train.labels))[::-1]).x, train.x)
        assert not np.shares_memory(counts.select([0, 1]).x, counts.x)

    def test_scaling_by_environment_is_that_of_all_environments_at_once(self, counts):
        environments = [counts.samples(e) for e in range(len(counts.labels))]
        mean = np.mean([x.mean(0) for x in environments], axis=0)
        spread = np.sqrt(np.mean([((x - mean) ** 2).mean(0) for x in environments], axis=0))
        found = Scaling.of(counts)
        np.testing.assert_allclose(found.centre, mean, rtol=1e-12)
        np.testing.assert_allclose(found.scale, spread, rtol=1e-12)

    def test_standardised_cells_do_not_depend_on_the_blocks(self, counts, monkeypatch):
        scaled = Scaling.of(counts)
        whole = scaled.forward(counts.x)
        few_at_once(monkeypatch)
        assert np.array_equal(scaled.forward(counts.x), whole)
        rows = np.array([5, 3, 3, 900])
        assert np.array_equal(scaled.gathered(counts.x, rows), whole[rows])

    @pytest.mark.parametrize("output", ["linear", "softplus"])
    def test_a_fit_does_not_depend_on_the_blocks_beyond_rounding(self, counts, monkeypatch, output):
        model = PDAE(2, phases=short(4), architecture=replace(SMALL, n_noise=5, output=output))
        whole = model.fit(counts).sample("A+B", 200, rng=1)
        few_at_once(monkeypatch)
        np.testing.assert_allclose(model.fit(counts).sample("A+B", 200, rng=1), whole, rtol=2e-3, atol=2e-3)

    def test_float32_cells_are_encoded_without_a_wider_copy_and_to_the_same_latents(self, counts):
        model = PDAE(2, phases=short(2), architecture=SMALL).fit(counts)
        x = counts.x[:50].astype(np.float32)
        assert np.array_equal(model.encode(x), model.encode(x.astype(np.float64)))
        assert model.encode(x[:0]).shape == (0, 2)

    def test_distances_of_points_that_are_all_alike_do_not_depend_on_the_blocks(self, monkeypatch):
        x = 5.0 + 1e-3 * torch.randn(3, 40, 30, generator=torch.Generator().manual_seed(0))
        whole = distance_sum(x)
        monkeypatch.setattr("pdae_sim.energy._REPAIRED_ELEMENTS", 64)
        assert torch.equal(distance_sum(x), whole)
        exact = torch.linalg.vector_norm(x[:, :, None].double() - x[:, None].double(), dim=-1).sum((1, 2))
        torch.testing.assert_close(whole.double(), exact, rtol=1e-4, atol=0)


class TestPrecision:
    def test_it_is_one_of_two(self):
        with pytest.raises(InputError, match="precision must be one of float32, bfloat16; received 'half'"):
            PDAE(2, precision="half")

    def test_networks_are_lowered_inside_and_only_inside(self):
        network, x = bank("bfloat16"), torch.randn(1, 40, 6, generator=torch.Generator().manual_seed(1))
        exact = network.encoder(x)
        with network.lowered():
            rounded = network.encoder(x)
        assert rounded.dtype == exact.dtype == torch.float32
        assert 1e-5 < float((rounded - exact).detach().abs().max() / exact.detach().abs().max()) < 3e-2
        assert torch.equal(network.encoder(x), exact)

    def test_a_failure_inside_leaves_them_as_they_were(self):
        network = bank("bfloat16")
        with pytest.raises(RuntimeError), network.lowered():
            raise RuntimeError
        assert not network.encoder.map.lowered

    def test_float32_is_not_touched(self):
        network, x = bank("float32"), torch.ones(1, 4, 6)
        with network.lowered():
            assert torch.equal(network.encoder(x), network.encoder(x))
            assert not network.encoder.map.lowered

    def test_gradients_and_losses_are_float32_and_near_the_exact_ones(self):
        losses, gradients = zip(*(descended(precision) for precision in ("float32", "bfloat16")), strict=True)
        assert losses[1].dtype == gradients[1].dtype == torch.float32
        assert not torch.equal(*losses)
        torch.testing.assert_close(*losses, rtol=1e-2, atol=0)
        cosine = torch.nn.functional.cosine_similarity(*gradients, dim=0)
        assert cosine > 0.999

    def test_a_fit_in_bfloat16_ends_near_that_in_float32_and_keeps_float32_weights(self, counts):
        exact, lowered = (
            PDAE(2, phases=SHORT, architecture=SMALL, precision=p).fit(counts) for p in ("float32", "bfloat16")
        )
        assert all(p.dtype == torch.float32 for p in lowered._network.parameters())
        np.testing.assert_allclose(
            [row.get("reconstruction", 0) for row in lowered.history_],
            [row.get("reconstruction", 0) for row in exact.history_],
            rtol=0.05,
        )

    def test_on_a_processor_it_is_allowed_and_said_to_be_slow(self, counts, caplog):
        settings = {"phases": short(1), "architecture": SMALL, "observation": "noiseless"}
        PDAE(2, **settings).fit(counts)
        assert not [r for r in caplog.records if r.levelname == "WARNING"]
        PDAE(2, **settings, precision="bfloat16").fit(counts)
        assert "bfloat16 on a CPU" in next(r.message for r in caplog.records if r.levelname == "WARNING")

    def test_it_is_saved_loaded_and_reproducible(self, counts, tmp_path):
        model = PDAE(2, phases=short(3), architecture=SMALL, precision="bfloat16").fit(counts)
        model.save(tmp_path / "m")
        assert PDAE.load(tmp_path / "m").precision == "bfloat16"
        again = PDAE(2, phases=short(3), architecture=SMALL, precision="bfloat16").fit(counts)
        assert np.array_equal(again.sample("A+B", 9, rng=0), model.sample("A+B", 9, rng=0))

    def test_a_model_saved_before_there_was_a_choice_is_float32(self, counts, tmp_path):
        PDAE(2, phases=short(1), architecture=SMALL).fit(counts).save(tmp_path / "m")
        path = tmp_path / "m" / "config.json"
        config = json.loads(path.read_text())
        del config["precision"], config["sha256"]
        config["schema_version"] = 3
        path.write_text(json.dumps(config))
        assert PDAE.load(tmp_path / "m").precision == "float32"

    def test_replicates_have_one_precision(self, counts):
        models = [PDAE(2, phases=SHORT, architecture=SMALL, precision=p) for p in ("float32", "bfloat16")]
        with pytest.raises(InputError, match="same precision"):
            fit_replicates(models, [counts] * 2)

    @needs_cuda
    @pytest.mark.parametrize("observation", [name for name in OBSERVATION_MODELS if name != "noiseless"])
    def test_a_fit_through_noise_on_cuda_is_used_there_and_on_the_processor(self, observation, tmp_path):
        x = np.random.default_rng(0).poisson(5.0, size=(400, 8)).astype(float)
        x = 0.5 + np.log1p(x) if observation in ("log_normal", "dropout") else x
        data = PerturbationData.from_arrays(x, ["ctrl", "A", "B", "A+B"] * 100)
        here, there = (PDAE(2, observation=observation, steps=10, device=d).fit(data) for d in ("cpu", "cuda"))
        last = [list(model.history_[-1].values())[2] for model in (here, there)]
        assert abs(last[1] - last[0]) < 0.1 * abs(last[0])
        there.save(tmp_path / "m")
        for model in (there, PDAE.load(tmp_path / "m")):
            assert np.isfinite(model.encode(x)).all()
            assert model.sample("A+B", 50, rng=0).shape == (50, 8)

    @needs_cuda
    @pytest.mark.parametrize("precision", ["float32", "bfloat16"])
    @pytest.mark.parametrize("phases", [SHORT, PRESETS["joint"].shortened(20).phases], ids=["staged", "joint"])
    def test_a_fit_on_cuda_ends_near_that_on_the_processor(self, counts, phases, precision):
        settings = {"phases": phases, "architecture": replace(SMALL, n_noise=3, output="softplus")}
        here = PDAE(2, **settings).fit(counts)
        there = PDAE(2, **settings, device="cuda", precision=precision).fit(counts)
        last = [list(model.history_[-1].values())[2:] for model in (here, there)]
        np.testing.assert_allclose(last[1], last[0], rtol=0.2)
        assert (there.sample("A+B", 100, rng=0) >= 0).all()


class TestStochasticDecoder:
    def test_two_draws_are_best_at_the_spread_of_the_cells_and_one_draw_at_none(self):
        spreads = torch.tensor([0.0, 0.5, 1.0, 2.0])
        two, one = zip(*(reconstructions(float(spread)) for spread in spreads), strict=True)
        assert spreads[int(np.argmin(two))] == 1.0
        assert spreads[int(np.argmin(one))] == 0.0

    def test_draws_differ_and_a_seed_repeats_them(self, counts):
        model = PDAE(2, phases=short(2), architecture=replace(SMALL, n_noise=3)).fit(counts)
        z = np.zeros((5, 2))
        assert np.array_equal(model.decode(z, rng=1), model.decode(z, rng=1))
        assert not np.allclose(model.decode(z, rng=1), model.decode(z, rng=2))
        assert len(np.unique(model.decode(z, rng=1)[:, 0])) == 5

    def test_noise_of_their_own_is_independent_between_coordinates_and_shared_noise_is_not(self):
        def correlation(**fields) -> float:
            network = Network((30, 2, 1), replace(SMALL, **fields), [torch.Generator().manual_seed(0)])
            with torch.no_grad():
                x = network.decoder(torch.zeros(1, 4000, 2), [torch.Generator().manual_seed(1)])[0]
            return float((torch.corrcoef(x.T) - torch.eye(30)).abs().max())

        assert correlation(own_noise=True) < 5 / np.sqrt(4000)
        assert correlation(n_noise=1) > 0.9

    def test_noise_of_their_own_alone_makes_a_decoder_stochastic(self, counts, tmp_path):
        assert not SMALL.stochastic
        model = PDAE(2, phases=short(2), architecture=replace(SMALL, own_noise=True)).fit(counts)
        z = np.zeros((5, 2))
        assert not np.allclose(model.decode(z, rng=1), model.decode(z, rng=2))
        model.save(tmp_path / "m")
        assert np.array_equal(PDAE.load(tmp_path / "m").decode(z, rng=1), model.decode(z, rng=1))

    def test_the_plan_for_screens_gives_counts_like_cells(self, counts):
        plan = PRESETS["screen"]
        model = PDAE(2, phases=plan.shortened(2).phases, architecture=plan.architecture).fit(counts)
        drawn = model.sample("A+B", 100, rng=0)
        assert (drawn >= 0).all()
        assert len(np.unique(drawn, axis=0)) == 100

    @pytest.mark.slow
    @pytest.mark.statistical
    def test_counts_are_predicted_in_their_units_with_their_spread_which_a_deterministic_decoder_lacks(self, counts):
        truth = counts.test.x
        spread, distance, low = {}, {}, {}
        for name, fields in {
            "noisy": {"n_noise": 50, "output": "softplus"},
            "own noise": {"own_noise": True, "output": "softplus"},
            "deterministic": {"output": "softplus"},
            "linear": {"n_noise": 50},
        }.items():
            phases = [replace(phase, steps=300) for phase in DEFAULT.phases]
            drawn = PDAE(2, phases=phases, architecture=Architecture(**fields)).fit(counts).sample("A+B", 1000, rng=0)
            spread[name] = drawn.var(0).sum() / truth.var(0).sum()
            distance[name], low[name] = energy_distance(drawn, truth, unbiased=True), drawn.min()
            np.testing.assert_allclose(drawn.mean(), truth.mean(), rtol=0.1)
        assert low["linear"] < 0
        assert spread["deterministic"] < 0.6
        for name in ("noisy", "own noise"):
            assert low[name] >= 0
            assert 0.7 < spread[name] < 1.4
            assert 5 * distance[name] < distance["deterministic"]


def bank(precision: str) -> Network:
    return Network((6, 2, 3), SMALL, [torch.Generator().manual_seed(0)], precision=precision)


def descended(precision: str) -> tuple[torch.Tensor, torch.Tensor]:
    """A loss of one step and its gradient in the decoder."""
    network, generator = bank(precision), torch.Generator().manual_seed(1)
    x, labels = torch.randn(1, 3, 20, 6, generator=generator), torch.eye(3)[None]
    with network.lowered():
        loss = TERMS["perturbation"](Step(network, x, labels, 1.0, [generator])).sum()
    loss.backward()
    return loss.detach(), torch.cat([p.grad.flatten() for p in network.decoder.parameters()])


def reconstructions(spread: float) -> tuple[float, float]:
    """The reconstruction loss of standard normal cells, and its first part alone, where decoded cells have a spread."""
    shape = Architecture(depth=0, n_noise=1, charted=False)
    network, generator = Network((1, 1, 1), shape, [torch.Generator()]), torch.Generator().manual_seed(0)
    with torch.no_grad():
        weight, bias = network.decoder.network.weights[0], network.decoder.network.biases[0]
        weight.copy_(torch.tensor([[[0.0], [spread]]]))
        bias.zero_()
        x = torch.randn(1, 1, 4000, 1, generator=generator)
        step = Step(network, x, torch.zeros(1, 1, 1), 1.0, [generator])
        return float(TERMS["reconstruction"](step)), float(paired_distances(step.decode(step.z), x).mean())
