"""Claims 2.11 to 2.11e: the checks see a wrong noise law, and the two models of each counterexample have equal laws."""

import numpy as np
import pytest
from scipy import integrate, special, stats

from pdae_sim import energy_distance
from theory.engine.checker import assess
from theory.engine.instances import worlds
from theory.identifiability import free_noise, known_noise, lossy_noise, noise_level

each_world = pytest.mark.parametrize("world", worlds(4), ids=lambda world: f"d{len(world.W)}")


def passed(measurements):
    return {m.name: assess(m).passed for m in measurements}


@each_world
class TestChecks:
    def test_another_level_than_the_true_one_is_noticed(self, world):
        assert assess(known_noise.measure(world)).passed
        assert not assess(known_noise.measure(world, claimed=0.5 + 1e-9)).passed

    def test_the_level_is_read_off_to_rounding(self, world):
        assert all(passed(noise_level.measure(world)).values())
        assert not any(passed(noise_level.measure(world, claimed=0.5 + 1e-8)).values())

    def test_smaller_effects_than_the_true_ones_do_not_fit(self, world):
        assert all(passed(free_noise.measure(world)).values())
        assert not any(passed(free_noise.measure(world, inflated=1 - 1e-8)).values())

    def test_another_growth_or_loss_than_the_true_one_is_noticed(self, world):
        assert assess(lossy_noise.measure(world)).passed
        assert not assess(lossy_noise.measure(world, claimed=0.7 + 1e-6)).passed
        assert assess(lossy_noise.measure_loss(world)).passed
        assert not assess(lossy_noise.measure_loss(world, factor=1 + 1e-6)).passed


class TestCharacteristicFunctions:
    @pytest.mark.parametrize(("law", "characteristic"), known_noise.NOISES)
    def test_those_of_the_noises_are_their_integrals(self, law, characteristic):
        for t in (0.3, 1.2):
            value, error = integrate.quad(lambda x, t=t: 2 * np.cos(t * x) * law.pdf(x), 0, 60, limit=400)
            assert abs(value - characteristic(np.array(t))) < 1e-9 + error

    @pytest.mark.parametrize("t", [0.4, 1.5, 2.3])
    def test_a_compact_spectrum_and_a_wave_beyond_it(self, t):
        """(1 - cos y)/(π y²) times 1 + cos 2y, integrated: 1 - |t| and half of it around 2."""

        def density(y):
            return np.sinc(y / (2 * np.pi)) ** 2 / (2 * np.pi) * (1 + np.cos(2 * y))

        value = sum(
            integrate.quad(lambda y: 2 * density(y) * np.cos(t * y), a, a + 100, limit=400)[0]
            for a in range(0, 4000, 100)
        )
        expected = max(1 - t, 0) + max(1 - abs(t - 2), 0) / 2
        assert value == pytest.approx(expected, abs=2e-3)


class TestTwoModels:
    """The rivals of the counterexamples, simulated: 4,000 cells of each, within what equal laws would show."""

    def test_square_a_curved_mixing_with_less_noise_and_smaller_effects(self):
        draw, n, rest = np.random.default_rng(0), 4000, 1.0
        grid = np.linspace(-9, 10, 20001)
        smoothed = [special.ndtr(grid) - special.ndtr(grid - 1), grid]  # density of U + η, whose quantiles are f̃'s
        cdf = integrate.cumulative_trapezoid(smoothed[0], grid, initial=0)
        for effect in (0.0, 1.5):
            z, other = draw.normal(size=(2, n, 2)) + np.array([effect, 0])
            own = np.column_stack([z[:, 0], special.ndtr(z[:, 1])]) + np.sqrt(2) * draw.normal(size=(n, 2))
            c = np.sqrt(1 + rest)
            z_rival = other + np.array([effect / c - effect, 0])
            curved = np.interp(special.ndtr(z_rival[:, 1]), cdf, grid)
            rival = np.column_stack([c * z_rival[:, 0], curved]) + draw.normal(size=(n, 2))
            wrong = rival + np.array([effect * (c - 1) if effect else 0.2, 0])
            alike, apart = (energy_distance(own, x, unbiased=True) for x in (rival, wrong))
            assert abs(alike) < 5 * np.linalg.norm(own[1:] - own[:-1], axis=1).mean() / n
            assert apart > 5 * np.linalg.norm(own[1:] - own[:-1], axis=1).mean() / n

    @pytest.mark.parametrize("rho", [0.5, 0.9])
    def test_a_free_decoder_that_draws_the_latent_anew(self, rho):
        """f(z) = sinh z: effects 1/ρ times as large, behind a decoder f(ρ z̃ + √(1 - ρ²) η), have the same law."""
        draw, n = np.random.default_rng(1), 4000
        for effect in (0.0, 1.0):
            own = np.sinh(draw.normal(size=n) + effect)
            z_rival, eta = draw.normal(size=(2, n)) + np.array([[effect / rho], [0.0]])
            rival = np.sinh(rho * z_rival + np.sqrt(1 - rho**2) * eta)
            assert stats.ks_2samp(own, rival).pvalue > 1e-3
            assert stats.ks_2samp(own, np.sinh(rho * z_rival)).pvalue < (1e-3 if rho < 0.6 else 0.5)

    def test_lost_entries_are_weighted_in_again(self):
        """y = z + 3 lost with 1/(1 + exp(1 + y)): kept cells weighted by the inverse have the mean and spread of y."""
        y = np.random.default_rng(2).normal(size=100_000) + 3
        kept = y[np.random.default_rng(3).random(len(y)) >= lossy_noise.loss(y)]
        weights = 1 / (1 - lossy_noise.loss(kept)) / len(y)
        error = 4 * np.std(np.append(kept * weights, np.zeros(len(y) - len(kept)))) * np.sqrt(len(y))
        assert weights.sum() == pytest.approx(1, abs=error)
        assert weights @ kept == pytest.approx(3, abs=error)
        assert abs(kept.mean() - 3) > 0.01

    def test_a_wave_with_the_period_of_the_doses_is_hidden_to_first_order(self):
        """E[h(z) | az + sη] moves by no more than a constant between labels if h has the period s² m/(a² + s²)."""
        a, s, m = 1.0, 0.8, 2.0
        share = a**2 / (a**2 + s**2)
        y, nodes, weights = np.linspace(-2, 2, 9), *np.polynomial.hermite_e.hermegauss(60)

        def displaced(period, mean):
            latents = mean + share / a * (y[:, None] - a * mean) + np.sqrt(1 - share) * nodes
            return np.sin(2 * np.pi * latents / period) @ weights / np.sqrt(2 * np.pi)

        hidden, seen = (displaced(p, m) - displaced(p, 0.0) for p in ((1 - share) * m, 1.3 * (1 - share) * m))
        assert np.ptp(hidden) < 1e-6
        assert np.ptp(seen) > 1e-3
