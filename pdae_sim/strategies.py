"""Hypothesis strategies for labels, worlds and data: they construct, shrink to the simple case and plant the answer.

Property tests of a user's own estimator or reader start here. Needs the extra ``testing``; nothing else in the library
imports this module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pdae_sim._checks import choice, whole
from pdae_sim.data import PerturbationData
from pdae_sim.labels import LabelSpace
from pdae_sim.simulation.latent import LinearLatentModel
from pdae_sim.simulation.mixings import LinearTanh, Mixing, Orthonormal, SmoothLeaky
from pdae_sim.simulation.observation import GaussianNoise, Noiseless
from pdae_sim.simulation.simulator import Simulator

_SHORT_UNITS = (1, 2, 4, 5, 10, 100)  # denominators whose quotients are short decimals
_UNITS = {"int": (1,), "fraction": (1, 2, 3, 7, 10), "decimal": _SHORT_UNITS, "float": _SHORT_UNITS}
_QUOTIENT: dict[str, Callable[[int, int], object]] = {
    "int": lambda n, unit: n // unit,
    "fraction": Fraction,
    "decimal": lambda n, unit: Decimal(n) / unit,
    "float": lambda n, unit: n / unit,
}
KINDS = tuple(_UNITS)
"""The kinds of number a dose may be: ``int``, ``fraction``, ``decimal`` and ``float`` (short decimals such as 0.1)."""


def label_spaces(*, min_size: int = 1, max_size: int = 4) -> st.SearchStrategy[LabelSpace]:
    """Label spaces; shrinks to few perturbations with short names.

    Args:
        min_size: Least number K of perturbations.
        max_size: Greatest K.

    Example:
        >>> from hypothesis import find
        >>> len(find(label_spaces(min_size=2), lambda space: True)) == 2
        True
    """
    alphabet = st.characters(categories=("Lu", "Ll", "Nd", "Pd", "Sm", "So"), exclude_characters="+:")
    names = st.text(alphabet, min_size=1, max_size=6).filter(lambda name: name != "ctrl")
    return st.lists(names, min_size=min_size, max_size=max_size, unique=True).map(
        lambda found: LabelSpace(tuple(found))
    )


def doses(kind: str = "fraction", *, largest: int = 6) -> st.SearchStrategy:
    """Doses of one kind of number, negative ones included; shrinks to 0.

    Args:
        kind: One of `KINDS`.
        largest: Greatest magnitude of the numerator; the denominators are small.
    """
    quotient = _QUOTIENT[choice("kind", kind, KINDS)]
    return st.builds(quotient, st.integers(-largest, largest), st.sampled_from(_UNITS[kind]))


def labels(n_perturbations: int, *, kind: str = "fraction") -> st.SearchStrategy[tuple]:
    """Labels (K,) as tuples of numbers of one kind; shrinks to the control.

    Args:
        n_perturbations: K.
        kind: One of `KINDS`.

    Example:
        >>> from hypothesis import find
        >>> find(labels(2, kind="int"), any) in {(0, 1), (1, 0)}
        True
    """
    return st.tuples(*[doses(kind)] * whole("n_perturbations", n_perturbations))


def conditions(space: LabelSpace) -> st.SearchStrategy[str]:
    """Condition strings of a label space, canonical or not; shrinks to the control."""
    return spellings(space).map(lambda pair: pair[0])


@st.composite
def spellings(draw: st.DrawFn, space: LabelSpace) -> tuple[str, tuple[Fraction, ...]]:
    """A condition string beside the label it must be read as, planted.

    The string may list the parts in any order, pad them, spell out a dose of 1 or 0 and mention the control.
    """
    chosen = draw(st.lists(st.sampled_from(range(len(space))), unique=True)) if len(space) else []
    amounts = [draw(doses("fraction")) if draw(st.booleans()) else Fraction(1) for _ in chosen]
    written = [
        _written(space, space.names[k], dose, draw(st.booleans())) for k, dose in zip(chosen, amounts, strict=True)
    ]
    if not written or draw(st.booleans()):
        written.insert(draw(st.integers(0, len(written))), space.control)
    joint = draw(st.sampled_from([space.separator, f" {space.separator} "]))
    known = dict(zip(chosen, amounts, strict=True))
    return joint.join(written), tuple(known.get(k, Fraction(0)) for k in range(len(space)))


def _written(space: LabelSpace, name: str, dose: Fraction, bare: bool) -> str:
    return name if dose == 1 and bare else f"{name}{space.dose_separator}{dose}"


@dataclass(frozen=True)
class SpanProblem:
    """Training labels, a test label and the answer, known by construction.

    Args:
        train: Rows of training labels, the reference among them.
        test: The label to judge.
        reference: l_0, equal to `train[position]`.
        position: Row of the reference.
        rank: Rank of the training shifts.
        coefficients: Some α (not always the least) with Σ_e α_e Δ_e = Δ_t; None outside the span.
        witness: Some v with vᵀ Δ_e = 0 for every training row and vᵀ Δ_t = 1; None inside the span.
    """

    train: tuple[tuple, ...]
    test: tuple
    reference: tuple
    position: int
    rank: int
    coefficients: tuple[Fraction, ...] | None
    witness: tuple[Fraction, ...] | None

    @property
    def identified(self) -> bool:
        """Whether the test label is in the span."""
        return self.witness is None


@st.composite
def span_problems(
    draw: st.DrawFn,
    *,
    max_perturbations: int = 4,
    max_environments: int = 6,
    kind: str = "int",
    identified: bool | None = None,
) -> SpanProblem:
    """Span problems with planted rank and certificate; shrinks to elementary shifts and a reference of zeros.

    The first `rank` columns of a unimodular integer matrix B span the training shifts. A test shift inside is a known
    combination of them; one outside adds a later column j, and row j of B⁻¹ is then the witness.

    Args:
        max_perturbations: Greatest K.
        max_environments: Greatest number of training labels beside the reference.
        kind: One of `KINDS`, the numbers of the labels.
        identified: Whether the test label is in the span; either when None.
    """
    K = draw(st.integers(1, max_perturbations))
    inside = draw(st.booleans()) if identified is None else identified
    rank = draw(st.integers(0, K if inside else K - 1))
    basis, inverse = draw(_unimodular(K))
    mixes = _planted_rank(draw, rank, max_environments)
    shifts = [_combine(basis, mix) for mix in mixes]
    alpha = [draw(st.integers(-3, 3)) for _ in shifts]
    beyond = 0 if inside else draw(st.sampled_from([1, -1, 2, 7]))
    new = draw(st.integers(rank, K - 1)) if beyond else 0
    target = [a + beyond * b for a, b in zip(_combine(shifts, alpha, K), basis[new], strict=True)]
    reference, unit = (
        draw(st.tuples(*[st.integers(-2, 2)] * K)),
        draw(st.sampled_from(_UNITS[choice("kind", kind, KINDS)])),
    )
    position = draw(st.integers(0, len(shifts)))
    shifts.insert(position, [0] * K)
    alpha.insert(position, 0)

    def label(shift: Sequence[int]) -> tuple:
        return tuple(_QUOTIENT[kind](a + b, unit) for a, b in zip(reference, shift, strict=True))

    return SpanProblem(
        train=tuple(label(shift) for shift in shifts),
        test=label(target),
        reference=label([0] * K),
        position=position,
        rank=rank,
        coefficients=tuple(Fraction(a) for a in alpha) if inside else None,
        witness=tuple(Fraction(v * unit, beyond) for v in inverse[new]) if beyond else None,
    )


@st.composite
def _unimodular(draw: st.DrawFn, size: int) -> tuple[list[list[int]], list[list[int]]]:
    """Columns of an integer matrix B and rows of B⁻¹, by shears; shrinks to the identity."""
    columns = [[int(i == j) for j in range(size)] for i in range(size)]
    rows = [list(row) for row in columns]
    pairs = [(i, j) for i in range(size) for j in range(size) if i != j]
    moves = st.lists(st.tuples(st.sampled_from(pairs), st.integers(-2, 2)), max_size=2 * size) if pairs else st.just([])
    for (i, j), factor in draw(moves):
        columns[j] = [b + factor * a for a, b in zip(columns[i], columns[j], strict=True)]
        rows[i] = [a - factor * b for a, b in zip(rows[i], rows[j], strict=True)]
    return columns, rows


def _planted_rank(draw: st.DrawFn, rank: int, most: int) -> list[list[int]]:
    """Combinations (M, rank) of the basis whose rank is `rank`: the identity and any further rows, in any order."""
    further = st.lists(st.tuples(*[st.integers(-2, 2)] * rank).map(list), max_size=max(most - rank, 0))
    identity = [[int(i == j) for j in range(rank)] for i in range(rank)]
    return draw(st.permutations(identity + draw(further))) if rank else []


def _combine(vectors: Sequence[Sequence[int]], weights: Sequence[int], size: int | None = None) -> list[int]:
    width = len(vectors[0]) if vectors else size
    return [sum(w * vector[k] for w, vector in zip(weights, vectors, strict=False)) for k in range(width)]


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
