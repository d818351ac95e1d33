"""Latent models and what they are made of: matrices, noise laws, departures."""

from __future__ import annotations

from typing import Literal

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pdae_sim._checks import choice, whole
from pdae_sim.simulation.departures import (
    DEPARTURES,
    Departure,
    Do,
    Epistasis,
    MechanismChange,
    Saturation,
    VarianceIntervention,
)
from pdae_sim.simulation.latent import LinearLatentModel
from pdae_sim.simulation.laws import Bimodal, Gaussian, Laplace, Law, Skewed, StudentT

_VARIANCES = st.sampled_from([1.0, 0.25, 0.5, 2.0, 4.0])
_MOST_LATENTS = 4


@st.composite
def orthogonal_matrices(draw: st.DrawFn, size: int) -> np.ndarray:
    """Orthogonal matrices (d, d), reflections included; shrinks to the identity.

    Every orthogonal matrix is a Cayley transform (I − T)(I + T)⁻¹ of a skew-symmetric T with the signs of some rows
    changed.

    Args:
        size: d.

    Example:
        >>> from hypothesis import find
        >>> find(orthogonal_matrices(2), lambda Q: True).tolist() == np.eye(2).tolist()
        True
    """
    T = np.zeros((size, size))
    upper = np.triu_indices(size, 1)
    T[upper] = draw(hnp.arrays(np.float64, len(upper[0]), elements=moderate(2.0), fill=st.nothing()))
    T -= T.T
    signs = draw(st.lists(st.sampled_from([1.0, -1.0]), min_size=size, max_size=size))
    return np.array(signs)[:, None] * np.linalg.solve((np.eye(size) + T).T, (np.eye(size) - T).T).T


@st.composite
def covariances(draw: st.DrawFn, size: int) -> np.ndarray:
    """Covariances Q diag(λ) Qᵀ (d, d) with eigenvalues from ⅛ to 8; shrinks to the identity.

    Args:
        size: d.

    Example:
        >>> from hypothesis import find
        >>> find(covariances(2), lambda S: S[0, 0] > 1).shape
        (2, 2)
    """
    Q = draw(orthogonal_matrices(size))
    powers = draw(st.lists(st.sampled_from([0, 1, -1, 3, -3]), min_size=size, max_size=size))
    covariance = (Q * 2.0 ** np.array(powers)) @ Q.T
    return (covariance + covariance.T) / 2


@st.composite
def adjacency_matrices(draw: st.DrawFn, size: int) -> np.ndarray:
    """Weighted adjacencies A (d, d) of DAGs in any causal order; shrinks to the empty graph.

    Weights are multiples of ¼ in [−2, 2], so that exact arithmetic reads them as they are.

    Args:
        size: d.

    Example:
        >>> from hypothesis import find
        >>> bool(find(adjacency_matrices(3), lambda A: True).any())
        False
    """
    A = np.zeros((size, size))
    A[np.tril_indices(size, -1)] = draw(_quarters((size * (size - 1) // 2,)))
    order = draw(st.permutations(range(size)))
    return A[np.ix_(order, order)]


def noise_laws() -> st.SearchStrategy[Law]:
    """Noise laws with their parameters; shrinks to the Gaussian.

    Example:
        >>> from hypothesis import find
        >>> find(noise_laws(), lambda law: True)
        Gaussian()
    """
    return st.one_of(
        st.just(Gaussian()),
        st.just(Laplace()),
        st.floats(2.25, 50).map(StudentT),
        st.floats(0.25, 50).map(Skewed),
        st.floats(0.125, 0.96875).map(Bimodal),
    )


@st.composite
def departures(draw: st.DrawFn, n_latents: int, n_perturbations: int, *, kind: str | None = None) -> Departure:
    """Departures from additive shifts that fit a model, with dyadic entries; shrinks to one that changes nothing.

    Args:
        n_latents: d_Z.
        n_perturbations: K.
        kind: One of `DEPARTURES`; any when None.

    Example:
        >>> from hypothesis import find
        >>> find(departures(2, 2), lambda departure: True).breaks
        ()
    """
    shape = (n_latents, n_perturbations)
    kind = draw(st.sampled_from(list(DEPARTURES))) if kind is None else choice("kind", kind, DEPARTURES)
    if kind == "epistasis":
        return Epistasis(draw(_eighths((*shape, n_perturbations))))
    if kind == "saturation":
        return Saturation(draw(st.sampled_from([np.inf, 1.0, 0.25, 4.0])))
    if kind == "do":
        values = np.where(draw(hnp.arrays(bool, shape)), draw(_eighths(shape)), np.nan)
        return Do(values, noise=draw(st.sampled_from([1.0, 0.5, 0.0])))
    if kind == "variance":
        return VarianceIntervention(draw(_eighths(shape)))
    return MechanismChange(np.abs(draw(_eighths(shape))))


@st.composite
def latent_models(
    draw: st.DrawFn,
    *,
    n_latents: int | None = None,
    n_perturbations: int | None = None,
    noise: st.SearchStrategy[Law] | None = None,
    departing: bool = False,
) -> LinearLatentModel:
    """Linear latent models with dyadic entries; shrinks to an empty graph, unit noise and no effect.

    Args:
        n_latents: d_Z; 1 to 4 when None.
        n_perturbations: K; 1 to 4 when None.
        noise: Laws of the noises, such as `noise_laws()`; Gaussian when None.
        departing: Whether the model has one departure from additive shifts.

    Example:
        >>> from hypothesis import find
        >>> find(latent_models(n_latents=2), lambda model: True).perturbation_matrix.tolist()
        [[0.0], [0.0]]
    """
    K = draw(st.integers(1, 4)) if n_perturbations is None else whole("n_perturbations", n_perturbations)
    law = Gaussian() if noise is None else draw(noise)
    if n_latents is not None:
        whole("n_latents", n_latents)
        D = draw(st.lists(_VARIANCES, min_size=n_latents, max_size=n_latents))
        A, S = draw(adjacency_matrices(n_latents)), draw(_quarters((n_latents, K)))
    else:
        D, A, S = draw(_latents(K))
    return LinearLatentModel(A, np.array(D), S, law, (draw(departures(len(D), K)),) if departing else ())


@st.composite
def _latents(draw: st.DrawFn, n_perturbations: int) -> tuple[list[float], np.ndarray, np.ndarray]:
    """Variances, adjacency and targets of 1 to 4 latents; shrinking takes single latents away."""
    quarters = st.integers(-8, 8)
    effects, parents = (st.lists(quarters, min_size=n, max_size=n) for n in (n_perturbations, _MOST_LATENTS - 1))
    rows = draw(st.lists(st.tuples(_VARIANCES, effects, parents), min_size=1, max_size=_MOST_LATENTS))
    order = draw(st.permutations(range(len(rows))))
    A = np.tril(np.array([[*row[2], 0] for row in rows])[:, : len(rows)] / 4, -1)
    return [row[0] for row in rows], A[np.ix_(order, order)], np.array([row[1] for row in rows]) / 4


def moderate(largest: float, width: Literal[32, 64] = 64) -> st.SearchStrategy[float]:
    """Floats of moderate size, without subnormals."""
    return st.floats(-largest, largest, allow_subnormal=False, width=width)


def _quarters(shape: tuple[int, ...]) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.int64, shape, elements=st.integers(-8, 8)).map(lambda numerators: numerators / 4)


def _eighths(shape: tuple[int, ...]) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.int64, shape, elements=st.integers(-8, 8)).map(lambda numerators: numerators / 8)
