"""Claim 1: shift interventions in a linear latent causal model are an instance of the additive-shift model.

z = A z + u + S l with A the adjacency of a DAG (A[i, j] is the effect of j on i), independent noises u ~ N(0, D) and
targets S gives z = z_base + W l with W = (I - A)⁻¹ S and z_base ~ N(0, Σ), Σ = (I - A)⁻¹ D (I - A)⁻ᵀ.
"""

from collections.abc import Sequence

import numpy as np
from sympy import Expr, ImmutableMatrix, Integer, Matrix, Rational, Symbol, diag, diff, eye, symbols
from sympy.matrices.expressions import Identity, MatMul, MatrixSymbol, ZeroMatrix

from theory.assumptions import PAPER
from theory.engine.exact import Number, Table, exact
from theory.engine.expectation import E, Random
from theory.engine.instances import EPS, Structure, structures
from theory.engine.proof import DEFINITION, Assumption, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.symbols import K, W, d

A, N, D, F, Sigma = (MatrixSymbol(name, d, d) for name in ("A", "N", "D", "F", "Sigma"))
S, label = MatrixSymbol("S", d, K), MatrixSymbol("l", K, 1)
u, z = Random("u", d, 1), Random("z", d, 1)

LINEAR = Assumption(
    "linear", "each latent is a linear function of its parents plus noise", states=((z, A * z + u + S * label),)
)
REGULAR = Assumption("regular", "det(I − A) ≠ 0, as for the weighted adjacency of every directed acyclic graph")
ACYCLIC = Assumption("acyclic", "A is the weighted adjacency of a directed acyclic graph", implies=("regular",))
SHIFT = Assumption("shift", "an intervention adds S l to the mechanisms and changes neither A nor the law of u")
GAUSSIAN_NOISE = Assumption(
    "gaussian_noise",
    "u ∼ N(0, D) with D diagonal and positive, so D has a root F⁻¹",
    states=((E(u), ZeroMatrix(d, 1)), (E(u * u.T), D), (F * D * F.T, Identity(d))),
)


def perturbation_matrix(A: Table, S: Table) -> ImmutableMatrix:
    """W = (I - A)⁻¹ S, exactly.

    Args:
        A: adjacency, d_Z rows of length d_Z, numbers or symbols; A[i][j] is the effect of j on i.
        S: targets, d_Z rows of length K.

    Returns:
        W (d_Z, K); column k is the latent shift of one unit of perturbation k.

    Raises:
        ValueError: if A is not square or has a cycle, or S has another number of rows.

    Example:
        >>> perturbation_matrix([[0, 0], [3, 0]], [[1, 0], [0, 1]]).tolist() == [[1, 0], [3, 1]]
        True
    """
    effects, targets = total_effects(A), exact(S)
    if targets.rows != effects.rows:
        raise ValueError(f"S: expected {effects.rows} rows as in A, received {targets.rows}")
    return (effects * targets).expand()


def covariance(A: Table, D: Sequence[Number | Expr]) -> ImmutableMatrix:
    """Σ = (I - A)⁻¹ D (I - A)⁻ᵀ, exactly.

    Args:
        A: adjacency, as in `perturbation_matrix`.
        D: the d_Z noise variances.

    Returns:
        Σ (d_Z, d_Z), the covariance of the base latent.

    Raises:
        ValueError: if A is not square or has a cycle, or D has another length.

    Example:
        >>> covariance([[0, 0], [3, 0]], [1, 2]).tolist() == [[1, 3], [3, 11]]
        True
    """
    effects, variances = total_effects(A), exact([[entry] for entry in D])
    if variances.rows != effects.rows:
        raise ValueError(f"D: expected {effects.rows} variances as in A, received {variances.rows}")
    return (effects * ImmutableMatrix(diag(*variances)) * effects.T).expand()


