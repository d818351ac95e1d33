"""Class of identifiability: planted maps get their own names, and chance is no finding."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from pdae_sim.analysis.identifiability.identifiability_class import classify_identifiability
from pdae_sim.analysis.identifiability.nested_maps import fit_nested_maps
from pdae_sim.errors import InputError
from tests.test_analysis.planted import D, latents, rotation, turned

NOISE = 0.15
PLANTED = {
    "identified exactly": [lambda z, rng: z],
    "identified up to signed permutation": [lambda z, rng: z[:, rng.permutation(D)] * rng.choice([-1, 1], D) + 1],
    "identified up to orthogonal": [lambda z, rng: z @ rotation(rng) + 2],
    "affine but not orthogonal": [
        lambda z, rng: z @ (rotation(rng) * [1.5, 1, 1]),
        lambda z, rng: 0.6 * z @ rotation(rng),
        lambda z, rng: z @ (np.eye(D) + 0.6 * np.eye(D, k=1)) @ rotation(rng) + 1,
    ],
    "nonlinear but not affine": [lambda z, rng: turned(z) @ rotation(rng)],
    "not identified": [lambda z, rng: rng.normal(size=z.shape)],
}
CASES = [(name, k) for name, maps in PLANTED.items() for k in range(len(maps))]


def named(name, k, n, seed):
    rng = np.random.default_rng([seed, n])
    z = rng.normal(size=(n, D))
    estimate = PLANTED[name][k](z, rng) + NOISE * rng.normal(size=z.shape)
    return classify_identifiability(fit_nested_maps(estimate, z, rng=seed), rng=0)


class TestClass:
    @pytest.mark.parametrize(("name", "k"), CASES)
    def test_a_planted_map_gets_its_own_name(self, name, k):
        for seed in range(2):
            found = named(name, k, 400, seed)
            assert (found.name, found.decided) == (name, True), found.reason

    @pytest.mark.slow
    @pytest.mark.statistical
    @pytest.mark.parametrize("n", [200, 1000, 4000])
    @pytest.mark.parametrize(("name", "k"), CASES)
    def test_over_many_seeds_and_sizes(self, name, k, n):
        """A random rotation is within a tenth of a signed permutation in far fewer than one in 25."""
        counts = Counter(named(name, k, n, seed).name for seed in range(25))
        assert counts[name] >= 24, counts

    def test_where_a_null_is_as_flexible_a_smaller_class_tells(self):
        """A rotation with some curvature beside a null that is a curved chart of everything: nearly what it is."""
        z, rng = latents(2000), np.random.default_rng(1)
        bent = z + 0.12 * (z**2 - 1) @ rotation(rng)
        null = fit_nested_maps(turned(z) @ rotation(rng), z, rng=0)
        maps = fit_nested_maps(bent @ rotation(rng), z, rng=0)
        assert maps["affine"].defect.low > 0.01
        found = classify_identifiability(maps, null=null, rng=0)
        assert found.name.startswith("nearly "), found
        assert found.beyond_null.low > 0.01
        assert classify_identifiability(null, null=null, rng=0).name == "not identified"

    def test_noise_is_not_taken_for_a_stretch(self):
        """Noise of 0.6 opens a gap of 0.1 for a rotation too; singular values both ways tell a stretch from it."""
        z, rng = latents(2000), np.random.default_rng(1)
        maps = fit_nested_maps(z @ rotation(rng) + 0.6 * rng.normal(size=z.shape), z, rng=0)
        assert maps["orthogonal"].defect.low > 0.01
        assert classify_identifiability(maps, rng=0).name == "identified up to affine; orthogonal not excluded"
        stretched = fit_nested_maps(1.3 * z @ rotation(rng) + 0.6 * rng.normal(size=z.shape), z, rng=0)
        assert classify_identifiability(stretched, rng=0).name == "affine but not orthogonal"
        shrunk = fit_nested_maps(0.5 * z @ rotation(rng) + 0.1 * rng.normal(size=z.shape), z, rng=0)
        assert classify_identifiability(shrunk, rng=0).name == "affine but not orthogonal"
        assert shrunk.shrinkage.low > 1 > shrunk.stretch.high

    def test_few_cells_decide_less(self):
        """A stretch by 1.2 opens a gap of about 0.04 / 3, near the tolerance squared: 25 cells show neither side."""
        z = latents(50)
        found = classify_identifiability(
            fit_nested_maps(z * [1.2, 1, 1] @ rotation(3) + 0.3 * latents(50, seed=1), z, rng=0), rng=0
        )
        assert not found.decided
        assert "not excluded" in found.name

    def test_a_tolerance_decides_what_counts(self):
        z = latents(2000)
        maps = fit_nested_maps(z @ rotation(0) * [1.25, 1, 1], z, rng=0)
        assert classify_identifiability(maps, rng=0).name == "affine but not orthogonal"
        assert classify_identifiability(maps, tolerance=0.4, rng=0).name == "identified up to orthogonal"

    def test_a_direction_that_is_lost_is_said(self):
        z = latents(1000)
        half = np.column_stack([z[:, :2], latents(1000, 1, seed=5)])
        found = classify_identifiability(fit_nested_maps(half, z, rng=0), rng=0)
        assert found.name == "identified in part"
        assert "worst direction" in found.reason

    def test_few_noisy_cells_decide_nothing(self):
        """Nothing is shown to be identified, nor is it shown that nothing is."""
        z = latents(60)
        found = classify_identifiability(fit_nested_maps(z + 2 * latents(60, seed=6), z, rng=0), rng=0)
        assert found.name == "not identified"
        assert not found.decided
        assert "not shown to be better" in found.reason

    def test_what_a_random_encoder_does_too_is_no_finding(self):
        """Two nonlinear maps of one truth: against the mean each is nonlinear, against the other it is nothing."""
        z = latents(1000)
        one, other = fit_nested_maps(turned(z), z, rng=0), fit_nested_maps(turned(z[:, [1, 2, 0]]), z, rng=0)
        assert classify_identifiability(one, rng=0).name == "nonlinear but not affine"
        assert classify_identifiability(one, null=other, rng=0).name == "not identified"
        straight = fit_nested_maps(z @ rotation(1), z, rng=0)
        assert classify_identifiability(straight, null=other, rng=0).name == "identified up to orthogonal"

    def test_a_null_on_other_cells_is_refused(self):
        z = latents(200)
        with pytest.raises(InputError, match="null must be judged on the cells of the estimate"):
            classify_identifiability(fit_nested_maps(z, z, rng=0), null=fit_nested_maps(z, z, rng=1), rng=0)

    def test_swapping_coordinates_changes_no_name(self):
        z, rng = latents(400), np.random.default_rng(0)
        estimate = z @ rotation(rng) * [1.5, 1, 1] + 0.1 * rng.normal(size=z.shape)
        order = [2, 0, 1]
        pairs = (estimate, z), (estimate[:, order], z[:, order])
        first, second = (classify_identifiability(fit_nested_maps(*pair, rng=0), rng=0) for pair in pairs)
        assert first.name == second.name == "affine but not orthogonal"
