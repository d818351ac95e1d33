"""Mixings, observation laws, simulators and small datasets."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pdae_sim._checks import choice, whole
from pdae_sim.data import PerturbationData, Simulation
from pdae_sim.simulation.mixings import FAMILIES, LinearTanh, Mixing, Orthonormal, SmoothLeaky, random_mixing
from pdae_sim.simulation.observation import Noiseless, Observation
from pdae_sim.simulation.simulator import Simulator
from pdae_sim.strategies._labels import label_spaces, labels
from pdae_sim.strategies._models import latent_models, moderate, orthogonal_matrices


@st.composite
def mixings(draw: st.DrawFn, n_latents: int, n_observed: int | None = None) -> Mixing:
    """Invertible mixings; shrinks to the embedding z ↦ (z, 0).

    Args:
        n_latents: d_Z.
        n_observed: d_X ≥ d_Z; d_Z to d_Z + 3 when None.

    Example:
        >>> from hypothesis import find
        >>> find(mixings(1, 2), lambda f: True)(np.array([[3.0]])).tolist()
        [[3.0, 0.0]]
    """
    d = whole("n_latents", n_latents)
    p = d + draw(st.integers(0, 3)) if n_observed is None else whole("n_observed", n_observed, at_least=d)
    layers = [draw(_orthonormal_layers(p, n_latents))]
    for _ in range(draw(st.integers(0, 2))):
        layers += [draw(_activations()), draw(_orthonormal_layers(p, p))]
    return Mixing(tuple(layers))


@st.composite
def family_mixings(draw: st.DrawFn, kind: str, *, max_latents: int = 4) -> Mixing:
    """Members of one family at its own difficulty; shrinks to few latents, observed in as many coordinates.

    Args:
        kind: One of `FAMILIES`.
        max_latents: Greatest d_Z; d_X is up to four more, under a linear or a curved embedding.

    Example:
        >>> from hypothesis import find
        >>> find(family_mixings("henon"), lambda f: True).n_latents
        2
    """
    d = draw(st.integers(FAMILIES[choice("kind", kind, FAMILIES)].least, max_latents))
    p = d + draw(st.integers(0, 4))
    embedding = draw(st.sampled_from(["linear", "curved"])) if p > d else "linear"
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return random_mixing(d, p, rng=rng, kind=kind, embedding=embedding)


@st.composite
def simulators(
    draw: st.DrawFn,
    *,
    n_latents: int | None = None,
    n_perturbations: int | None = None,
    observation: st.SearchStrategy[Observation] | None = None,
) -> Simulator:
    """Simulators; shrinks to an embedding of independent latents.

    Args:
        n_latents: d_Z; 1 to 4 when None.
        n_perturbations: K; 1 to 4 when None.
        observation: Laws of x given f(z), such as `observations()`; none when None.

    Example:
        >>> from hypothesis import find
        >>> find(simulators(), lambda simulator: True).observation
        Noiseless()
    """
    latent = draw(latent_models(n_latents=n_latents, n_perturbations=n_perturbations))
    law = Noiseless() if observation is None else draw(observation)
    return Simulator(latent, draw(mixings(latent.n_latents)), law)


@st.composite
def simulations(
    draw: st.DrawFn,
    *,
    n_latents: int | None = None,
    n_perturbations: int | None = None,
    observation: st.SearchStrategy[Observation] | None = None,
    cells: int = 20,
) -> Simulation:
    """Cells with their truth, under the control and all singles, some doubles held out; shrinks to no effect.

    Args:
        n_latents: d_Z; 1 to 4 when None.
        n_perturbations: K; 1 to 4 when None.
        observation: Laws of x given f(z), such as `observations("negative_binomial")`; none when None.
        cells: Cells of each condition.

    Example:
        >>> from hypothesis import find
        >>> find(simulations(n_perturbations=2), lambda simulation: simulation.data.held_out.any()).data.conditions
        ('ctrl', 'A', 'B', 'A+B')
    """
    simulator = draw(simulators(n_latents=n_latents, n_perturbations=n_perturbations, observation=observation))
    K = simulator.latent.n_perturbations
    doubles = [np.eye(K)[i] + np.eye(K)[j] for i in range(K) for j in range(i)]
    chosen = draw(st.lists(st.sampled_from(range(len(doubles))), unique=True)) if doubles else []
    labels = np.array([np.zeros(K), *np.eye(K), *(doubles[i] for i in chosen)])
    held_out = np.arange(len(labels)) > K
    return simulator.sample(labels, cells, rng=draw(st.integers(0, 2**32 - 1)), held_out=held_out)


@st.composite
def perturbation_data(
    draw: st.DrawFn, *, n_perturbations: int | None = None, n_observed: int | None = None, max_environments: int = 4
) -> PerturbationData:
    """Small datasets in float32 with distinct labels, cells in any order; shrinks to one cell of one environment.

    Args:
        n_perturbations: K; 1 to 3 when None.
        n_observed: d_X; 1 to 3 when None.
        max_environments: Greatest number of environments.

    Example:
        >>> from hypothesis import find
        >>> find(perturbation_data(), lambda data: True).x.shape
        (1, 1)
    """
    sizes = (1, 3) if n_perturbations is None else (whole("n_perturbations", n_perturbations),) * 2
    space = draw(label_spaces(min_size=sizes[0], max_size=sizes[1]))
    rows = draw(st.lists(labels(len(space), kind="float"), min_size=1, max_size=max_environments, unique=True))
    cells = [draw(st.integers(1, 3)) for _ in rows]
    environment = np.array(draw(st.permutations(np.repeat(np.arange(len(rows)), cells).tolist())))
    width = draw(st.integers(1, 3)) if n_observed is None else whole("n_observed", n_observed)
    x = draw(hnp.arrays(np.float32, (len(environment), width), elements=moderate(1024.0, width=32)))
    held_out = draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    return PerturbationData(x, np.array(rows), environment, space.names, held_out=np.array(held_out))


def _orthonormal_layers(rows: int, columns: int) -> st.SearchStrategy[Orthonormal]:
    return st.builds(
        Orthonormal,
        orthogonal_matrices(rows).map(lambda Q: Q[:, :columns]),
        hnp.arrays(np.float64, rows, elements=moderate(1.0)),
        st.sampled_from([1.0, 0.5, 1.4]),
    )


def _activations() -> st.SearchStrategy:
    return st.one_of(
        st.builds(SmoothLeaky, st.sampled_from([1.0, 0.25, 0.1])),
        st.builds(LinearTanh, st.sampled_from([0.3, 0.1, 2.0])),
    )
