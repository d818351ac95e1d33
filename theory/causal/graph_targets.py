"""Claim 1.2: where the latents are known up to scale, one atomic target for each latent gives the graph, from means.

If f is known up to the scale of each latent, W is known up to a scale of its rows. With S diagonal W⁻¹ = S⁻¹ (I - A),
whose diagonal is that of S⁻¹ as A has none: A = I - diag(W⁻¹)⁻¹ W⁻¹. The covariance is not used, nor that the noise is
Gaussian. Which perturbation targets which latent need not be known: a triangular matrix has one assignment of rows to
columns without a zero, as in Shimizu et al. (2006), so an acyclic A allows one order of the columns of W only.

What was tried against it, with the mixing known: targets of several latents (an edge can be turned round with the same
W and Σ); a latent without a target (an edge between two of them can be turned round); cycles (rows of I - A may be
exchanged); a perturbation that changes the strength of an edge; a curved mechanism. Each breaks the reading of A.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment
from sympy import Expr, Identity, ImmutableMatrix, Integer, Matrix, MatrixSymbol, Rational, Symbol, diag, symbols
from sympy.matrices.expressions import Permanent

from theory.causal.graphs import complete, twins
from theory.causal.latent_causal import ACYCLIC, LINEAR, SHIFT, covariance, perturbation_matrix
from theory.engine.exact import Number, exact
from theory.engine.instances import EPS, Structure, structures
from theory.engine.proof import Assumption, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.symbols import d

A, A_scaled, N, S, S_inverse, W_inverse, Scale, Scale_inverse, W = (
    MatrixSymbol(name, d, d) for name in ("A", "Atilde", "N", "S", "S^{-1}", "W^{-1}", "Lambda", r"\Lambda^{-1}", "W")
)

COORDINATES = Assumption(
    "coordinates",
    "f is known up to the scale of each latent",
    states=((A_scaled, Scale * A * Scale_inverse), (Scale_inverse * Scale, Identity(d))),
)
ATOMIC = Assumption("atomic", "each perturbation shifts one latent", states=((S_inverse * S, Identity(d)),))
EACH = Assumption("each", "each latent is shifted by one of the perturbations, and rank L = K = d_Z")

PRIOR = (
    "Kholodenko et al. (2002), PNAS 99, modular response analysis; Hyttinen et al. (2012), JMLR 13; for unknown shifts"
    " backShift, Rothenhäusler et al. (2015), arXiv:1506.02494; the one assignment Shimizu et al. (2006), JMLR 7"
)


def read_adjacency(W: list[list[Number | Expr]]) -> ImmutableMatrix:
    """A = I - diag(W⁻¹)⁻¹ W⁻¹, exactly.

    Args:
        W: perturbation matrix in the latents' own coordinates (d_Z, d_Z); perturbation k targets latent k alone.

    Returns:
        A (d_Z, d_Z); A[i, j] is the effect of j on i.

    Raises:
        ValueError: if W is not square and regular, or W⁻¹ has a zero on its diagonal, which such targets never give.

    Example:
        >>> read_adjacency([[2, 0], [6, 5]]).tolist() == [[0, 0], [3, 0]]
        True
    """
    effects = exact(W)
    if effects.rows != effects.cols or effects.det().expand() == 0:
        raise ValueError(f"W: expected a regular square matrix, received shape {effects.shape} or one that is singular")
    inverse = effects.inv()
    if any(entry == 0 for entry in inverse.diagonal()):
        raise ValueError(
            "W: expected atomic targets in the order of the latents, received another order or other targets"
        )
    scale = diag(*(1 / entry for entry in inverse.diagonal()))
    return ImmutableMatrix(Matrix.eye(effects.rows) - scale * inverse).applyfunc(lambda entry: entry.cancel())


def _proof() -> tuple[Step | Lemma, ...]:
    reduced = Lemma(
        "reduced_form",
        "W = N S with N = (I − A)⁻¹",
        "claim 1: A is nilpotent, and the mechanisms have one solution",
        (LINEAR, ACYCLIC, SHIFT),
        ((W, N * S), (A * N, N - Identity(d))),
    )
    inverse = Step(
        "inverse",
        "S⁻¹ (I − A) W = I: W⁻¹ is I − A with its rows scaled",
        S_inverse * (Identity(d) - A) * W,
        Identity(d),
        (
            Equation(reduced, W, N * S),
            Equation(reduced, A * N, N - Identity(d)),
            Equation((EACH, ATOMIC), S_inverse * S, Identity(d)),
        ),
    )
    return (
        reduced,
        inverse,
        *(item for size in (2, 3, 4) for item in _read(size)),
        _assignment(3),
        _assignment(4),
        *_rescaled(),
    )


def _read(size: int) -> tuple[Lemma, Step]:
    """Free weights and shifts: the entries of W⁻¹ over those of its diagonal."""
    weights, shifts = complete(size, "a"), symbols(f"s1:{size + 1}", positive=True)
    read, own = _symbols("v", size), ImmutableMatrix(diag(*(1 / s for s in shifts)) * (Matrix.eye(size) - weights))
    chosen = [(i, j) for i in range(1, size) for j in range(i + 1)]
    entries = Lemma(
        f"entries_d{size}",
        f"for {size} latents in causal order the entries of W⁻¹ = S⁻¹ (I − A)",
        "`inverse`, written out for free weights, S diagonal",
        ("inverse", ATOMIC, EACH),
        tuple((read[i, j], own[i, j]) for i, j in chosen),
    )
    return entries, Step(
        f"read_off_d{size}",
        f"for {size} latents with free weights and shifts, −(W⁻¹)ᵢⱼ / (W⁻¹)ᵢᵢ = Aᵢⱼ for i > j",
        Matrix([-read[i, j] / read[i, i] for i, j in chosen if i != j]),
        Matrix([weights[i, j] for i, j in chosen if i != j]),
        tuple(entries.equation(place) for place in range(len(chosen))),
    )


def _symbols(letter: str, size: int) -> Matrix:
    return Matrix(size, size, lambda i, j: Symbol(f"{letter}_{i}{j}"))


def _assignment(size: int) -> Step:
    """The permanent has one term for each assignment of rows to columns; with positive entries none cancel."""
    entries = Matrix(size, size, lambda i, j: Symbol(f"v_{i}{j}", positive=True) if i >= j else Integer(0))
    product = Integer(1)
    for entry in entries.diagonal():
        product *= entry
    return Step(
        f"one_assignment_d{size}",
        f"for {size} latents in causal order, of all assignments of rows to columns one avoids the zeros of W⁻¹",
        Permanent(ImmutableMatrix(entries)),
        product,
    )


def _rescaled() -> tuple[Step, ...]:
    scaled = Step(
        "rescaled",
        "latents Λ z have adjacency Λ A Λ⁻¹, with the same zeros: (I − Ã) Λ W = Λ S",
        (Identity(d) - A_scaled) * Scale * W,
        Scale * S,
        (
            Equation(COORDINATES, A_scaled, Scale * A * Scale_inverse),
            Equation(COORDINATES, Scale_inverse * Scale, Identity(d)),
            Equation("reduced_form", W, N * S),
            Equation("reduced_form", A * N, N - Identity(d)),
        ),
    )
    return (scaled,)


def targeted(structure: Structure) -> tuple[np.ndarray, np.ndarray]:
    """A structure's A and the W (d_Z, d_Z) of one atomic target for each latent, of sizes from its noise variances."""
    W = perturbation_matrix(structure.A, np.diag(structure.D))
    return structure.A, np.array(W.tolist(), dtype=float)


