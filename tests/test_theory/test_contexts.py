"""Claim 2.17: what the check refuses, and the one reflection that shared effects of rank d_Z − 1 leave open."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes

from theory.engine.checker import assess
from theory.engine.instances import worlds
from theory.identifiability import contexts

each_world = pytest.mark.parametrize("world", worlds(8), ids=lambda world: f"d{len(world.W)}")


def passed(world, W_second):
    return {m.name: assess(m).passed for m in contexts.measure(world, W_second)}


@each_world
def test_another_size_of_one_shared_effect_is_seen_by_the_gram_matrices(world):
    W_second = world.W + 1e-3 * np.outer(world.u, world.shifts[:, 0] / np.square(world.shifts[:, 0]).sum())
    assert passed(world, world.W) == {"gram": True, "transfer": True}
    assert not passed(world, W_second)["gram"]


def test_another_effect_off_the_shared_shifts_is_not():
    """The Gram matrices agree, and the label that context 2 has not measured is predicted wrongly."""
    (world,) = (w for w in worlds(8) if w.shifts.shape[1] > len(w.W) == 3)
    v = np.linalg.svd(world.shifts[:, : len(world.W)].T)[2][-1]  # no shared shift sees it
    seen = passed(world, world.W + np.outer(world.u, v))
    assert seen == {"gram": True, "transfer": False}


@each_world
def test_rank_one_short_leaves_one_reflection(world):
    """Two rotations that agree on d_Z − 1 shared effects are equal or differ by the reflection that spares them."""
    d_Z, draw = len(world.W), np.random.default_rng(0)
    shared = draw.normal(size=(d_Z, d_Z - 1))
    normal = np.linalg.svd(np.hstack([shared, np.zeros((d_Z, 1))]))[0][:, -1]
    mirror = np.eye(d_Z) - 2 * np.outer(normal, normal)
    assert np.allclose(world.Q @ mirror @ shared, world.Q @ shared)
    assert not np.allclose(world.Q @ mirror, world.Q)
    one_more = np.column_stack([shared, normal + draw.normal(size=d_Z)])
    R = orthogonal_procrustes(one_more.T, (world.Q @ one_more).T)[0].T
    assert np.allclose(R, world.Q)


def test_a_second_context_with_less_than_full_rank_has_no_bound():
    world = replace(worlds(4)[1], W=worlds(4)[1].W * np.array([[1.0], [0.0]]))
    assert not np.isfinite(contexts.measure(world, world.W)[0].bound) or contexts.measure(world, world.W)[0].bound > 1
