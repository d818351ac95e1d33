"""The chapters on the classifier between environments, against wrong shares, wrong maps and the library's logits."""

import numpy as np
import pytest
import torch

from pdae_sim.estimation._losses import density_ratio_logits
from theory.engine.checker import assess
from theory.engine.instances import log_ratios, worlds
from theory.training import classifier, classifier_form


@pytest.mark.parametrize("world", worlds(3))
def test_shares_that_are_wrong_are_refused(world):
    assert assess(classifier.measure(world)).passed
    assert not assess(classifier.measure(world, shares=np.ones(3) / 3)).passed


@pytest.mark.parametrize("world", worlds(4))
class TestForm:
    def test_the_learned_matrix_turns_against_the_encoder(self, world):
        H, W_learned = classifier_form.learned(world)
        assert all(assess(m).passed for m in classifier_form.measure(world, H, W_learned))
        outcomes = {m.name: assess(m).passed for m in classifier_form.measure(world, H, H @ world.W)}
        assert not outcomes["encoder"] or len(H) == 1  # in one dimension H = ±1

    def test_a_relative_error_of_a_millionth_is_seen(self, world):
        H, W_learned = classifier_form.learned(world)
        outcomes = {m.name: assess(m).passed for m in classifier_form.measure(world, H, W_learned * (1 + 1e-6))}
        assert not outcomes["encoder"]

    def test_the_library_s_logits_are_the_log_ratios(self, world):
        """(W l_e)ᵀ z - ½ ‖W l_e‖² less that of the reference, at the true latents and the true W."""
        shifts = torch.from_numpy(world.labels @ world.W.T)
        logits = density_ratio_logits(torch.from_numpy(world.z_base), shifts).numpy().T
        ratios = log_ratios(world.z_base, shifts.numpy(), np.eye(len(world.W)))
        np.testing.assert_allclose(logits[1:] - logits[0], ratios, atol=1e-9 * (1 + np.abs(ratios).max()))
        assert np.abs(logits[1:] - ratios).max() > 1e-3
