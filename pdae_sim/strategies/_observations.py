"""Laws of what is measured given f(z)."""

from __future__ import annotations

from hypothesis import strategies as st

from pdae_sim._checks import choice
from pdae_sim.simulation.observation import (
    Dropout,
    GaussianNoise,
    Heteroscedastic,
    LogNormal,
    NegativeBinomial,
    Noiseless,
    Observation,
)

_SCALES = st.sampled_from([1.0, 0.5, 0.1])
_KINDS: dict[str, st.SearchStrategy[Observation]] = {
    "none": st.just(Noiseless()),
    "gaussian": st.builds(GaussianNoise, _SCALES),
    "heteroscedastic": st.builds(Heteroscedastic, _SCALES, _SCALES, st.just(0.0), st.just(1.0)),
    "dropout": st.builds(Dropout, st.sampled_from([0.5, 0.25, 0.9])),
    "log_normal": st.builds(LogNormal, st.just(0.0), _SCALES, st.just(0.0), st.just(1.0), _SCALES),
    "negative_binomial": st.builds(
        NegativeBinomial,
        st.sampled_from([100.0, 1.0, 10_000.0]),
        st.sampled_from([0.0, 0.5]),
        st.just(0.0),
        _SCALES,
        st.just(0.0),
        st.just(1.0),
        st.sampled_from([0.0, 0.3, 2.0]),
    ),
}

OBSERVATION_KINDS = tuple(_KINDS)
"""The kinds of observation law that `observations` draws, by the names that files use."""


def observations(*kinds: str) -> st.SearchStrategy[Observation]:
    """Laws of x given f(z), fit for any number of features; shrinks to the first of the kinds.

    Args:
        kinds: Some of `OBSERVATION_KINDS`; all of them when none is named.

    Example:
        >>> from hypothesis import find
        >>> find(observations("gaussian", "dropout"), lambda law: True)
        GaussianNoise(scale=1.0)
    """
    chosen = [choice("kind", kind, OBSERVATION_KINDS) for kind in kinds] or OBSERVATION_KINDS
    return st.one_of(*(_KINDS[kind] for kind in chosen))
