"""Scales of dose: given or learnt from cells, and what is tested and judged on them."""

from __future__ import annotations

import numpy as np
import pytest

from pdae_sim import PerturbationData, check_span
from pdae_sim.analysis import hill_scale, learn_dose_scale, log_scale, scale_doses
from pdae_sim.analysis.hypothesis_tests import additivity_tests
from pdae_sim.errors import InputError

DOSES = (0, 1, 3, 10, 30)
PHI = {0: 0.0, 1: 0.9, 3: 1.8, 10: 2.5, 30: 2.8}  # effects along the first latent


def data_of(n=300, seed=0, phi=PHI):
    """Two latents behind a curved map to six features, the first moved by φ of the dose."""
    rng, R = np.random.default_rng(seed), np.linalg.qr(np.random.default_rng(7).normal(size=(6, 2)))[0]
    z = rng.normal(size=(len(DOSES) * n, 2)) + np.outer(np.repeat([phi[d] for d in DOSES], n), [1.0, 0.0])
    x = 1.4 * z @ R.T
    labels = np.array(DOSES, float)[:, None]
    return PerturbationData(x + np.tanh(2 * x), labels, np.repeat(np.arange(len(DOSES)), n), ("A",))


class TestLearning:
    @pytest.mark.statistical
    def test_it_is_that_of_the_world_behind_a_curved_map(self):
        scale = learn_dose_scale(data_of(), "A", rng=0)
        np.testing.assert_allclose(scale.values / 30, np.array(list(PHI.values())) / 2.8, atol=0.08)
        assert (np.diff(scale.values) >= 0).all()
        assert scale.values[0] == 0
        assert scale.values[-1] == 30

    @pytest.mark.statistical
    def test_effects_are_straight_on_it_and_are_not_as_given(self):
        """Learnt from some cells and tested on others."""
        raw = data_of(seed=1)
        scaled = scale_doses(raw, {"A": learn_dose_scale(data_of(seed=0), "A", rng=0)})
        assert additivity_tests(raw, n_multipliers=99, rng=0).rejected()
        assert not additivity_tests(scaled, n_multipliers=99, rng=0).rejected()

    def test_held_out_conditions_are_not_looked_at(self):
        data = data_of(n=40)
        x = data.x.copy()
        x[-40:] = 1e3
        held = [False] * 4 + [True]
        ours, theirs = (
            learn_dose_scale(PerturbationData(v, data.labels, data.environment, ("A",), held_out=held), "A", rng=0)
            for v in (data.x, x)
        )
        assert np.array_equal(ours.values, theirs.values)
        assert ours.doses[-1] == 10
        with pytest.raises(InputError, match="must not exceed 10"):
            scale_doses(data, {"A": ours})

    @pytest.mark.parametrize("doses", [(1, 3, 10), (-1, 0, 1), (0, 2)])
    def test_without_a_control_or_with_doses_of_both_signs_there_is_no_scale(self, doses):
        x = np.random.default_rng(0).normal(size=(40 * len(doses), 2))
        data = PerturbationData(x, np.array(doses, float)[:, None], np.repeat(np.arange(len(doses)), 40), ("A",))
        with pytest.raises(InputError, match="must hold the control and two doses or more of 'A'"):
            learn_dose_scale(data, "A", rng=0)

    def test_too_few_doses_are_refused(self):
        with pytest.raises(InputError, match="the control and two doses or more of 'A' by itself"):
            learn_dose_scale(data_of(n=9).select([0, 4]), "A")
        with pytest.raises(InputError, match="no perturbation 'B'"):
            learn_dose_scale(data_of(n=9), "B")


class TestScales:
    @pytest.mark.parametrize("scale", [log_scale(0.3), hill_scale(4.0), hill_scale(4.0, 2.0)])
    def test_given_ones_are_odd_grow_and_keep_the_unit(self, scale):
        doses = np.linspace(-5, 5, 21)
        assert (np.diff(scale(doses)) > 0).all()
        np.testing.assert_allclose(scale(-doses), -scale(doses))
        assert scale(np.ones(1))[0] == pytest.approx(1.0)

    def test_verdicts_are_those_of_transformed_labels(self):
        """A:3+B:1 is twice A+B:0.5 on the scale of A, and was not on that of its doses."""
        labels = np.array([[0, 0], [1, 0.5], [3, 1]], float)
        data = PerturbationData(np.zeros((3, 1)), labels, np.arange(3), ("A", "B"))
        scaled = scale_doses(data, {"A": log_scale(1.0)})
        verdicts = (check_span(d.labels[:2], d.labels[2:])[0].identified for d in (data, scaled))
        assert list(verdicts) == [False, True]

    def test_two_conditions_that_become_one_are_refused(self):
        with pytest.raises(InputError, match="two conditions have one label"):
            scale_doses(data_of(n=2), {"A": np.sign})
