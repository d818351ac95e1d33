"""Latent models, mixings, simulators and small datasets."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pdae_sim.data import PerturbationData
from pdae_sim.simulation.latent import LinearLatentModel
from pdae_sim.simulation.mixings import LinearTanh, Mixing, Orthonormal, SmoothLeaky
from pdae_sim.simulation.observation import GaussianNoise, Noiseless
from pdae_sim.simulation.simulator import Simulator
from pdae_sim.strategies.labels import label_spaces, labels


@st.composite
def orthogonal_matrices(draw: st.DrawFn, size: int) -> np.ndarray:
    """Orthogonal matrices (d, d), reflections included; shrinks to the identity.

    Every orthogonal matrix is a Cayley transform (I − T)(I + T)⁻¹ of a skew-symmetric T with the signs of some rows
    changed.

    Args:
        size: d.
    """
    T = np.zeros((size, size))
    upper = np.triu_indices(size, 1)
    T[upper] = draw(hnp.arrays(np.float64, len(upper[0]), elements=_moderate(2.0), fill=st.nothing()))
    T -= T.T
    signs = draw(st.lists(st.sampled_from([1.0, -1.0]), min_size=size, max_size=size))
    return np.array(signs)[:, None] * np.linalg.solve((np.eye(size) + T).T, (np.eye(size) - T).T).T


@st.composite
def adjacency_matrices(draw: st.DrawFn, size: int) -> np.ndarray:
    """Weighted adjacencies A (d, d) of DAGs in any causal order; shrinks to the empty graph.

    Weights are multiples of ¼ in [−2, 2], so that exact arithmetic reads them as they are.

    Args:
        size: d.
    """
    A = np.zeros((size, size))
    A[np.tril_indices(size, -1)] = draw(_quarters((size * (size - 1) // 2,)))
    order = draw(st.permutations(range(size)))
    return A[np.ix_(order, order)]


@st.composite
def latent_models(
    draw: st.DrawFn, *, n_latents: int | None = None, n_perturbations: int | None = None
) -> LinearLatentModel:
    """Linear latent models with dyadic entries; shrinks to an empty graph, unit noise and no effect.

    Args:
        n_latents: d_Z; 1 to 4 when None.
        n_perturbations: K; 1 to 4 when None.
    """
    d = n_latents or draw(st.integers(1, 4))
    K = n_perturbations or draw(st.integers(1, 4))
    D = draw(st.lists(st.sampled_from([1.0, 0.25, 0.5, 2.0, 4.0]), min_size=d, max_size=d))
    return LinearLatentModel(draw(adjacency_matrices(d)), np.array(D), draw(_quarters((d, K))))


@st.composite
def mixings(draw: st.DrawFn, n_latents: int, n_observed: int | None = None) -> Mixing:
    """Invertible mixings; shrinks to the embedding z ↦ (z, 0).

    Args:
        n_latents: d_Z.
        n_observed: d_X ≥ d_Z; d_Z to d_Z + 3 when None.
    """
    p = n_observed or n_latents + draw(st.integers(0, 3))
    layers = [draw(_orthonormal_layers(p, n_latents))]
    for _ in range(draw(st.integers(0, 2))):
        layers += [draw(_activations()), draw(_orthonormal_layers(p, p))]
    return Mixing(tuple(layers))


@st.composite
def simulators(
    draw: st.DrawFn, *, n_latents: int | None = None, n_perturbations: int | None = None, noise: bool = False
) -> Simulator:
    """Simulators; shrinks to an embedding of independent latents.

    Args:
        n_latents: d_Z; 1 to 4 when None.
        n_perturbations: K; 1 to 4 when None.
        noise: Whether Gaussian observation noise is allowed.
    """
    latent = draw(latent_models(n_latents=n_latents, n_perturbations=n_perturbations))
    scales = st.sampled_from([0.0, 0.1, 1.0] if noise else [0.0])
    observation = draw(scales.map(lambda scale: GaussianNoise(scale) if scale else Noiseless()))
    return Simulator(latent, draw(mixings(latent.n_latents)), observation)


@st.composite
def perturbation_data(
    draw: st.DrawFn, *, n_perturbations: int | None = None, n_observed: int | None = None, max_environments: int = 4
) -> PerturbationData:
    """Small datasets in float32 with distinct labels, cells in any order; shrinks to one cell of one environment.

    Args:
        n_perturbations: K; 1 to 3 when None.
        n_observed: d_X; 1 to 3 when None.
        max_environments: Greatest number of environments.
    """
    space = draw(label_spaces(min_size=n_perturbations or 1, max_size=n_perturbations or 3))
    rows = draw(st.lists(labels(len(space), kind="float"), min_size=1, max_size=max_environments, unique=True))
    sizes = [draw(st.integers(1, 3)) for _ in rows]
    environment = np.array(draw(st.permutations(np.repeat(np.arange(len(rows)), sizes).tolist())))
    width = n_observed or draw(st.integers(1, 3))
    x = draw(hnp.arrays(np.float32, (len(environment), width), elements=_moderate(1024.0, width=32)))
    held_out = draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    return PerturbationData(x, np.array(rows), environment, space.names, held_out=np.array(held_out))


def _moderate(largest: float, width: int = 64) -> st.SearchStrategy[float]:
    return st.floats(-largest, largest, allow_subnormal=False, width=width)


def _quarters(shape: tuple[int, ...]) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.int64, shape, elements=st.integers(-8, 8)).map(lambda numerators: numerators / 4)


def _orthonormal_layers(rows: int, columns: int) -> st.SearchStrategy[Orthonormal]:
    return st.builds(
        Orthonormal,
        orthogonal_matrices(rows).map(lambda Q: Q[:, :columns]),
        hnp.arrays(np.float64, rows, elements=_moderate(1.0)),
        st.sampled_from([1.0, 0.5, 1.4]),
    )


def _activations() -> st.SearchStrategy:
    return st.one_of(
        st.builds(SmoothLeaky, st.sampled_from([1.0, 0.25, 0.1])),
        st.builds(LinearTanh, st.sampled_from([0.3, 0.1, 2.0])),
    )