def total_effects(A: Table) -> ImmutableMatrix:
    """(I - A)⁻¹ = I + A + … + A^(d_Z - 1): entry (i, j) sums the products of effects along the paths from j to i.

    Raises:
        ValueError: if A is not square or has a cycle.
    """
    adjacency = exact(A)
    if adjacency.rows != adjacency.cols:
        raise ValueError(f"A: expected a square matrix, received shape {adjacency.shape}")
    if not is_acyclic(adjacency):
        raise ValueError("A: expected the adjacency of an acyclic graph, received a cycle")
    return _neumann(adjacency)


def is_acyclic(A: Matrix) -> bool:
    """Whether the graph of the non-zero entries of A has no directed cycle: no walk has d_Z steps."""
    support = np.array([[int(entry != 0) for entry in row] for row in A.tolist()], dtype=int)
    walks = np.eye(len(support), dtype=int)
    for _ in range(len(support)):
        walks = np.minimum(walks @ support, 1)
    return not walks.any()


def symbolic_adjacency(support: Sequence[Sequence[int]]) -> ImmutableMatrix:
    """An adjacency with one free symbol a_ij for each non-zero entry (i, j) of `support`."""
    rows = [list(row) for row in support]
    return ImmutableMatrix(len(rows), len(rows), lambda i, j: Symbol(f"a_{i}{j}") if rows[i][j] else Integer(0))


def _neumann(A: Matrix) -> ImmutableMatrix:
    total = power = ImmutableMatrix(eye(A.rows))
    for _ in range(A.rows - 1):
        power = power * A
        total = total + power
    return total.expand()


INVERSE = Lemma(
    "inverse",
    "I − A has an inverse N on either side; for an acyclic graph it is I + A + … + A^(d−1)",
    "det(I − A) ≠ 0; a walk of d steps in a graph with d nodes visits one twice, so A^d = 0 without cycles, and the sum"
    " telescopes: for d = 2, 3, 4 with free symbols the steps `telescopes_d` compute it",
    (REGULAR, "telescopes_d2", "telescopes_d3", "telescopes_d4"),
    states=((A * N, N - Identity(d)), (N * A, N - Identity(d))),
)

_right_inverse = Equation(INVERSE, A * N, N - Identity(d))
_left_inverse = Equation(INVERSE, N * A, N - Identity(d))
_perturbation = Equation(DEFINITION, W, N * S)
_mechanisms = Equation((LINEAR, SHIFT), A * z, z - u - S * label)
_solved = Equation(("unique", "reduced_form"), z, N * (u + S * label))


def _proof() -> tuple[Step | Lemma, ...]:
    reduced = Step(
        "reduced_form",
        "N (z − A z) = N (u + S l) by the structural equations",
        N * (z - A * z),
        N * (u + S * label),
        (_mechanisms,),
    )
    unique = Step(
        "unique", "N (z − A z) = z, so z = N (u + S l) and nothing else", N * (z - A * z), z, (_left_inverse,)
    )
    base = Step(
        "additive_shift",
        "z − W l = N u with W = N S: the base latent does not depend on the label",
        z - W * label,
        N * u,
        (_solved, _perturbation),
    )
    return (*(_telescopes(size) for size in (2, 3, 4)), INVERSE, reduced, unique, base, *_laws(), *_paths())


def _telescopes(size: int) -> Step:
    adjacency = _triangular(size)
    return Step(
        f"telescopes_d{size}",
        f"(I − A) (I + … + Â{size - 1}) = I for every A of a DAG on {size} nodes in causal order",
        MatMul(ImmutableMatrix(eye(size) - adjacency), ImmutableMatrix(_neumann(adjacency)), evaluate=False),
        eye(size),
    )


def _triangular(size: int) -> ImmutableMatrix:
    """The adjacency of the complete DAG in causal order, with free weights."""
    return symbolic_adjacency([[int(i > j) for j in range(size)] for i in range(size)])


