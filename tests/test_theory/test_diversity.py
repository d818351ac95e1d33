"""Claims 2.8 and 2.8b: one latent direction may be left out, two may not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Identity, Rational, symbols

from pdae_sim import align
from pdae_sim.strategies import orthogonal_matrices
from theory.engine.checker import assess, prove, residual
from theory.engine.formulas import normal_cdf, normal_quantile
from theory.engine.instances import worlds
from theory.engine.proof import Lemma, Step
from theory.identifiability import diversity, diversity_tight
from theory.identifiability.diversity import blinded

WORLDS = [world for world in worlds(4) if len(world.W) > 1]


@pytest.fixture(scope="module")
def latents():
    """Base latents (n, 3) of a control; only the first coordinate is moved by any perturbation."""
    return np.random.default_rng(0).normal(size=(2000, 3))


def steps(claim):
    return {item.name: item for item in claim.proof if isinstance(item, Step)}


class TestRigidity:
    """Vector fields along which rivals could move."""

    @pytest.mark.parametrize("world", worlds(4))
    def test_none_with_one_direction_left_out(self, world):
        assert assess(diversity.measure(blinded(world, 1))).passed

    @pytest.mark.parametrize("world", WORLDS)
    def test_some_with_two_left_out(self, world):
        assert not assess(diversity.measure(blinded(world, 2))).passed

    @pytest.mark.parametrize("world", WORLDS)
    def test_blinding_takes_out_what_it_says(self, world):
        ranks = [np.linalg.matrix_rank(blinded(world, n).W @ world.shifts, tol=1e-9) for n in (0, 1, 2)]
        assert ranks == [len(world.W) - n for n in (0, 1, 2)]


class TestProof:
    def test_the_lines_need_their_probabilities(self):
        increasing = steps(diversity.CLAIM)["increasing"]
        halved = (
            increasing.equations[0],
            type(increasing.equations[1])((), increasing.equations[1].old, Rational(1, 2)),
        )
        assert residual(increasing, halved) != "0"

    def test_quantile_inverts_the_distribution_function(self):
        t = symbols("t", real=True)
        assert normal_quantile(normal_cdf(t)).equals(t)

    def test_a_scale_in_the_place_of_the_sign_is_not_orthogonal(self):
        orthogonal = steps(diversity.CLAIM)["orthogonal"]
        scaled = (
            *orthogonal.equations[:2],
            type(orthogonal.equations[2])((), orthogonal.equations[2].old, 4 * Identity(1)),
        )
        assert residual(orthogonal, scaled) != "0"

    def test_the_gram_matrix_needs_no_diversity(self):
        outcomes = {o.name: o.passed for o in prove(diversity.CLAIM.without(diversity.NEARLY_DIVERSE.name))}
        assert outcomes["gram"]
        assert outcomes["factor"]
        assert not outcomes["slice"]

    @pytest.mark.parametrize("assumption", [diversity.CONTINUOUS, diversity.ONE_IMAGE])
    def test_continuity_is_needed_by_the_lines_and_not_before(self, assumption):
        failed = [o.name for o in prove(diversity.CLAIM.without(assumption.name)) if not o.passed]
        assert failed[0] == "monotone"

    def test_lemmas_that_quote_a_theorem_say_which(self):
        quoted = {item.name: item.reason for item in diversity.CLAIM.proof if isinstance(item, Lemma)}
        assert "theorem 7.3.11" in quoted["factor"]


class TestTurning:
    @pytest.mark.parametrize("world", WORLDS)
    def test_a_turn_is_seen_as_soon_as_one_shift_goes_along_the_plane(self, world):
        both, one = ({m.name: assess(m).passed for m in diversity_tight.measure(world, n)} for n in (2, 1))
        assert both == {"same_law": True, "volume": True}
        assert one == {"same_law": False, "volume": True}

    def test_alignment_tells_a_turn_from_a_rotation(self, latents):
        turned = latents.copy()
        angle = 2 * latents[:, 0]
        turned[:, 1] = np.cos(angle) * latents[:, 1] - np.sin(angle) * latents[:, 2]
        turned[:, 2] = np.sin(angle) * latents[:, 1] + np.cos(angle) * latents[:, 2]
        assert align(turned, latents).affine_r2 < 0.5

    @settings(max_examples=20)
    @given(orthogonal_matrices(3), st.sampled_from([-1.0, 1.0]))
    def test_what_one_direction_left_out_allows_is_aligned_exactly(self, latents, Q, sign):
        reflected = latents * [1, 1, sign]
        assert align(reflected @ Q.T + 1.0, latents).orthogonal_r2 > 1 - 1e-12
