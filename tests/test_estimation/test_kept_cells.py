"""Cells that a model keeps: tilted as far as a label is borne by them, saved with it, and absent where x is large."""

import numpy as np
import pytest

from pdae_sim import PDAE, PerturbationData, energy_distance
from pdae_sim.errors import InputError
from pdae_sim.estimation import Tilting, _kept_cells

N = 1000


def data_of(n: int = N, seed: int = 0) -> PerturbationData:
    """Two latents seen by four features, with noise."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(3 * n, 2)) + np.repeat([[0, 0], [1.5, 0], [0, 1.5]], n, axis=0)
    x = z @ [[1, 0, 1, 0.5], [0, 1, -1, 0.5]] + 0.3 * rng.normal(size=(3 * n, 4))
    return PerturbationData.from_arrays(x, np.repeat(["ctrl", "A", "B"], n))


def fit(data: PerturbationData, observation: str = "gaussian") -> PDAE:
    return PDAE(2, observation=observation, steps=60).fit(data)


@pytest.fixture(scope="module")
def model() -> PDAE:
    return fit(data_of())


def measured(model: PDAE, condition: str, source: str | None = None) -> float:
    """Share of draws that are training cells."""
    drawn = model.sample(condition, 1000, rng=0, source=source)
    seen = {row.tobytes() for row in data_of().x.astype(np.float32).astype(np.float64)}
    return float(np.mean([row.tobytes() in seen for row in drawn]))


class TestTilting:
    def test_half_of_the_cells_of_a_label_that_is_borne_are_measured_ones(self, model):
        assert model.source_.endswith(_kept_cells.TILTED)
        assert measured(model, "A+B") == 0.5
        assert measured(model, "A+B", "model") == 0

    def test_fewer_where_few_cells_bear_the_label_and_none_where_none_do(self, model):
        shares = [measured(model, label) for label in ("A+B", "A:1.6+B:1.6", "A:2+B:2", "A:3+B:3", "A:1e6")]
        assert shares == sorted(shares, reverse=True)
        assert 0 < shares[1] < 0.5
        assert shares[3:] == [0, 0]

    @pytest.mark.parametrize("label", ["A:1e6", "A:1e200"])
    def test_a_label_out_of_reach_is_borne_by_none(self, model, label):
        assert model._kept.support(model.space_.label(label)) <= 1

    def test_a_mixture_is_nearer_than_the_mean_of_both(self, model):
        rng = np.random.default_rng(5)
        z = rng.normal(size=(4000, 2)) + 1.5
        true = z @ [[1, 0, 1, 0.5], [0, 1, -1, 0.5]] + 0.3 * rng.normal(size=(4000, 4))
        of_model, mixed = (model.sample("A+B", 4000, rng=1, source=s) for s in ("near", "near+tilting"))
        tilted = Tilting(model).fit(data_of()).sample("A+B", 4000, rng=1)
        parts = [energy_distance(x, true, unbiased=True) for x in (of_model, tilted)]
        assert energy_distance(mixed, true, unbiased=True) < np.mean(parts) + 0.002

    def test_saved_with_the_model(self, model, tmp_path):
        model.save(tmp_path / "model")
        again = PDAE.load(tmp_path / "model")
        np.testing.assert_allclose(again.sample("A+B", 90, rng=1), model.sample("A+B", 90, rng=1), rtol=1e-4, atol=1e-5)

    def test_no_cells_are_kept_where_x_is_large_or_has_no_noise(self, monkeypatch):
        monkeypatch.setattr(_kept_cells, "_VALUES", 100)
        large = fit(data_of(100))
        assert large._kept is None
        assert large.source_ in ("model", "near")
        for one in (large, fit(data_of(100), "noiseless")):
            with pytest.raises(InputError, match="source"):
                one.sample("A", 5, source="near+tilting")