def _laws() -> tuple[Step | Lemma, ...]:
    expectation = Step(
        "mean",
        "𝔼 z = W l",
        E(z),
        W * label,
        (_solved, _perturbation, Equation(GAUSSIAN_NOISE, E(u), ZeroMatrix(d, 1))),
    )
    spread = Step(
        "covariance",
        "Σ = Cov z = N D Nᵀ, whatever the label",
        Sigma,
        N * D * N.T,
        (
            Equation(DEFINITION, Sigma, E((z - W * label) * (z - W * label).T)),
            _solved,
            _perturbation,
            Equation(GAUSSIAN_NOISE, E(u * u.T), D),
        ),
    )
    return expectation, spread, *_whitening(spread.equation())


def _whitening(covariance_of_z: Equation) -> tuple[Step, ...]:
    root = F * (Identity(d) - A)
    regular = Equation(GAUSSIAN_NOISE, F * D * F.T, Identity(d))
    white = Step(
        "whitening",
        "R = F (I − A) with F = D^(−1/2) gives R Σ Rᵀ = I",
        root * Sigma * root.T,
        Identity(d),
        (covariance_of_z, _right_inverse, regular),
    )
    lost = Step(
        "structure_not_identified",
        "R W = D^(−1/2) S: A with targets S has the same isotropic form as A = 0 with targets D^(−1/2) S",
        root * W,
        F * S,
        (_perturbation, _right_inverse),
    )
    return white, lost


def _paths() -> tuple[Step, ...]:
    """Forward substitution along the causal order against the closed forms, for three latents."""
    adjacency, noise, shift = _triangular(3), symbols("u1:4"), symbols("s1:4")
    solved: list[Expr] = []
    for i in range(3):
        solved.append(sum((adjacency[i, j] * solved[j] for j in range(i)), noise[i] + shift[i]))
    closed = perturbation_matrix(adjacency, diag(*shift)) * Matrix([1, 1, 1]) + _neumann(adjacency) * Matrix(noise)
    variances = symbols("d1:4")
    cross = Matrix(
        3,
        3,
        lambda i, j: sum(diff(solved[i], n) * diff(solved[j], n) * v for n, v in zip(noise, variances, strict=True)),
    )
    return (
        Step("explicit_mean_d3", "free symbols: forward substitution gives W l + N u", Matrix(solved), closed),
        Step("explicit_covariance_d3", "free symbols: and the covariance Σ", cross, covariance(adjacency, variances)),
    )


def measure(structure: Structure, W: np.ndarray) -> Measurement:
    """Solve the structural equations one latent after another, and compare with (I - A)⁻¹ u + W l.

    Rounding: c·eps·‖(I - A)⁻¹‖·(1 + ‖A‖)·size, the growth of substitution in a triangular system, c = 8 d_Z².
    """
    z = np.zeros_like(structure.u)
    drive = structure.u + structure.labels @ structure.S.T
    for i in structure.order:
        z[:, i] = z @ structure.A[i] + drive[:, i]
    inverse = np.linalg.inv(np.eye(len(structure.A)) - structure.A)
    deviation = np.abs(z - structure.u @ inverse.T - structure.labels @ W.T).max()
    growth = np.linalg.norm(inverse, np.inf) * (1 + np.linalg.norm(structure.A, np.inf))
    bound = 8 * len(structure.A) ** 2 * EPS * growth * (1 + np.abs(drive).max() + np.abs(structure.labels @ W.T).max())
    return Measurement("forward_substitution", float(deviation), float(bound))


def exact_matrix(structure: Structure) -> np.ndarray:
    """W of a structure by the exact oracle, rounded once at the end."""
    return np.array(perturbation_matrix(structure.A, structure.S).tolist(), dtype=float)


def cycle(size: Rational) -> Model:
    """Two latents that drive each other with gain `size`: det(I - A) = 1 - size², no solution at gain 1."""
    feedback = Matrix([[0, size], [size, 0]])
    z1, z2, u1, u2 = symbols("z1 z2 u1 u2", real=True)
    return compare(
        ("det(I − A), which is 1 for every acyclic graph", (eye(2) - feedback).det(), Integer(1)),
        ("the mechanisms", feedback * Matrix([z1, z2]) + Matrix([u1, u2]), Matrix([size * z2 + u1, size * z1 + u2])),
    )


