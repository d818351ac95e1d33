"""Densities by change of variables integrate to one, on the line, on the plane and along curves in space."""

import numpy as np
import pytest
from scipy.stats import norm

from pdae_sim.simulation.mixings import FAMILIES, random_mixing

HONEST = [kind for kind, family in FAMILIES.items() if "injective" not in family.breaks]


def rng(seed=0):
    return np.random.default_rng(seed)


def density(mixing, x):
    """The density at x of f(z), z ~ N(0, I), by change of variables."""
    z = mixing.inverse(x)
    return np.exp(norm.logpdf(z).sum(axis=1) - mixing.log_volume(z)), np.exp(norm.logpdf(z).sum(axis=1))


class TestDensities:
    @pytest.mark.parametrize(
        ("kind", "options"),
        [("linear", {}), ("stack", {}), ("stack", {"activation": "leaky"}), ("spline", {})]
        + [("monotone", {"shape": shape, "sharpness": 2.0}) for shape in ("tanh", "leaky", "sinh")],
    )
    def test_on_the_line(self, kind, options):
        """Gauss quadrature in x between the images of a grid; what lies beyond ±9 has mass 2e-19."""
        mixing = random_mixing(1, 1, rng=rng(4), kind=kind, **options)
        edges = np.sort(mixing(np.linspace(-9, 9, 600)[:, None])[:, 0])
        nodes, weights = np.polynomial.legendre.leggauss(6)
        half = np.diff(edges)[:, None] / 2
        x = (edges[:-1, None] + half * (nodes + 1)).reshape(-1, 1)
        total, without = (((half * weights).ravel() * p).sum() for p in density(mixing, x))
        assert total == pytest.approx(1, abs=1e-4 if kind == "spline" else 1e-9)
        assert kind == "linear" or abs(without - 1) > 0.05

    @pytest.mark.parametrize("kind", [kind for kind in HONEST if kind != "linear"])
    def test_on_the_plane(self, kind):
        """Midpoints of a grid over the image of a disc of radius 5.5, beyond which lies a mass of 3e-7."""
        mixing = random_mixing(2, 2, rng=rng(6), kind=kind, condition=3.0)
        angle = np.linspace(0, 2 * np.pi, 2000)
        rim = mixing(
            np.concatenate([r * np.stack([np.cos(angle), np.sin(angle)], 1) for r in np.linspace(0.5, 5.5, 11)])
        )
        low, high = rim.min(axis=0), rim.max(axis=0)
        m = 400
        sides = [a + (b - a) * (np.arange(m) + 0.5) / m for a, b in zip(low, high, strict=True)]
        x = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2)
        total, _ = (np.prod((high - low) / m) * p.sum() for p in density(mixing, x))
        assert total == pytest.approx(1, abs=1e-3)

    @pytest.mark.parametrize(("kind", "embedding"), [("linear", "curved"), ("monotone", "curved"), ("stack", "linear")])
    def test_along_a_curve_in_space(self, kind, embedding):
        """By the length of the chords: their error is of the order of the squared step, 1e-6."""
        mixing = random_mixing(1, 3, rng=rng(2), kind=kind, embedding=embedding)
        z = np.linspace(-8, 8, 16_001)[:, None]
        chords = np.linalg.norm(np.diff(mixing(z), axis=0), axis=1)
        middle = (z[1:] + z[:-1]) / 2
        total, without = ((chords * p).sum() for p in density(mixing, mixing(middle)))
        assert total == pytest.approx(1, abs=1e-5)
        assert abs(without - 1) > 0.05