def measure(A: np.ndarray, W: np.ndarray, order: np.ndarray | None = None) -> Measurement:
    """Read A off a W whose columns are in any order; the order is found by assignment and not told.

    Rounding: c·eps·cond(W)² relative to the largest ratio of entries of W⁻¹, c = 8 d_Z².
    """
    inverse = np.linalg.inv(W if order is None else W[:, order])
    inverse = inverse[_assigned(inverse)]
    read = np.eye(len(W)) - inverse / np.diagonal(inverse)[:, None]
    bound = 8 * len(W) ** 2 * EPS * np.linalg.cond(W) ** 2 * (1 + np.abs(A).max())
    return Measurement("adjacency", float(np.abs(read - A).max()), float(bound))


def _assigned(inverse: np.ndarray) -> np.ndarray:
    """The order of rows with the largest product on the diagonal, of all orders: the only one that avoids zeros."""
    logs = np.log(np.maximum(np.abs(inverse), 1e-9 * np.abs(inverse).max()))
    return linear_sum_assignment(-logs.T)[1]


def _free_mixing(size: Rational) -> Model:
    """The twins of 1.1: A has the edge 1 → 2 of weight `size`, the other none; S = I, variances 1, order known."""
    edge, none = Matrix([[0, 0], [size, 0]]), Matrix.zeros(2)
    carry, targets = twins(edge, none), Matrix.eye(2).tolist()
    noises = symbols("d1 d2", positive=True)
    return compare(
        ("A", edge, none),
        ("W behind the mixing", carry * perturbation_matrix(none, targets), perturbation_matrix(edge, targets)),
        ("Σ behind the mixing", carry * covariance(none, noises) * carry.T, covariance(edge, noises)),
    )


def _turned(size: Rational, others: int) -> tuple[Matrix, Matrix, tuple[str, Matrix, Matrix]]:
    """1 → 2 of weight `size`, and 2 → 1 with the same Σ, with `others` latents besides; noises of variance 1."""
    dimension = 2 + others
    forward, backward = Matrix.zeros(dimension), Matrix.zeros(dimension)
    forward[1, 0], backward[0, 1] = size, size / (1 + size**2)
    variances = [1 / (1 + size**2), 1 + size**2, *([Integer(1)] * others)]
    scale = Symbol("s", positive=True)
    spreads = covariance(forward, [scale] * dimension), covariance(backward, [scale * v for v in variances])
    return forward, backward, ("Σ, for noises of variance s", *spreads)


