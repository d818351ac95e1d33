"""Designs of experiments."""

from __future__ import annotations

from math import comb

from hypothesis import strategies as st

from pdae_sim.simulation.designs import (
    Design,
    all_doubles,
    dose_grid,
    one_factor_at_a_time,
    planted,
    random_doses,
    singles,
    singles_and_doubles,
)

_SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def planted_designs(
    draw: st.DrawFn,
    *,
    max_perturbations: int = 5,
    max_environments: int = 7,
    max_in_span: int = 3,
    max_out_of_span: int = 3,
) -> Design:
    """A design whose rank and spans are known, from nothing but the control to full; shrinks to few labels.

    Args:
        max_perturbations: Greatest K.
        max_environments: Greatest number of training labels beside the control.
        max_in_span: Greatest number of test labels inside the span of the training labels, `design.planted`.
        max_out_of_span: Greatest number outside it.

    Example:
        >>> from hypothesis import find
        >>> find(planted_designs(), lambda design: len(design.test) == 2).planted.tolist()
        [False, False]
    """
    K, M = draw(st.integers(1, max_perturbations)), draw(st.integers(0, max_environments))
    r = draw(st.integers(min(1, M), min(K, M)))
    n_in = draw(st.integers(0, max_in_span)) if r else 0
    n_out = draw(st.integers(0, max_out_of_span)) if r < K else 0
    return planted(K, M, rank=r, n_in_span=n_in, n_out_of_span=n_out, rng=draw(_SEEDS))


@st.composite
def designs_of_doubles(draw: st.DrawFn) -> Design:
    """Singles and doubles, some held out; shrinks to two perturbations.

    Example:
        >>> from hypothesis import find
        >>> find(designs_of_doubles(), lambda design: len(design.test) > 0).planted.tolist()
        [True]
    """
    K = draw(st.integers(2, 6))
    n = draw(st.integers(0, comb(K, 2)))
    return singles_and_doubles(K, n_doubles=n, n_held_out=draw(st.integers(0, n)), rng=draw(_SEEDS))


@st.composite
def designs(draw: st.DrawFn) -> Design:
    """A design of any kind; shrinks to the singles of one perturbation.

    Example:
        >>> from hypothesis import find
        >>> find(designs(), lambda design: True).train.tolist()
        [[0.0], [1.0]]
    """
    K, levels = draw(st.integers(1, 3)), draw(st.lists(st.sampled_from([0.5, 1.0, 2.0, -1.0]), min_size=1, unique=True))
    simple = [singles(K), all_doubles(K), one_factor_at_a_time(K, levels=levels), dose_grid(K, levels=levels)]
    doses = _SEEDS.map(lambda seed: random_doses(K, 3, n_test=2, per_environment=K, rng=seed))
    return draw(st.sampled_from(simple) | designs_of_doubles() | planted_designs() | doses)
