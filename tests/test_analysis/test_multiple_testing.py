"""Several tests at once: corrections, and one test per environment of a fitted model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pdae_sim.analysis.hypothesis_tests.multiple_testing import adjust_p_values, two_sample_tests
from pdae_sim.analysis.hypothesis_tests.two_sample import (
    disjoint_halves,
)
from pdae_sim.errors import InputError
from pdae_sim.simulation.worlds import world
from tests.test_analysis.planted import normal


class TestCorrections:
    def test_the_textbook_values(self):
        found = adjust_p_values({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
        assert list(found.holm.values()) == pytest.approx([0.03, 0.06, 0.06, 0.02])
        assert list(found.bh.values()) == pytest.approx([0.02, 0.04, 0.04, 0.02])
        assert found.rejected(0.05) == ("a", "d")
        assert found.rejected(0.05, correction="bh") == ("a", "b", "c", "d")

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
    def test_scipy_agrees_on_bh_and_holm_is_no_smaller(self, p):
        found = adjust_p_values(dict(enumerate(p)))
        assert list(found.bh.values()) == pytest.approx(stats.false_discovery_control(p).tolist())
        assert all(h >= b - 1e-12 >= v - 2e-12 for h, b, v in zip(found.holm.values(), found.bh.values(), p))  # noqa: B905

    def test_an_environment_does_not_change_another(self):
        samples = {name: normal(30, 2, seed=s) for s, name in enumerate("ABC")}
        observed = {name: normal(30, 2, seed=s + 10) for s, name in enumerate("ABC")}
        all_three = two_sample_tests(samples, observed, n_permutations=99, rng=0)
        one = two_sample_tests({"B": samples["B"]}, {"B": observed["B"]}, n_permutations=99, rng=0)
        assert one.p_values["B"] == all_three.p_values["B"] == all_three.tests["B"].p_value

    def test_the_condition_is_named_in_front_of_what_is_wrong(self):
        x = normal(10, 2, seed=0)
        with pytest.raises(InputError, match=r"^B: x and y must not share cells"):
            two_sample_tests({"B": x}, {"B": x})


@pytest.fixture(scope="module")
def setting():
    simulator = world("three-singles", seed=3).simulator()
    data = simulator.sample(["ctrl", "A", "B", "C"], 400, rng=0).data
    return simulator, {name: data.samples(e).astype(float) for e, name in enumerate(data.conditions)}


@pytest.mark.statistical
class TestGoodnessOfFit:
    """Defect 1 of the published code: its check feeds an environment's own hold-out as source, so any Ŵ passes."""

    @staticmethod
    def judged(simulator, cells, W, *, own):
        """Per environment: half of its cells against cells transported to it, from itself or from the others."""
        halves = {name: disjoint_halves(x, rng=0) for name, x in cells.items()}
        predicted = {}
        for target in cells:
            sources = [target] if own else [name for name in cells if name != target]
            moved = [
                simulator.encode(halves[s][1]) + W @ (simulator.space.label(target) - simulator.space.label(s))
                for s in sources
            ]
            predicted[target] = simulator.decode(np.vstack(moved))
        observed = {name: first for name, (first, _) in halves.items()}
        return two_sample_tests(predicted, observed, n_permutations=199, rng=1)

    def test_the_right_matrix_passes_and_a_wrong_one_is_rejected_in_every_environment_it_moves(self, setting):
        W = setting[0].latent.perturbation_matrix
        assert not self.judged(*setting, W, own=False).rejected()
        assert set(self.judged(*setting, -W, own=False).rejected()) == {"ctrl", "A", "B", "C"}

    def test_from_its_own_cells_a_wrong_matrix_passes(self, setting):
        W = setting[0].latent.perturbation_matrix
        assert not self.judged(*setting, -W, own=True).rejected()