def _several(size: Rational) -> Model:
    """S = I for the edge 1 → 2; the edge turned round has the same Σ, and the same W with a target on both latents."""
    forward, backward, same = _turned(size, others=0)
    W = perturbation_matrix(forward, Matrix.eye(2).tolist())
    targets = (Matrix.eye(2) - backward) * W
    return compare(("A", forward, backward), same, ("W", perturbation_matrix(backward, targets.tolist()), W))


def _untouched(size: Rational) -> Model:
    """Three latents, one atomic target on the third: the edge between the others can be turned round."""
    forward, backward, same = _turned(size, others=1)
    own, other = (perturbation_matrix(graph, [[0], [0], [1]]) for graph in (forward, backward))
    return compare(("A", forward, backward), same, ("W", own, other))


def _exchanged(size: Rational) -> Model:
    """z_1 = z_2/2 + …, z_2 = size z_1/2 + …: at size 1 the rows of I - A may be exchanged, with gains 2 in the twin.

    Both have atomic targets, S = I and S' with targets exchanged, and the same W.
    """
    gain = Rational(1, 2)
    own = Matrix([[0, gain], [gain, 0]])
    other = own if size == 0 else Matrix([[0, 1 / gain], [1 / gain, 0]])
    targets = (Matrix.eye(2) - other) * (Matrix.eye(2) - own).inv()
    label, none = Matrix(symbols("l1:3")), Matrix.zeros(1, 2)
    products = Matrix([[targets[0, 0] * targets[0, 1], targets[1, 0] * targets[1, 1]]])
    return compare(
        ("A", other, own),
        ("targets of both latents", products, none),
        ("mean of z", (Matrix.eye(2) - other).inv() * targets * label, (Matrix.eye(2) - own).inv() * label),
    )


def _strengthened(size: Rational) -> Model:
    """Perturbation 1 also adds `size` to the edge 1 → 2 of weight 1: means show the edge under the perturbation."""
    read, dose = read_adjacency([[1, 0], [1 + size, 1]]), Symbol("l", real=True)
    return compare(
        ("A as read, and as it is", Matrix(read), Matrix([[0, 0], [1, 0]])),
        ("mean under perturbation 2", Matrix([[1, 0], [1 + size, 1]])[:, 1] * dose, Matrix([0, dose])),
    )


def _curved(size: Rational) -> Model:
    """z_2 = u_2 + z_1 + size z_1², E u = 0, E u² = 1: a shift of z_1 by 1 moves the mean of z_2 by 1 + size."""
    dose = Symbol("l", real=True)
    mean = dose + size * (1 + dose**2)
    effects = Matrix([[1, 0], [mean.subs(dose, 1) - mean.subs(dose, 0), 1]])
    return compare(
        ("A as read, and as it is", Matrix(read_adjacency(effects.tolist())), Matrix([[0, 0], [1, 0]])),
        ("mean under perturbation 2", effects[:, 1] * dose, Matrix([0, dose])),
    )


CLAIM = Claim(
    name="graph_targets",
    number="1.2",
    statement="with latents known up to scale and one atomic target for each, A = I − diag(W⁻¹)⁻¹ W⁻¹",
    latex=r"W^{-1} = S^{-1}(I - A),\qquad A = I - \mathrm{diag}(W^{-1})^{-1} W^{-1}",
    assumptions=(LINEAR, ACYCLIC, SHIFT, COORDINATES, ATOMIC, EACH),
    source=PRIOR,
    proof=_proof(),
    conclusions=("inverse", "rescaled"),
    confirmations=("read_off_d2", "read_off_d3", "read_off_d4", "one_assignment_d3", "one_assignment_d4"),
    says=(
        (S_inverse * (Identity(d) - A) * W, "=", Identity(d)),
        ((Identity(d) - A_scaled) * Scale * W, "=", Scale * S),
    ),
    check=lambda fault=0.0: tuple(
        measure(
            targeted(structure)[0] * (1 + 1e-3 * fault),
            targeted(structure)[1],
            order=np.roll(np.arange(len(structure.A)), turn),
        )
        for structure in structures()
        for turn in (0, 1)
    ),
    counterexamples=(
        Counterexample(COORDINATES, "the twins of 1.1, with S = I and the order known", _free_mixing, "rescaled"),
        Counterexample(ATOMIC, "with several targets an edge can be turned round", _several, "inverse"),
        Counterexample(EACH, "an edge between latents without target can be turned round", _untouched, "inverse"),
        Counterexample(ACYCLIC, "in a cycle the rows of I − A can be exchanged", _exchanged, "inverse"),
        Counterexample(SHIFT, "a perturbation that changes the strength of an edge", _strengthened, "inverse"),
        Counterexample(LINEAR, "a curved mechanism", _curved, "inverse"),
    ),
    remark="The inverse of the matrix of responses is what modular response analysis reads a network off; here the"
    " responses are those of latents. Of the mixing the scale of each latent may stay unknown, of the targets which"
    " perturbation hits which latent.",
)
