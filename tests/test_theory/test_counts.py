"""Claims 2.12 to 2.12c: the checks see a wrong exposure, dispersion or depth, and rivals have equal counts."""

import doctest

import numpy as np
import pytest
from scipy import integrate, special, stats

from theory.engine.checker import assess
from theory.engine.instances import worlds
from theory.identifiability import counts, depth

each_world = pytest.mark.parametrize("world", worlds(4), ids=lambda world: f"d{len(world.W)}")


def passed(measurements):
    return {m.name: assess(m).passed for m in measurements}


def test_examples_in_docstrings():
    result = doctest.testmod(depth)
    assert result.attempted
    assert not result.failed


@each_world
class TestChecks:
    def test_another_exposure_is_noticed(self, world):
        assert all(passed(counts.measure(world)).values())
        assert not any(passed(counts.measure(world, claimed=4 + 1e-6)).values())

    def test_another_dispersion_is_noticed(self, world):
        assert all(passed(counts.measure_dispersed(world)).values())
        assert not any(passed(counts.measure_dispersed(world, claimed=1.5 + 1e-6)).values())


@pytest.mark.parametrize("n_nodes", [1, 2, 5])
def test_one_molecule_more_tells_the_two_laws_apart(n_nodes):
    assert all(passed(depth.measure(n_nodes)).values())
    assert not passed(depth.measure(n_nodes, extra=1))["alike"]


class TestTwoModels:
    def test_a_rate_that_varies_as_a_beta_variable_raises_the_shape(self):
        """θ = 1 and r = 1, or θ = 2 and r uniform on [0, 2]: one law of counts, by scipy's negative binomials."""
        k = np.arange(30)
        own = stats.nbinom.pmf(k, 1, 1 / 2)
        rival = [integrate.quad(lambda r, k=k: stats.nbinom.pmf(k, 2, 2 / (2 + r)) / 2, 0, 2)[0] for k in k]
        wrong = [integrate.quad(lambda r, k=k: stats.nbinom.pmf(k, 2, 2 / (2 + r)), 0.5, 1.5)[0] for k in k]
        np.testing.assert_allclose(rival, own, atol=1e-12)
        assert np.abs(wrong - own).max() > 1e-3

    @pytest.mark.parametrize("mean", [-1.0, 0.0, 0.7])
    def test_one_molecule_leaves_the_effect_sizes_open(self, mean):
        """p = Φ(z), or Φ(c z) with means √(1 + c²)/(c √2) times as large: one chance at every label."""
        c, nodes_weights = 3.0, np.polynomial.hermite_e.hermegauss(120)
        nodes, weights = nodes_weights[0], nodes_weights[1] / np.sqrt(2 * np.pi)
        own = special.ndtr(nodes + mean) @ weights
        ratio = np.sqrt(1 + c**2) / (c * np.sqrt(2))
        rival = special.ndtr(c * (nodes + ratio * mean)) @ weights
        assert rival == pytest.approx(own, abs=1e-6)
        second = [special.ndtr(s * (nodes + m)) ** 2 @ weights for s, m in ((1.0, mean), (c, ratio * mean))]
        assert abs(second[0] - second[1]) > 1e-2
