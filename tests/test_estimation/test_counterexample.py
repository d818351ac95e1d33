"""The second PDAE of claim 2.6: the same fit, another prediction beyond."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pdae_sim.analysis.span import check_span
from pdae_sim.errors import InputError
from pdae_sim.estimation._losses import Step, perturbation
from pdae_sim.estimation.counterexample import _displaced as displaced_pdae
from pdae_sim.estimation.counterexample import second_pdae
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.estimation.presets import DEFAULT
from tests.counterexamples import a_world


@pytest.fixture(scope="module", params=[("ctrl", "A", "B"), ("A", "B")], ids=["control", "no control"])
def fitted(request):
    """A PDAE after a few steps, its data, and a label that they do not identify with its witness."""
    train, test = request.param, {3: "A+C", 2: "A+B"}[len(request.param)]
    data = a_world().sample(train, 80, rng=0).data
    model = PDAE(2, phases=DEFAULT.shortened(5).phases).fit(data)
    return model, data, test, check_span(data.labels, data.space.label(test)[None])[0].witness


class TestSecondPDAE:
    MOVE = np.array([1.0, -2.0])

    def second(self, fitted):
        model, _, test, witness = fitted
        return second_pdae(model, self.MOVE, witness=witness, test=test)

    def test_the_history_and_the_predictions_in_training_are_the_same(self, fitted):
        model, data, test, _ = fitted
        second, scale = self.second(fitted), data.x.std()
        assert second.history_ == model.history_
        assert second.history_ is not model.history_
        for condition in data.conditions:
            own, other = (m.sample(condition, 60, rng=3) for m in (model, second))
            assert np.allclose(own, other, rtol=0, atol=1e-4 * scale)  # float32 networks
        own, other = (m.sample(test, 60, rng=3) for m in (model, second))
        assert np.linalg.norm((own - other).mean(0)) > 0.1 * scale

    def test_the_prediction_beyond_is_that_of_latents_moved_by_u(self, fitted):
        model, data, test, _ = fitted
        second, l_t = self.second(fitted), data.space.label(test)
        z = model.encode(data.x) - (data.labels @ model.perturbation_matrix_.T)[data.environment]
        moved = model.decode(z + model.perturbation_matrix_ @ l_t + self.MOVE)
        z = second.encode(data.x) - (data.labels @ second.perturbation_matrix_.T)[data.environment]
        assert np.allclose(second.decode(z + second.perturbation_matrix_ @ l_t), moved, atol=1e-4 * data.x.std())

    def test_counterfactuals_between_training_conditions_are_the_same(self, fitted):
        model, data, _, _ = fitted
        source, target = data.conditions[-2:]
        x = data.samples(len(data.labels) - 2)
        own, other = (m.transport(x, source, target) for m in (model, self.second(fitted)))
        assert np.allclose(own, other, rtol=0, atol=1e-4 * data.x.std())

    def test_the_energy_loss_cannot_tell(self, fitted):
        model, data, _, witness = fitted
        cells = [model._units.forward(data.samples(e)) for e in range(len(data.labels))]
        x, labels = torch.tensor(np.stack(cells))[None], torch.tensor(data.labels, dtype=torch.float32)[None]
        wrong = displaced_pdae(model, self.MOVE, witness + np.eye(3)[0], 0 * self.MOVE)
        with torch.no_grad():
            losses = [
                float(perturbation(Step(m._network, x, labels, 1.0, []))) for m in (model, self.second(fitted), wrong)
            ]
        assert losses[1] == pytest.approx(losses[0], rel=1e-4)
        assert losses[2] > losses[0] * 1.01  # a v that is no witness is seen by the loss

    def test_it_is_saved_and_loaded_like_the_first(self, fitted, tmp_path):
        _, _, test, _ = fitted
        second = self.second(fitted)
        second.save(tmp_path / "second")
        again = PDAE.load(tmp_path / "second")
        assert np.array_equal(again.perturbation_matrix_, second.perturbation_matrix_)
        assert again.history_ == second.history_
        assert np.allclose(again.sample(test, 20, rng=0), second.sample(test, 20, rng=0), rtol=0, atol=1e-4)

    def test_the_first_is_left_as_it_is(self, fitted):
        model, data, _, _ = fitted
        before = model.perturbation_matrix_.copy(), model.encode(data.x), model._network.shift.clone()
        self.second(fitted)
        assert np.array_equal(model.perturbation_matrix_, before[0])
        assert np.array_equal(model.encode(data.x), before[1])
        assert torch.equal(model._network.shift, before[2])

    def test_what_is_no_witness_is_refused(self, fitted):
        model, _, test, witness = fitted
        for wrong in (2 * witness, witness + np.eye(3)[0], -witness):
            with pytest.raises(InputError, match="witness must have"):
                second_pdae(model, self.MOVE, witness=wrong, test=test)
        with pytest.raises(InputError, match="move must"):
            second_pdae(model, [0, 0], witness=witness, test=test)
        with pytest.raises(InputError, match="not fitted"):
            second_pdae(PDAE(2), [1, 0], witness=witness, test=test)


def test_cells_that_a_noisy_fit_tilts_are_tilted_by_the_second_matrix():
    data = a_world().sample(("ctrl", "A", "B"), 80, rng=0).data
    model = PDAE(2, steps=3, observation="gaussian", select=False).fit(data)
    witness = check_span(data.labels, data.space.label("A+C")[None])[0].witness
    second = second_pdae(model, np.array([1.0, -2.0]), witness=witness, test="A+C")
    own, other = ({c: m._kept.support(data.space.label(c)) for c in ("ctrl", "A", "B", "A+C")} for m in (model, second))
    assert other["A"] == pytest.approx(own["A"], rel=1e-3)
    assert other["A+C"] != pytest.approx(own["A+C"], rel=0.05)