def _square(size: Rational) -> Model:
    """z_1 = u_1 + l, z_2 = u_2 + size z_1²: the shift of z_2 depends on the noise, so it is not a shift."""
    u1, u2, dose = symbols("u1 u2 l", real=True)
    shift = (u2 + size * (u1 + dose) ** 2).subs(dose, 1) - (u2 + size * (u1 + dose) ** 2).subs(dose, 0)
    return compare(
        ("how the shift of z₂ depends on the noise", diff(shift.expand(), u1), Integer(0)),
        ("shift of z₁", (u1 + dose) - u1, dose),
    )


def _cut(size: Rational) -> Model:
    """An intervention that weakens the edge 1 → 2 by `size`, and cuts it at 1: the covariance changes."""
    before, after = ([[0, 0], [weight, 0]] for weight in (Integer(1), 1 - size))
    noises = symbols("d1 d2", positive=True)
    return compare(
        ("Σ with and without the intervention", covariance(after, [1, 1]), covariance(before, [1, 1])),
        ("variance of z₁", covariance(after, noises)[0, 0], covariance(before, noises)[0, 0]),
    )


def _coin(size: Rational) -> Model:
    """u = √(1 - size²) g + size s with g Gaussian and s = ±1 has variance 1 and fourth cumulant -2 size⁴, not 0."""
    variance = (1 - size**2) + size**2
    fourth_moment = 3 * (1 - size**2) ** 2 + 6 * (1 - size**2) * size**2 + size**4
    t = Symbol("t", real=True)
    return compare(
        ("fourth moment of u, 3 for N(0, 1)", fourth_moment, 3 * variance**2),
        ("log characteristic function to second order", -variance * t**2 / 2, -(t**2) / 2),
    )


CLAIM = Claim(
    name="latent_causal",
    number="1",
    statement="z = A z + u + S l is the additive-shift model with W = (I − A)⁻¹ S, Σ = (I − A)⁻¹ D (I − A)⁻ᵀ",
    latex=r"z = Az + u + Sl \ \Rightarrow\ z \sim N(Wl, \Sigma),\quad W = (I-A)^{-1}S,"
    r"\ \Sigma = (I-A)^{-1} D (I-A)^{-\top}",
    assumptions=(LINEAR, REGULAR, SHIFT, GAUSSIAN_NOISE),
    source=PAPER,
    remark="No more is asked of A than that det(I − A) is not zero: cycles do no harm, as long as they settle.",
    proof=_proof(),
    conclusions=("additive_shift", "mean", "covariance", "whitening", "structure_not_identified"),
    confirmations=("explicit_mean_d3", "explicit_covariance_d3"),
    says=(
        (z - W * label, "=", N * u),
        (E(z), "=", W * label),
        (Sigma, "=", N * D * N.T),
        (F * (Identity(d) - A) * Sigma * (F * (Identity(d) - A)).T, "=", Identity(d)),
        (F * (Identity(d) - A) * W, "=", F * S),
    ),
    check=lambda fault=0.0: tuple(
        measure(structure, exact_matrix(structure) * (1 + 1e-3 * fault)) for structure in structures()
    ),
    counterexamples=(
        Counterexample(REGULAR, "a cycle of gain 1 has no solution", cycle, "additive_shift"),
        Counterexample(
            LINEAR, "a square turns a shift of the cause into a random change of the effect", _square, "additive_shift"
        ),
        Counterexample(SHIFT, "a perfect intervention changes the covariance", _cut, "covariance"),
        Counterexample(GAUSSIAN_NOISE, "a coin as noise leaves a fourth cumulant", _coin, "whitening"),
    ),
)
